//! The settings of the Flask profile, and Flask's rules for secret keys and key prefixes.

use zeroize::Zeroizing;

use crate::{
    config::{ConfigError, Refresh, Settings},
    cookie::CookieAttributes,
    id::SessionId,
    key::{KeyPrefix, StoreKey},
    payload::Format,
    rules::Form,
    secret_keys::{SecretKeys, is_blank, older, strong},
};

/// What a native application does with the sessions of a Flask application in the same store.
///
/// With the feature `flask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlaskSessions {
    /// They are not read. The default.
    Ignore,
    /// They are read, and stay in Flask's form. New sessions are native.
    ///
    /// A permanent session is written with each request that uses it, and each response carries its
    /// cookie, as with Flask, because the end of the cookie is not stored. This does not apply with
    /// [`Refresh::OnChange`].
    Keep,
    /// They are read, and move to a native record under a new id when they are next changed. Until
    /// then they are treated as with `Keep`.
    Move,
}

/// Settings of a native application that reads Flask's sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlaskSettings {
    /// The form to which a session of Flask's form moves with its next change or new id, if it
    /// moves.
    pub(crate) next_form: Option<Form>,
    keys: FlaskKeys,
    /// How sessions start from Flask's built-in ones.
    #[cfg(feature = "flask-cookie")]
    pub(crate) cookie: Option<super::FlaskCookie>,
}

/// The keys that verify the Flask application's cookies.
#[derive(Clone, Debug, Default)]
enum FlaskKeys {
    #[default]
    Own,
    None,
    Separate(SecretKeys),
}

impl Settings {
    /// Flask-Session's defaults, to share live sessions with a Flask application: plain keys,
    /// unsigned ids, its cookie.
    ///
    /// With the feature `flask`.
    pub fn flask() -> Self {
        Self {
            cookie: CookieAttributes {
                name: "session".into(),
                secure: false,
                same_site: None,
                ..CookieAttributes::default()
            },
            refresh: Refresh::EveryRequest,
            form: Form::Flask,
            forms: Form::Flask.only_this(),
            ..Self::unsigned()
        }
    }

    /// What the application does with a Flask application's sessions in the same store. Defaults to
    /// [`FlaskSessions::Ignore`].
    ///
    /// Other values need signed cookies, because an unsigned id does not say which application made
    /// it. See [`with_flask_keys`](Self::with_flask_keys) for the keys of the Flask application.
    /// With the feature `flask`.
    #[must_use]
    pub fn with_flask_sessions(mut self, sessions: FlaskSessions) -> Self {
        self.forms = match sessions {
            FlaskSessions::Ignore => self.form.only_this(),
            FlaskSessions::Keep | FlaskSessions::Move => &[Form::Native, Form::Flask],
        };
        self.flask.next_form = (sessions == FlaskSessions::Move).then_some(self.form);
        self
    }

    /// The keys that sign the Flask application's cookies, for a native application that reads its
    /// sessions. They may be weak. Pass `None` if its cookies are not signed, which is
    /// Flask-Session's default. Defaults to this application's own keys.
    ///
    /// With the feature `flask`.
    #[must_use]
    pub fn with_flask_keys(mut self, keys: Option<SecretKeys>) -> Self {
        self.flask.keys = keys.map_or(FlaskKeys::None, FlaskKeys::Separate);
        self
    }

    /// The encoding of written records. Both encodings are read. Defaults to MessagePack, which a
    /// native application needs.
    ///
    /// With the feature `flask`.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// What the application does with a Flask application's sessions in the same store.
    ///
    /// With the feature `flask`.
    pub fn flask_sessions(&self) -> FlaskSessions {
        match self.forms {
            [_] => FlaskSessions::Ignore,
            _ if self.flask.next_form.is_some() => FlaskSessions::Move,
            _ => FlaskSessions::Keep,
        }
    }

    /// The encoding of written records.
    ///
    /// With the feature `flask`.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The keys that sign Flask's cookies. `None` if the cookies are not signed or not read.
    pub(crate) fn flask_keys(&self) -> Option<&SecretKeys> {
        match &self.flask.keys {
            _ if self.form == Form::Flask => self.keys.as_ref(),
            _ if self.is_native() => None,
            FlaskKeys::Own => self.keys.as_ref(),
            FlaskKeys::None => None,
            FlaskKeys::Separate(keys) => Some(keys),
        }
    }

    /// Checks the rules between these settings.
    pub(crate) fn check_flask(&self) -> Result<(), ConfigError> {
        let reads_beside = self.flask_sessions() != FlaskSessions::Ignore;
        if reads_beside && self.form == Form::Flask {
            return Err(ConfigError::new(
                "the Flask profile",
                "reads Flask's sessions already; with_flask_sessions is for the native profile",
            ));
        }
        if reads_beside && self.keys.is_none() {
            return Err(ConfigError::new(
                "SESSION_USE_SIGNER",
                "must be true if Flask's sessions are read, too: an unsigned id does not say which application made it",
            ));
        }
        Ok(())
    }
}

impl KeyPrefix {
    /// The prefix of a Flask application, if it is valid. It may be empty. Then every key of the
    /// store that looks like an id names a session, as in Flask.
    ///
    /// Settings that share no sessions with Flask refuse an empty prefix. With the feature `flask`.
    ///
    /// # Errors
    ///
    /// If it is longer than 128 bytes, or has other characters than graphic ASCII.
    pub fn of_flask(prefix: &str) -> Result<Self, ConfigError> {
        Self::allowing_empty(prefix)
    }

    /// The key of the session `id` as Flask-Session writes it: prefix + id.
    ///
    /// With the feature `flask`.
    pub fn plain_key(&self, id: &SessionId) -> StoreKey {
        StoreKey::from_stored([self.as_str(), id.as_str()].concat())
    }
}

impl SecretKeys {
    /// The key that signs. It may be weak, because a running Flask application has it already.
    ///
    /// With the feature `flask`.
    ///
    /// # Errors
    ///
    /// If it is empty or blank.
    pub fn of_flask(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let secret = secret.as_ref();
        if is_blank(secret) {
            return Err(ConfigError::new("SECRET_KEY", "must not be empty"));
        }
        if let Err(weakness) = strong("SECRET_KEY", secret) {
            tracing::warn!(
                "the Flask application's {weakness}; it is used anyway, because that application uses it"
            );
        }
        Ok(Self(vec![Zeroizing::new(secret.to_vec())]))
    }

    /// Adds an older key, which may be weak, but not empty or blank.
    pub(crate) fn with_flask_fallback(mut self, secret: &str) -> Result<Self, ConfigError> {
        let secret = older(secret.as_bytes())?;
        self.0.push(Zeroizing::new(secret.to_vec()));
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    #[test]
    fn the_environment_may_have_a_short_key_and_json() {
        let flask = Settings::flask().overlaid(&Env::from_iter([
            ("SECRET_KEY", "dev"),
            ("SESSION_USE_SIGNER", "1"),
            ("SESSION_SERIALIZATION_FORMAT", "json"),
        ]));
        let flask = flask.unwrap();
        assert!(flask.keys.is_some());
        assert_eq!(flask.format, Format::Json);
    }

    #[test]
    fn a_running_flask_applications_key_is_what_it_is() {
        let key = "3cNnVbkzKk1xq0T8sYwR5uJm,LpE7hGfDaZxCvBn2";
        let env = Env::from_iter([("SECRET_KEY", key)]);
        assert!(Settings::flask().overlaid(&env).is_ok());
    }

    #[test]
    fn a_plain_key_is_the_id_and_shows_nothing() {
        let id = SessionId::from_flask("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let plain = KeyPrefix::default().plain_key(&id);
        assert_eq!(
            plain.as_str(),
            "session:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        assert!(!format!("{plain:?}").contains("AAAA"));
    }

    #[test]
    fn no_way_leads_to_an_empty_key() {
        for blank in ["", " ", "\t \r\n"] {
            let keys = SecretKeys::of_flask("dev").unwrap();
            assert!(SecretKeys::of_flask(blank).is_err(), "{blank:?}");
            assert!(keys.with_flask_fallback(blank).is_err(), "{blank:?}");
        }
    }

    #[test]
    fn what_was_chosen_can_be_asked_for() {
        let native = |sessions| Settings::unsigned().with_flask_sessions(sessions);
        for sessions in [FlaskSessions::Keep, FlaskSessions::Move] {
            assert_eq!(native(sessions).flask_sessions(), sessions);
            let ignored = native(sessions).with_flask_sessions(FlaskSessions::Ignore);
            assert_eq!(ignored.flask_sessions(), FlaskSessions::Ignore);
            assert_eq!(ignored.form(), Form::Native);
            let twice = Settings::flask().with_flask_sessions(sessions).check();
            assert_eq!(twice.unwrap_err().name(), "the Flask profile");
        }
        assert_eq!(Settings::flask().form(), Form::Flask);
    }
}
