//! Reads the settings from environment variables.

use std::time::Duration;

use super::{ConfigError, Env, IdHeader, OnMaxPerUser, Refresh, Settings};
#[cfg(feature = "encryption")]
use crate::EncryptionKeys;
use crate::{cookie::SameSite, key::KeyPrefix, payload::Format};

/// Every name that a part of this library reads.
const KNOWN: &[&str] = &[
    "SESSION_ABSOLUTE_LIFETIME",
    "SESSION_ASSURANCE",
    "SESSION_CACHELIB",
    "SESSION_CLEANUP_SECONDS",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_PARTITIONED",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_SAMESITE",
    "SESSION_COOKIE_SECURE",
    "SESSION_ENCRYPTION_ACCEPT_PLAIN",
    "SESSION_ENCRYPTION_KEY",
    "SESSION_ENCRYPTION_KEY_FALLBACKS",
    "SESSION_FILE_DIR",
    "SESSION_FILE_MODE",
    "SESSION_FILE_THRESHOLD",
    "SESSION_HEADER",
    "SESSION_ID_LENGTH",
    "SESSION_KEY_PREFIX",
    "SESSION_MAX_BYTES",
    "SESSION_MAX_KEYS",
    "SESSION_MAX_PER_USER",
    "SESSION_MEMCACHED",
    "SESSION_MONGODB",
    "SESSION_MONGODB_COLLECT",
    "SESSION_MONGODB_DB",
    "SESSION_ON_MAX_PER_USER",
    "SESSION_PERMANENT",
    "SESSION_REDIS",
    "SESSION_REFRESH_EACH_REQUEST",
    "SESSION_ROTATED_ID_ENDS_SESSION",
    "SESSION_ROTATION_SECONDS",
    "SESSION_SERIALIZATION_FORMAT",
    "SESSION_SQL",
    "SESSION_SQLALCHEMY",
    "SESSION_SQLALCHEMY_SCHEMA",
    "SESSION_SQLALCHEMY_TABLE",
    "SESSION_SQL_SCHEMA",
    "SESSION_SQL_TABLE",
    "SESSION_STORE_TIMEOUT_MS",
    "SESSION_TYPE",
    "SESSION_USE_SIGNER",
];

impl Settings {
    /// The defaults, changed by the environment's `SECRET_KEY`, `SESSION_*` and
    /// `PERMANENT_SESSION_LIFETIME`.
    ///
    /// Cookies are signed unless `SESSION_USE_SIGNER` is false, so `SECRET_KEY` is needed. A
    /// warning in the log names each `SESSION_*` variable that nothing reads.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used, and what to do.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Self::unsigned().overlaid(env)
    }

    /// These settings, changed by the environment as [`from_env`](Self::from_env) changes the
    /// defaults.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used, and what to do.
    pub fn overlaid(mut self, env: &Env) -> Result<Self, ConfigError> {
        warn_of_unknown(env);
        env.check_text()?;
        // First, so that what is set beside it is compared with it.
        if let Some(level) = env.parse("SESSION_ASSURANCE", "AAL1, AAL2 or AAL3")? {
            self = self.with_assurance(level);
        }
        self.overlay_cookie(env)?;
        self.overlay_header(env)?;
        if let Some(prefix) = env.allowing_empty("SESSION_KEY_PREFIX") {
            self.prefix = KeyPrefix::allowing_empty(prefix)?;
        }
        if let Some(bytes) = env.parse("SESSION_ID_LENGTH", "a whole number of bytes")? {
            self.id_bytes = bytes;
        }
        if let Some(bytes) = env.parse("SESSION_MAX_BYTES", "a whole number of bytes")? {
            self.max_bytes = bytes;
        }
        if let Some(keys) = env.parse("SESSION_MAX_KEYS", "a whole number of keys")? {
            self.max_keys = keys;
        }
        if let Some(most) = env.parse("SESSION_MAX_PER_USER", "a whole number of sessions")? {
            self.max_per_user = Some(most);
        }
        match env.get("SESSION_ON_MAX_PER_USER") {
            None => {}
            Some("end-oldest") => self.on_max_per_user = OnMaxPerUser::EndOldest,
            Some("refuse-login") => self.on_max_per_user = OnMaxPerUser::RefuseLogin,
            Some(_) => {
                return Err(ConfigError::new(
                    "SESSION_ON_MAX_PER_USER",
                    "must be end-oldest or refuse-login",
                ));
            }
        }
        if let Some(permanent) = env.bool("SESSION_PERMANENT")? {
            self.permanent = permanent;
        }
        if let Some(idle) = seconds(env, "PERMANENT_SESSION_LIFETIME")? {
            self = self.with_idle_timeout(idle);
        }
        if let Some(absolute) = seconds(env, "SESSION_ABSOLUTE_LIFETIME")? {
            self = self.with_absolute_timeout(absolute);
        }
        if let Some(period) = seconds(env, "SESSION_ROTATION_SECONDS")? {
            self.rotation = Some(period);
        }
        if let Some(ends) = env.bool("SESSION_ROTATED_ID_ENDS_SESSION")? {
            self.rotated_id_ends_session = ends;
        }
        if let Some(pause) = seconds(env, "SESSION_CLEANUP_SECONDS")? {
            self.sweep_pause = pause;
        }
        if let Some(millis) =
            env.parse("SESSION_STORE_TIMEOUT_MS", "a whole number of milliseconds")?
        {
            self.store_timeout = Duration::from_millis(millis);
        }
        match env.bool("SESSION_REFRESH_EACH_REQUEST")? {
            Some(false) => self.refresh = Refresh::OnChange,
            Some(true) if self.refresh == Refresh::OnChange => self.refresh = Refresh::WhenDue,
            _ => {}
        }
        match env.get("SESSION_SERIALIZATION_FORMAT") {
            None => {}
            Some("msgpack") => self.format = Format::MessagePack,
            Some("json") => self.format = Format::Json,
            Some(_) => {
                return Err(ConfigError::new(
                    "SESSION_SERIALIZATION_FORMAT",
                    "must be msgpack or json",
                ));
            }
        }
        self.overlay_keys(env)?;
        self.overlay_encryption(env)?;
        self.check()?;
        Ok(self)
    }

    fn overlay_cookie(&mut self, env: &Env) -> Result<(), ConfigError> {
        let cookie = &mut self.cookie;
        if let Some(name) = env.get("SESSION_COOKIE_NAME") {
            name.clone_into(&mut cookie.name);
        }
        if let Some(domain) = env.get("SESSION_COOKIE_DOMAIN") {
            cookie.domain = Some(domain.into());
        }
        if let Some(path) = env.get("SESSION_COOKIE_PATH") {
            path.clone_into(&mut cookie.path);
        }
        if let Some(http_only) = env.bool("SESSION_COOKIE_HTTPONLY")? {
            cookie.http_only = http_only;
        }
        if let Some(secure) = env.bool("SESSION_COOKIE_SECURE")? {
            cookie.secure = secure;
        }
        if let Some(same_site) =
            env.parse::<SameSite>("SESSION_COOKIE_SAMESITE", "Strict, Lax or None")?
        {
            cookie.same_site = Some(same_site);
        }
        if let Some(partitioned) = env.bool("SESSION_COOKIE_PARTITIONED")? {
            cookie.partitioned = partitioned;
        }
        Ok(())
    }

    fn overlay_header(&mut self, env: &Env) -> Result<(), ConfigError> {
        let Some(name) = env.get("SESSION_HEADER") else {
            return Ok(());
        };
        let of_cookie = |it: &&str| {
            let rest = it.strip_prefix("SESSION_");
            rest.is_some_and(|it| it.starts_with("COOKIE_"))
        };
        let mut set = env.names().filter(|name| env.get(name).is_some());
        if let Some(cookie) = set.find(of_cookie) {
            return Err(ConfigError::new(
                "SESSION_HEADER",
                format!("is in place of a cookie: leave {cookie} unset"),
            ));
        }
        let header = if name.eq_ignore_ascii_case("Authorization") {
            IdHeader::bearer()
        } else {
            IdHeader::named(name)
        };
        self.id_header = Some(header.into());
        Ok(())
    }

    fn overlay_keys(&mut self, env: &Env) -> Result<(), ConfigError> {
        let signs = env.bool("SESSION_USE_SIGNER")?;
        if !signs.unwrap_or_else(|| self.form.signs_by_default() || self.keys.is_some()) {
            self.keys = None;
            return Ok(());
        }
        let mut keys = match (env.get("SECRET_KEY"), self.keys.take()) {
            (Some(secret), _) => self.form.key(secret)?,
            (None, Some(keys)) => keys,
            (None, None) => {
                return Err(ConfigError::new(
                    "SECRET_KEY",
                    "is needed to sign cookies: set it to at least 32 random bytes (`openssl rand -base64 48`)",
                ));
            }
        };
        let older = env.get("SECRET_KEY_FALLBACKS");
        for older in older.into_iter().flat_map(|list| list.split(',')) {
            keys = self.form.older_key(keys, older.trim_ascii())?;
        }
        self.keys = Some(keys);
        Ok(())
    }
}

#[cfg(feature = "encryption")]
impl Settings {
    fn overlay_encryption(&mut self, env: &Env) -> Result<(), ConfigError> {
        if let Some(secret) = env.get("SESSION_ENCRYPTION_KEY") {
            self.encryption = Some(EncryptionKeys::from_env_text(secret)?);
        }
        let older = env.get("SESSION_ENCRYPTION_KEY_FALLBACKS");
        let accepts_plain = env.bool("SESSION_ENCRYPTION_ACCEPT_PLAIN")?;
        let Some(mut keys) = self.encryption.take() else {
            return if older.is_some() || accepts_plain == Some(true) {
                Err(ConfigError::new(
                    "SESSION_ENCRYPTION_KEY",
                    "is needed if another SESSION_ENCRYPTION_* is set",
                ))
            } else {
                Ok(())
            };
        };
        for older in older.into_iter().flat_map(|list| list.split(',')) {
            keys = keys.with_fallback(older.trim_ascii())?;
        }
        self.encryption = Some(match accepts_plain {
            Some(accepts) => keys.accepting_plain(accepts),
            None => keys,
        });
        Ok(())
    }
}

#[cfg(not(feature = "encryption"))]
impl Settings {
    #[expect(clippy::unused_self, reason = "it has no keys without the feature")]
    fn overlay_encryption(&self, env: &Env) -> Result<(), ConfigError> {
        let keys = ["SESSION_ENCRYPTION_KEY", "SESSION_ENCRYPTION_KEY_FALLBACKS"];
        let plain = "SESSION_ENCRYPTION_ACCEPT_PLAIN";
        let accepts_plain = env.bool(plain)? == Some(true);
        let set = keys.into_iter().find(|it| env.get(it).is_some());
        match set.or(accepts_plain.then_some(plain)) {
            None => Ok(()),
            Some(name) => Err(ConfigError::new(
                name,
                "needs the Cargo feature `encryption`",
            )),
        }
    }
}

fn seconds(env: &Env, name: &str) -> Result<Option<Duration>, ConfigError> {
    Ok(env
        .parse(name, "a whole number of seconds")?
        .map(Duration::from_secs))
}

fn warn_of_unknown(env: &Env) {
    for name in env.names() {
        if name.starts_with("SESSION_")
            && !KNOWN.contains(&name)
            && !name.starts_with("SESSION_TEST_")
            // The address of the X session manager, which desktops set.
            && name != "SESSION_MANAGER"
        {
            tracing::warn!(
                "{name} is no setting of this library and is ignored; its README has a table of all settings"
            );
        }
    }
}

#[cfg(test)]
mod tests;
