use std::time::Duration;

use super::{ConfigError, Env, Refresh, Settings};
use crate::{cookie::SameSite, key::KeyPrefix, payload::Format, secret_keys::SecretKeys};

/// Every name that some part of this library reads.
const KNOWN: &[&str] = &[
    "SESSION_ABSOLUTE_LIFETIME",
    "SESSION_CLEANUP_SECONDS",
    "SESSION_COOKIE_DOMAIN",
    "SESSION_COOKIE_HTTPONLY",
    "SESSION_COOKIE_NAME",
    "SESSION_COOKIE_PARTITIONED",
    "SESSION_COOKIE_PATH",
    "SESSION_COOKIE_SAMESITE",
    "SESSION_COOKIE_SECURE",
    "SESSION_FILE_DIR",
    "SESSION_FILE_MODE",
    "SESSION_FILE_THRESHOLD",
    "SESSION_ID_LENGTH",
    "SESSION_KEY_PREFIX",
    "SESSION_MEMCACHED",
    "SESSION_MONGODB",
    "SESSION_MONGODB_COLLECT",
    "SESSION_MONGODB_DB",
    "SESSION_PERMANENT",
    "SESSION_REDIS",
    "SESSION_REFRESH_EACH_REQUEST",
    "SESSION_SERIALIZATION_FORMAT",
    "SESSION_SQL",
    "SESSION_SQLALCHEMY_SCHEMA",
    "SESSION_SQLALCHEMY_TABLE",
    "SESSION_SQL_SCHEMA",
    "SESSION_SQL_TABLE",
    "SESSION_STORE_TIMEOUT_MS",
    "SESSION_TYPE",
    "SESSION_USE_SIGNER",
];

impl Settings {
    /// The defaults, changed by the environment's `SECRET_KEY`, `SESSION_*` and `PERMANENT_SESSION_LIFETIME`.
    ///
    /// Cookies are signed unless `SESSION_USE_SIGNER` is false, so `SECRET_KEY` is needed. A `SESSION_*` name that
    /// nothing reads is warned about.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used, and what to do.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Self::unsigned().overlaid(env)
    }

    /// These settings, changed by the environment as [`from_env`](Self::from_env) changes the defaults.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be used, and what to do.
    pub fn overlaid(mut self, env: &Env) -> Result<Self, ConfigError> {
        warn_of_unknown(env);
        self.overlay_cookie(env)?;
        if let Some(prefix) = env.get("SESSION_KEY_PREFIX") {
            self.prefix = KeyPrefix::new(prefix)?;
        }
        if let Some(bytes) = env.parse("SESSION_ID_LENGTH", "a whole number of bytes")? {
            self.id_bytes = bytes;
        }
        if let Some(permanent) = env.bool("SESSION_PERMANENT")? {
            self.permanent = permanent;
        }
        if let Some(idle) = seconds(env, "PERMANENT_SESSION_LIFETIME")? {
            self.idle_timeout = idle;
        }
        if let Some(absolute) = seconds(env, "SESSION_ABSOLUTE_LIFETIME")? {
            self.absolute_timeout = Some(absolute);
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

    fn overlay_keys(&mut self, env: &Env) -> Result<(), ConfigError> {
        let flask = self.profile == super::Profile::Flask;
        if !env
            .bool("SESSION_USE_SIGNER")?
            .unwrap_or(!flask || self.keys.is_some())
        {
            self.keys = None;
            return Ok(());
        }
        if let Some(secret) = env.get("SECRET_KEY") {
            let mut keys = if flask {
                SecretKeys::of_flask(secret)?
            } else {
                SecretKeys::new(secret)?
            };
            for older in env
                .get("SECRET_KEY_FALLBACKS")
                .into_iter()
                .flat_map(|list| list.split(','))
            {
                keys = if flask {
                    keys.with_flask_fallback(older.as_bytes())
                } else {
                    keys.with_fallback(older)?
                };
            }
            self.keys = Some(keys);
        }
        if self.keys.is_none() {
            return Err(ConfigError::new(
                "SECRET_KEY",
                "is needed to sign cookies: set it to at least 32 random bytes (`openssl rand -base64 48`)",
            ));
        }
        Ok(())
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
        {
            tracing::warn!(
                "{name} is set, but nothing reads it; see the README's table of settings"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: (&str, &str) = ("SECRET_KEY", "3cNnVbkzKk1xq0T8sYwR5uJmLpE7hGfDaZxCvBn2");

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::from_env(&pairs.iter().copied().chain([SECRET]).collect())
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        settings(pairs)
            .expect_err("the setting is refused")
            .to_string()
    }

    #[test]
    fn every_setting_is_turned_by_its_name() {
        let all = settings(&[
            ("SESSION_COOKIE_NAME", "s"),
            ("SESSION_COOKIE_DOMAIN", "example.org"),
            ("SESSION_COOKIE_PATH", "/app"),
            ("SESSION_COOKIE_HTTPONLY", "false"),
            ("SESSION_COOKIE_SECURE", "1"),
            ("SESSION_COOKIE_SAMESITE", "none"),
            ("SESSION_COOKIE_PARTITIONED", "yes"),
            ("SESSION_KEY_PREFIX", "app:"),
            ("SESSION_ID_LENGTH", "16"),
            ("SESSION_PERMANENT", "off"),
            ("PERMANENT_SESSION_LIFETIME", "60"),
            ("SESSION_ABSOLUTE_LIFETIME", "600"),
            ("SESSION_CLEANUP_SECONDS", "7"),
            ("SESSION_STORE_TIMEOUT_MS", "250"),
            ("SESSION_REFRESH_EACH_REQUEST", "false"),
        ])
        .unwrap();
        assert_eq!(all.cookie.name, "s");
        assert_eq!(all.cookie.domain.as_deref(), Some("example.org"));
        assert_eq!(all.cookie.path, "/app");
        assert!(!all.cookie.http_only && all.cookie.secure && all.cookie.partitioned);
        assert_eq!(all.cookie.same_site, Some(SameSite::None));
        assert_eq!(all.prefix.as_str(), "app:");
        assert_eq!(all.id_bytes, 16);
        assert!(!all.permanent);
        assert_eq!(all.idle_timeout.as_secs(), 60);
        assert_eq!(all.absolute_timeout.unwrap().as_secs(), 600);
        assert_eq!(all.sweep_pause.as_secs(), 7);
        assert_eq!(all.store_timeout.as_millis(), 250);
        assert_eq!(all.refresh, Refresh::OnChange);
        assert!(all.keys.is_some());
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_one_line_that_names_it() {
        for (name, value) in [
            ("SESSION_COOKIE_SECURE", "maybe"),
            ("SESSION_COOKIE_SECURE", "false"),
            ("SESSION_COOKIE_DOMAIN", "example.org"),
            ("SESSION_COOKIE_SAMESITE", "sometimes"),
            ("SESSION_KEY_PREFIX", "a b"),
            ("SESSION_ID_LENGTH", "8"),
            ("SESSION_ID_LENGTH", "thirty-two"),
            ("PERMANENT_SESSION_LIFETIME", "0"),
            ("PERMANENT_SESSION_LIFETIME", "1.5"),
            ("SESSION_ABSOLUTE_LIFETIME", "-1"),
            ("SESSION_STORE_TIMEOUT_MS", "0"),
            ("SESSION_CLEANUP_SECONDS", "0"),
            ("SESSION_SERIALIZATION_FORMAT", "json"),
            ("SESSION_SERIALIZATION_FORMAT", "pickle"),
            ("SECRET_KEY_FALLBACKS", "short"),
        ] {
            let line = refusal(&[(name, value)]);
            assert!(!line.contains('\n'), "{line}");
            assert!(
                line.contains("SESSION_") || line.contains("SECRET_KEY"),
                "{line}"
            );
        }
        assert!(
            Settings::from_env(&Env::default())
                .unwrap_err()
                .to_string()
                .starts_with("SECRET_KEY is needed")
        );
        let weak = Settings::from_env(&Env::from_iter([("SECRET_KEY", "dev")]));
        assert!(weak.unwrap_err().to_string().contains("32 random bytes"));
    }

    #[test]
    fn older_keys_are_taken_too() {
        let older =
            "an older key of some forty characters: 1,another one of forty characters or so";
        let settings = settings(&[("SECRET_KEY_FALLBACKS", older)]).unwrap();
        assert_eq!(format!("{:?}", settings.keys.unwrap()), "SecretKeys(3)");
    }

    #[test]
    fn use_moves_the_expiry_again_where_only_changes_did() {
        for (before, value, after) in [
            (Refresh::OnChange, "true", Refresh::WhenDue),
            (Refresh::EveryRequest, "true", Refresh::EveryRequest),
            (Refresh::EveryRequest, "false", Refresh::OnChange),
        ] {
            let env = Env::from_iter([("SESSION_REFRESH_EACH_REQUEST", value), SECRET]);
            let settings = Settings::unsigned().with_refresh(before).overlaid(&env);
            assert_eq!(settings.unwrap().refresh, after);
        }
    }

    #[test]
    fn without_the_signer_no_key_is_needed() {
        let unsigned = Settings::from_env(&Env::from_iter([("SESSION_USE_SIGNER", "false")]));
        assert!(unsigned.unwrap().keys.is_none());
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        assert_eq!(
            settings(&[("SESSION_COOKIE_NAME", "")])
                .unwrap()
                .cookie
                .name,
            "__Host-session"
        );
    }

    #[test]
    fn the_flask_profile_takes_a_short_key_and_json() {
        let flask = Settings::flask().overlaid(&Env::from_iter([
            ("SECRET_KEY", "dev"),
            ("SESSION_USE_SIGNER", "1"),
            ("SESSION_SERIALIZATION_FORMAT", "json"),
        ]));
        let flask = flask.unwrap();
        assert!(flask.keys.is_some());
        assert_eq!(flask.format, Format::Json);
    }
}
