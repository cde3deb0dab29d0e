use std::time::Duration;

use session_actix::session_core::{
    Format, Settings,
    config::{ConfigError, Env},
};

/// The names of the settings here, and in the library.
const NAMES: &[(&str, &str)] = &[
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
    pub(crate) store: String,
    pub(crate) url: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) port: u16,
    pub(crate) settings: Settings,
    pub(crate) format: Format,
}

impl Environment {
    pub(crate) fn read(env: &Env) -> Result<Self, ConfigError> {
        let Some(store) = env.get("STORE") else {
            return Err(ConfigError::new(
                "STORE",
                format!("must be one of {}", crate::stores::ALL),
            ));
        };
        let settings = settings(env).map_err(|error| by_our_names(&error))?;
        // cachelib's files are JSON here, whatever Flask-Session would write elsewhere.
        let format = match env.get("FORMAT") {
            Some("json") => Format::Json,
            _ if store == "cachelib" => Format::Json,
            _ => Format::MessagePack,
        };
        Ok(Self {
            store: store.to_owned(),
            url: env.get("URL").map(str::to_owned),
            table: env.get("TABLE").map(str::to_owned),
            port: env.parse("PORT", "a port, or 0")?.unwrap_or(0),
            settings: settings.with_format(format),
            format,
        })
    }
}

fn settings(env: &Env) -> Result<Settings, ConfigError> {
    let named: Env = NAMES
        .iter()
        .filter_map(|(ours, name)| Some((*name, env.get(ours)?)))
        .collect();
    Settings::flask()
        .with_store_timeout(STORE_TIMEOUT)
        .overlaid(&named)
}

fn by_our_names(error: &ConfigError) -> ConfigError {
    let ours = |text: &str| {
        NAMES.iter().fold(text.to_owned(), |text, (ours, name)| {
            text.replace(name, ours)
        })
    };
    let line = error.to_string();
    let reason = line.strip_prefix(error.name()).unwrap_or(&line).trim();
    ConfigError::new(ours(error.name()), ours(reason))
}
