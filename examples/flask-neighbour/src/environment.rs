//! The settings that the program reads from its environment.

use std::time::Duration;

use actix_server_sessions::session_core::{
    Format, SecretKeys, Settings,
    config::{ConfigError, Env, FlaskSessions},
};

/// What `STORE` may be, and the library's name for its `URL`.
const STORES: &[(&str, &str)] = &[
    ("redis", "SESSION_REDIS"),
    ("memcached", "SESSION_MEMCACHED"),
    ("cachelib", "SESSION_CACHELIB"),
    ("sqlalchemy", "SESSION_SQLALCHEMY"),
    ("mongodb", "SESSION_MONGODB"),
];

/// The names of the other settings here, and in the library.
const NAMES: &[(&str, &str)] = &[
    ("STORE", "SESSION_TYPE"),
    ("TABLE", "SESSION_SQLALCHEMY_TABLE"),
    ("SECRET_KEY", "SECRET_KEY"),
    ("USE_SIGNER", "SESSION_USE_SIGNER"),
    ("PREFIX", "SESSION_KEY_PREFIX"),
    ("PERMANENT", "SESSION_PERMANENT"),
    ("LIFETIME", "PERMANENT_SESSION_LIFETIME"),
    ("FORMAT", "SESSION_SERIALIZATION_FORMAT"),
    ("REFRESH", "SESSION_REFRESH_EACH_REQUEST"),
    ("SID_LENGTH", "SESSION_ID_LENGTH"),
    ("COOKIE_NAME", "SESSION_COOKIE_NAME"),
    ("COOKIE_PATH", "SESSION_COOKIE_PATH"),
    ("COOKIE_DOMAIN", "SESSION_COOKIE_DOMAIN"),
    ("COOKIE_SECURE", "SESSION_COOKIE_SECURE"),
    ("COOKIE_HTTPONLY", "SESSION_COOKIE_HTTPONLY"),
    ("COOKIE_SAMESITE", "SESSION_COOKIE_SAMESITE"),
];

/// As long as Flask's clients would wait, more or less.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the environment says.
pub(crate) struct Environment {
    /// Describes the store, by the library's names.
    pub(crate) store: Env,
    pub(crate) port: u16,
    pub(crate) settings: Settings,
    pub(crate) format: Format,
}

impl Environment {
    pub(crate) fn read(env: &Env) -> Result<Self, ConfigError> {
        let store = env.get("STORE").unwrap_or_default();
        let Some((_, url)) = STORES.iter().find(|(name, _)| *name == store) else {
            let names: Vec<_> = STORES.iter().map(|(name, _)| *name).collect();
            let reason = format!("must be one of {}", names.join(", "));
            return Err(ConfigError::new("STORE", reason));
        };
        if store == "sqlalchemy" && env.get("URL").is_none() {
            return Err(ConfigError::new(
                "URL",
                "must be set: a SQLAlchemy URL such as sqlite:////tmp/sessions.db",
            ));
        }
        // What a native application does with Flask's sessions; `None` in the Flask profile.
        let flask_sessions = flask_sessions(env)?;
        let settings = match flask_sessions {
            None => flask(env),
            Some(what) => native(env, what),
        };
        let settings = settings.map_err(|error| by_our_names(&error))?;
        // cachelib's files are JSON here, whatever Flask-Session would write elsewhere.
        let format = match env.get("FORMAT") {
            _ if flask_sessions.is_some() => Format::MessagePack,
            Some("json") => Format::Json,
            _ if store == "cachelib" => Format::Json,
            _ => Format::MessagePack,
        };
        Ok(Self {
            store: by_the_librarys_names(env, &["FORMAT"])
                .or(url, env.get("URL").unwrap_or_default()),
            port: env.parse("PORT", "a port, or 0")?.unwrap_or(0),
            settings: settings.with_format(format),
            format,
        })
    }
}

fn flask_sessions(env: &Env) -> Result<Option<FlaskSessions>, ConfigError> {
    match env.get("FLASK_SESSIONS") {
        None => Ok(None),
        Some("keep") => Ok(Some(FlaskSessions::Keep)),
        Some("move") => Ok(Some(FlaskSessions::Move)),
        Some(_) => Err(ConfigError::new("FLASK_SESSIONS", "must be keep or move")),
    }
}

fn flask(env: &Env) -> Result<Settings, ConfigError> {
    Settings::flask()
        .with_store_timeout(STORE_TIMEOUT)
        .overlaid(&by_the_librarys_names(env, &[]))
}

/// The same application once Flask serves nothing any more: native, under the name of Flask's
/// cookie.
fn native(env: &Env, sessions: FlaskSessions) -> Result<Settings, ConfigError> {
    let flask = flask(env)?;
    let keys = match (env.bool("USE_SIGNER")?, env.get("SECRET_KEY")) {
        (Some(true), Some(secret)) => Some(SecretKeys::of_flask(secret)?),
        _ => None,
    };
    Settings::unsigned()
        .with_cookie(flask.cookie().clone())
        .with_store_timeout(STORE_TIMEOUT)
        .with_flask_sessions(sessions)
        .with_flask_keys(keys)
        // Native cookies are signed and MessagePack is written, whatever Flask did.
        .overlaid(&by_the_librarys_names(env, &["USE_SIGNER", "FORMAT"]))
}

fn by_the_librarys_names(env: &Env, without: &[&str]) -> Env {
    NAMES
        .iter()
        .filter(|(ours, _)| !without.contains(ours))
        .filter(|(ours, _)| env.names().any(|set| set == *ours))
        .map(|(ours, name)| (*name, env.get(ours).unwrap_or_default()))
        .collect()
}

/// The error with the names of the settings here.
pub(crate) fn by_our_names(error: &ConfigError) -> ConfigError {
    let ours = |text: &str| {
        let urls = STORES.iter().map(|(_, name)| ("URL", *name));
        let names = NAMES.iter().copied().chain(urls);
        names.fold(text.to_owned(), |text, (ours, name)| {
            text.replace(name, ours)
        })
    };
    let line = error.to_string();
    let reason = line.strip_prefix(error.name()).unwrap_or(&line).trim();
    ConfigError::new(ours(error.name()), ours(reason))
}
