//! Flask's built-in session, which is a signed cookie: its settings, and the start of a session
//! from it.

mod cookie;
mod import;
mod log_outs;
mod values;

use std::time::Duration;

pub(crate) use self::{
    cookie::PresentedCookies,
    import::{Import, import},
    log_outs::{ListedLogOuts, LogOut, note_log_out, note_log_out_of},
};
use crate::{
    config::{ConfigError, Settings},
    cookie::CookieAttributes,
    secret_keys::SecretKeys,
};

/// How a native application starts sessions from a Flask application's built-in ones.
///
/// Flask's built-in session is a cookie with the data itself, signed and not encrypted (Flask's
/// `SecureCookieSessionInterface`). A request that brings such a cookie, and no session of this
/// application, starts a session with its values and its user. See
/// [`Settings::with_flask_cookie`] for what is promised.
///
/// ```
/// # fn settings(settings: session_core::Settings) -> Result<session_core::Settings, session_core::config::ConfigError> {
/// use session_core::config::FlaskCookie;
///
/// let flask = FlaskCookie::new("the SECRET_KEY of the Flask application")?
///     .with_fallback("one of its SECRET_KEY_FALLBACKS")?;
/// # Ok(
/// settings.with_flask_cookie(flask)
/// # )
/// # }
/// ```
///
/// | Python | here |
/// |---|---|
/// | `None`, `bool`, `str`, `list`, `dict` | the same; the keys of a `dict` are text |
/// | `int` of 64 bits, `float` | a number; `NaN` and infinite, too |
/// | `int` beyond 64 bits | its decimal digits, as text |
/// | `tuple` | a list |
/// | `bytes` | bytes: `serde_bytes::ByteBuf` |
/// | `UUID` | text with hyphens, as the crate `uuid` reads it |
/// | `datetime` | [`Timestamp`](crate::Timestamp), in whole seconds, because Flask's cookie has no more |
/// | `Markup` | text |
///
/// A session that is not permanent in Flask is not
/// [permanent](crate::Session::is_permanent) here either.
///
/// With the feature `flask-cookie`.
#[derive(Clone, Debug)]
pub struct FlaskCookie {
    keys: SecretKeys,
    attributes: CookieAttributes,
    lifetime: Duration,
    stays: bool,
    user_key: Box<str>,
}

impl FlaskCookie {
    /// With the `SECRET_KEY` of the Flask application, which may be weak. All else has Flask's
    /// defaults.
    ///
    /// # Errors
    ///
    /// If the key is empty or blank.
    pub fn new(secret_key: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: SecretKeys::of_flask(secret_key)?,
            attributes: CookieAttributes {
                name: "session".into(),
                secure: false,
                same_site: None,
                ..CookieAttributes::default()
            },
            lifetime: Settings::DEFAULT_IDLE_TIMEOUT,
            stays: false,
            user_key: "_user_id".into(),
        })
    }

    /// Adds one of the Flask application's `SECRET_KEY_FALLBACKS`.
    ///
    /// # Errors
    ///
    /// If the key is empty or blank.
    pub fn with_fallback(mut self, secret_key: &str) -> Result<Self, ConfigError> {
        self.keys = self.keys.with_flask_fallback(secret_key)?;
        Ok(self)
    }

    /// The cookie as the Flask application has it: its name, and what its removal needs, which is
    /// domain, path, and whether it is partitioned or for other sites. Defaults to Flask's
    /// defaults: `session`, no domain, `/`.
    #[must_use]
    pub fn with_cookie(mut self, attributes: CookieAttributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// The Flask application's `PERMANENT_SESSION_LIFETIME`: Flask accepts no cookie that is older,
    /// whether its session is permanent or not. Defaults to 31 days.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Leaves Flask's cookie in the browser, for routes that Flask still serves. By default the
    /// response that starts a session removes it.
    ///
    /// A log-out here removes it all the same, or Flask would go on with the login.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.stays = true;
        self
    }

    /// The key under which the session has its user, as text or an integer. Defaults to
    /// `_user_id`, where Flask-Login has it. The user becomes the session's owner, and the value
    /// stays.
    #[must_use]
    pub fn with_user_key(mut self, key: &str) -> Self {
        self.user_key = key.into();
        self
    }

    /// The value of the `Set-Cookie` header that removes the cookie, as Flask writes it.
    pub(crate) fn removal(&self) -> String {
        super::removal(&self.attributes)
    }

    pub(crate) fn stays(&self) -> bool {
        self.stays
    }
}

impl Settings {
    /// Starts sessions from the built-in sessions of a Flask application.
    ///
    /// A request without a live session of its own, and with Flask's cookie, starts a session with
    /// the values and the user of that cookie. Requests that bring the same cookie of a user at once
    /// get the same session, so none of their changes is lost. Each such cookie starts one session,
    /// and once that has ended, by a log-out or by time, never another one. After a log-out of a
    /// user here, no Flask cookie of that user that was signed before it starts a session; so it is
    /// after a log-out from a list or everywhere. Both is noted in the store for as long as Flask
    /// accepts the cookie, and for 31 days at least. The notes are records with a key and a value of
    /// fixed length, and hold no name.
    ///
    /// A cookie without a user starts a session for each request that has none, as visitors whose
    /// cookies are equal must not share one. It starts no more once such a session was logged out.
    ///
    /// A started session counts as not authenticated lately:
    /// [`require_login_within`](crate::Session::require_login_within) refuses it until the user
    /// proves again who they are. What Flask-Login checks besides, such as its
    /// `session_protection`, is not checked. If the settings limit the
    /// [sessions of a user](Self::with_max_per_user), it counts as a login; if that is refused, the
    /// request goes on without a user, and Flask's cookie stays.
    ///
    /// Clocks may differ by 3 seconds: a cookie that is younger than a log-out by less than that
    /// starts no session, and neither does one that is from a later time than 3 seconds from now.
    ///
    /// A route that does not take its session starts none. **Each `Sessions` of the same users and
    /// store needs this setting**, or its log-outs are not noted; with ids in a header it starts no
    /// sessions, and only notes. [`Sessions`](crate::Sessions) refuses this with Flask's form, with
    /// Flask's cookie name, and with a store that cannot list a user's sessions: memcached, which
    /// forgets. With the feature `flask-cookie`.
    #[must_use]
    pub fn with_flask_cookie(mut self, cookie: FlaskCookie) -> Self {
        self.flask.cookie = Some(cookie);
        self
    }

    /// Checks the rules between the settings of Flask's built-in session and others.
    pub(crate) fn check_flask_cookie(&self) -> Result<(), ConfigError> {
        let Some(flask) = &self.flask.cookie else {
            return Ok(());
        };
        let refused = |reason: &str| Err(ConfigError::new("with_flask_cookie", reason));
        if !self.is_native() {
            return refused(
                "starts sessions of the native profile: use neither Settings::flask() nor with_flask_sessions",
            );
        }
        if flask.attributes.name == self.cookie.name {
            return refused(
                "needs another name than that of this application's cookie, SESSION_COOKIE_NAME",
            );
        }
        if let Err(error) = flask.attributes.check() {
            return refused(&format!("needs the Flask application's cookie: {error}"));
        }
        if flask.lifetime < Duration::from_secs(1) || flask.lifetime > Self::MAX_TIMEOUT {
            return refused("needs a lifetime of 1 second to 100 years");
        }
        Ok(())
    }
}
