//! Which stores can be shared with a Flask application, and with which settings.

use session_core::{
    Format, Settings,
    config::{ConfigError, Env, FlaskSessions, Form},
};

use crate::store_type::{SETTING, StoreType};

const FORMAT: &str = "SESSION_SERIALIZATION_FORMAT";

/// Whether the store holds Flask's sessions too.
pub(crate) fn shares(settings: &Settings) -> bool {
    settings.form() == Form::Flask || settings.flask_sessions() != FlaskSessions::Ignore
}

/// The settings, with what this store needs for sharing with Flask.
///
/// # Errors
///
/// If Flask or this library could not read what the other writes.
pub(crate) fn checked(
    settings: Settings,
    store_type: StoreType,
    env: &Env,
) -> Result<Settings, ConfigError> {
    let refuse = |reason: &str| Err(ConfigError::new(SETTING, reason));
    match store_type {
        StoreType::Filesystem if shares(&settings) => refuse(
            "is filesystem, where Flask-Session writes pickle, which is not read here: let Flask \
             use cachelib with JSON, and set SESSION_TYPE=cachelib",
        ),
        StoreType::Memory if shares(&settings) => {
            refuse("is memory, which no Flask application can share: choose another store")
        }
        StoreType::Cachelib if !shares(&settings) => refuse(
            "is cachelib, whose files are only for sharing with Flask: set SESSION_TYPE=filesystem",
        ),
        StoreType::Cachelib if settings.flask_sessions() == FlaskSessions::Keep => refuse(
            "is cachelib, where sessions cannot stay in Flask's form, because Flask does not read \
             MessagePack there: use FlaskSessions::Move",
        ),
        StoreType::Cachelib if settings.form() == Form::Flask => {
            if env.get(FORMAT).is_some_and(|format| format != "json") {
                return Err(ConfigError::new(
                    FORMAT,
                    "must be json or unset with SESSION_TYPE=cachelib, because Flask writes JSON \
                     or pickle there",
                ));
            }
            Ok(settings.with_format(Format::Json))
        }
        _ => Ok(settings),
    }
}

#[cfg(test)]
mod tests {
    use session_core::SecretKeys;

    use super::*;

    /// With these settings and values.
    fn checked(settings: Settings, pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let env: Env = pairs.iter().copied().collect();
        let store_type = StoreType::of(&env).unwrap();
        super::checked(settings, store_type, &env).map_err(|error| error.to_string())
    }

    fn native(sessions: FlaskSessions) -> Settings {
        let keys = SecretKeys::new("correct-horse-battery-staple-41-bottles").unwrap();
        Settings::new(keys).with_flask_sessions(sessions)
    }

    #[test]
    fn what_flask_cannot_share_is_refused() {
        for (settings, store_type, named) in [
            (Settings::flask(), "filesystem", "pickle"),
            (Settings::flask(), "memory", "no Flask application"),
            (native(FlaskSessions::Move), "filesystem", "pickle"),
            (
                native(FlaskSessions::Ignore),
                "cachelib",
                "SESSION_TYPE=filesystem",
            ),
            (
                native(FlaskSessions::Keep),
                "cachelib",
                "FlaskSessions::Move",
            ),
        ] {
            let error = checked(settings, &[(SETTING, store_type)]).unwrap_err();
            assert!(error.starts_with("SESSION_TYPE is "), "{error}");
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn what_flask_can_share_stays_as_it_is() {
        for store_type in ["redis", "memcached", "mongodb", "sqlalchemy"] {
            let flask = checked(Settings::flask(), &[(SETTING, store_type)]).unwrap();
            assert_eq!(flask.format(), Format::MessagePack);
            checked(native(FlaskSessions::Keep), &[(SETTING, store_type)]).unwrap();
        }
        checked(native(FlaskSessions::Ignore), &[(SETTING, "filesystem")]).unwrap();
        checked(native(FlaskSessions::Move), &[(SETTING, "cachelib")]).unwrap();
    }

    #[test]
    fn cachelibs_files_are_json() {
        let cachelib = (SETTING, "cachelib");
        for pairs in [&[cachelib][..], &[cachelib, (FORMAT, "json")]] {
            let settings = checked(Settings::flask(), pairs).unwrap();
            assert_eq!(settings.format(), Format::Json);
        }
        let error = checked(Settings::flask(), &[cachelib, (FORMAT, "msgpack")]).unwrap_err();
        assert!(error.starts_with(FORMAT), "{error}");
    }
}
