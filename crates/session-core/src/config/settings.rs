//! [`Settings`]: everything that an application can choose, with defaults and checks.

use std::{sync::Arc, time::Duration};

use super::{Assurance, ConfigError, IdHeader};
use crate::{
    cookie::CookieAttributes, encryption::EncryptionKeys, expiry::Timeouts, id::SessionId,
    key::KeyPrefix, payload::Format, record::Record, rules::Form, secret_keys::SecretKeys,
};

/// When the use of a session moves its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refresh {
    /// Only a change moves it (Flask's `SESSION_REFRESH_EACH_REQUEST = False`).
    OnChange,
    /// Use moves it if more than a tenth of the idle timeout has passed since the last time, or, if
    /// a user is logged in, the period of [`with_last_seen`](Settings::with_last_seen). The
    /// default.
    WhenDue,
    /// Every request that uses the session moves it.
    EveryAccess,
    /// Every request moves it, whether it uses the session or not (Flask's default).
    EveryRequest,
}

/// What a request gets if its session cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStoreFailure {
    /// An error: 503. The default.
    Fail,
    /// An empty session that is never written.
    Anonymous,
}

/// What a login does if its user has the most sessions already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMaxPerUser {
    /// It ends the session whose login is longest ago. The default.
    EndOldest,
    /// It fails with [`Error::TooManySessions`](crate::Error::TooManySessions), whose response is a
    /// 403.
    RefuseLogin,
}

/// What a browser keeps for a site, as `Clear-Site-Data` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SiteData {
    /// Responses that the browser cached for the origin.
    Cache,
    /// The cookies of the whole registrable domain.
    Cookies,
    /// What scripts of the origin stored, and its service workers.
    Storage,
}

impl SiteData {
    fn directive(self) -> &'static str {
        match self {
            Self::Cache => "\"cache\"",
            Self::Cookies => "\"cookies\"",
            Self::Storage => "\"storage\"",
        }
    }
}

/// Everything that an application can choose. The defaults are the safest choices.
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) keys: Option<SecretKeys>,
    pub(crate) encryption: Option<EncryptionKeys>,
    pub(crate) cookie: CookieAttributes,
    pub(crate) id_header: Option<Arc<IdHeader>>,
    pub(crate) prefix: KeyPrefix,
    pub(crate) id_bytes: usize,
    pub(crate) permanent: bool,
    pub(crate) idle_timeout: Duration,
    pub(crate) absolute_timeout: Option<Duration>,
    /// Whether each timeout was set by itself, and not by a level.
    pub(crate) idle_is_set: bool,
    pub(crate) absolute_is_set: bool,
    pub(crate) assurance: Option<Assurance>,
    /// The longest idle timeout that a session may have of its own.
    pub(crate) longest_idle: Duration,
    pub(crate) refresh: Refresh,
    pub(crate) store_timeout: Duration,
    pub(crate) on_store_failure: OnStoreFailure,
    pub(crate) no_store: bool,
    pub(crate) clear_site_data: Option<Box<str>>,
    pub(crate) max_bytes: usize,
    pub(crate) max_keys: usize,
    pub(crate) max_per_user: Option<usize>,
    pub(crate) on_max_per_user: OnMaxPerUser,
    pub(crate) last_seen: Duration,
    pub(crate) rotation: Option<Duration>,
    pub(crate) rotated_id_ends_session: bool,
    pub(crate) sweep_pause: Duration,
    #[cfg(feature = "dbsc")]
    pub(crate) device_binding: Option<crate::dbsc::DeviceBinding>,
    /// The form of new sessions.
    pub(crate) form: Form,
    /// The forms that are read, in the order in which a cookie is tried.
    pub(crate) forms: &'static [Form],
    pub(crate) format: Format,
    #[cfg(feature = "flask")]
    pub(crate) flask: crate::flask::FlaskSettings,
}

impl Settings {
    /// 31 days, as for Flask's permanent sessions.
    pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(2_678_400);
    pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(100 * 366 * 86_400);

    /// The defaults, with cookies signed by `keys`.
    pub fn new(keys: SecretKeys) -> Self {
        Self {
            keys: Some(keys),
            ..Self::unsigned()
        }
    }

    /// The defaults, with cookies that carry the bare id.
    ///
    /// An id has 256 random bits and cannot be guessed. A signature saves the store the loads for
    /// forged ids.
    pub fn unsigned() -> Self {
        Self {
            keys: None,
            encryption: None,
            cookie: CookieAttributes::default(),
            id_header: None,
            prefix: KeyPrefix::default(),
            id_bytes: SessionId::DEFAULT_BYTES,
            permanent: true,
            idle_timeout: Self::DEFAULT_IDLE_TIMEOUT,
            absolute_timeout: None,
            idle_is_set: false,
            absolute_is_set: false,
            assurance: None,
            longest_idle: Duration::MAX,
            refresh: Refresh::WhenDue,
            store_timeout: Duration::from_secs(1),
            on_store_failure: OnStoreFailure::Fail,
            no_store: true,
            clear_site_data: None,
            max_bytes: usize::MAX,
            max_keys: usize::MAX,
            max_per_user: None,
            on_max_per_user: OnMaxPerUser::EndOldest,
            last_seen: Duration::from_secs(3600),
            rotation: None,
            rotated_id_ends_session: false,
            sweep_pause: Duration::from_secs(300),
            #[cfg(feature = "dbsc")]
            device_binding: None,
            form: Form::Native,
            forms: Form::Native.only_this(),
            format: Format::MessagePack,
            #[cfg(feature = "flask")]
            flask: crate::flask::FlaskSettings::default(),
        }
    }

    /// Signs cookies with `keys`.
    #[must_use]
    pub fn with_keys(mut self, keys: SecretKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Encrypts what sessions hold, before a store sees it. By default it is not encrypted.
    ///
    /// The header of a record stays readable: times, owner, label and lineage. Whoever can write to
    /// the store can change neither: the record would be treated as damaged. With the feature
    /// `encryption`.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn with_encryption(mut self, keys: EncryptionKeys) -> Self {
        self.encryption = Some(keys);
        self
    }

    /// Binds sessions to the browser's device, where the browser can. By default they are not bound.
    /// With the feature `dbsc`.
    ///
    /// The application also adds the adapter's two routes.
    #[cfg(feature = "dbsc")]
    #[must_use]
    pub fn with_device_binding(mut self, binding: crate::dbsc::DeviceBinding) -> Self {
        self.device_binding = Some(binding);
        self
    }

    /// How sessions are bound to devices, if they are.
    #[cfg(feature = "dbsc")]
    pub fn device_binding(&self) -> Option<&crate::dbsc::DeviceBinding> {
        self.device_binding.as_ref()
    }

    /// The cookie's name and attributes. Defaults to [`CookieAttributes::default`].
    #[must_use]
    pub fn with_cookie(mut self, cookie: CookieAttributes) -> Self {
        self.cookie = cookie;
        self
    }

    /// The prefix of every store key. Defaults to `session:`.
    #[must_use]
    pub fn with_key_prefix(mut self, prefix: KeyPrefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// The random bytes of an id, 16 to 90. Defaults to 32.
    #[must_use]
    pub fn with_id_bytes(mut self, bytes: usize) -> Self {
        self.id_bytes = bytes;
        self
    }

    /// Whether the cookie outlives the browser, unless the session says otherwise. Defaults to
    /// true.
    #[must_use]
    pub fn with_permanent(mut self, permanent: bool) -> Self {
        self.permanent = permanent;
        self
    }

    /// How long a session lives after its last use, unless the session has a lifetime of its own.
    /// Defaults to 31 days.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self.idle_is_set = true;
        self
    }

    /// How long a session lives after its creation, its last login or its last reauthentication,
    /// whatever its use. Defaults to no limit.
    #[must_use]
    pub fn with_absolute_timeout(mut self, timeout: Duration) -> Self {
        self.absolute_timeout = Some(timeout);
        self.absolute_is_set = true;
        self
    }

    /// When the use of a session moves its expiry. Defaults to [`Refresh::WhenDue`].
    #[must_use]
    pub fn with_refresh(mut self, refresh: Refresh) -> Self {
        self.refresh = refresh;
        self
    }

    /// What all store calls of one request may take together. Defaults to one second.
    #[must_use]
    pub fn with_store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// What a request gets if its session cannot be loaded. Defaults to [`OnStoreFailure::Fail`].
    #[must_use]
    pub fn with_on_store_failure(mut self, policy: OnStoreFailure) -> Self {
        self.on_store_failure = policy;
        self
    }

    /// Whether responses that depend on a session with an owner carry `Cache-Control: no-store`,
    /// unless the application set `Cache-Control` itself. Defaults to true.
    ///
    /// Without it, a browser may show the page after the log-out, from its back/forward cache (ASVS
    /// 5.0, 14.3.2).
    #[must_use]
    pub fn with_no_store(mut self, no_store: bool) -> Self {
        self.no_store = no_store;
        self
    }

    /// What the response to a log-out asks the browser to delete, in `Clear-Site-Data`. Defaults to
    /// nothing: the session's cookie is removed by itself.
    ///
    /// [`SiteData::Cookies`] deletes the cookies of the whole registrable domain: a log-out at
    /// `shop.example.org` logs the browser out at `forum.example.org`, too. The others delete what
    /// the origin stored, for all users of the browser profile. Browsers heed the header only over
    /// TLS. A handler that sets it itself takes precedence.
    #[must_use]
    pub fn with_clear_site_data(mut self, data: &[SiteData]) -> Self {
        let names: Vec<_> = data.iter().map(|it| it.directive()).collect();
        self.clear_site_data = (!names.is_empty()).then(|| names.join(", ").into());
        self
    }

    /// The largest record of a session in bytes, header included: at least 1,024. Defaults to the
    /// store's limit, which applies in any case.
    ///
    /// Data that make a session larger than that are
    /// [`Error::TooLarge`](crate::Error::TooLarge), and the stored session stays as it was. So a
    /// visitor cannot fill the store by one session. Renewals, logins and what makes a session
    /// smaller are not stopped. The fields that they write, less than 1 KiB, may exceed the limit.
    #[must_use]
    pub fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The most keys that a session may have, the library's own `_permanent` and `_flashes`
    /// included: at least 1. Defaults to the limit of the format, 16,384.
    ///
    /// A change that adds keys beyond that is [`Error::TooManyKeys`](crate::Error::TooManyKeys), and
    /// the stored session stays as it was. If the limit is lowered, sessions that have more already
    /// go on, and can be renewed and made smaller.
    #[must_use]
    pub fn with_max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// The most live sessions that a user may have at once: 1 to 1,000. Defaults to no limit.
    ///
    /// Once all logins that were under way are answered, no user has more, whatever the number of
    /// processes and of logins at the same moment. Of two in the same millisecond, chance says which
    /// is the older. A session counts until it has ended, and a session that is renewed, or whose
    /// own user logs in again, counts once. It needs a store that can list a user's sessions. A login
    /// costs one list and one write more, and beside [`RefuseLogin`](OnMaxPerUser::RefuseLogin)
    /// another load and another write. A log-out costs one list more, and so does the login of
    /// another user in the same browser, which also costs a load.
    ///
    /// The limit applies when a user logs in. If it is lowered, a user with more sessions keeps
    /// them until the next login. All processes must have the same limit and the same policy. If a
    /// login is undone because another request of the same browser was first, or because the store
    /// failed, what it had ended for its sake stays ended.
    ///
    /// A login that failed takes no place, and is in no list. If the store was down, so that it could
    /// not be undone, it counts for six times the [store timeout](Self::with_store_timeout) and ten
    /// seconds. If only its last write failed, the browser is logged in although the answer was an
    /// error; as long as the session is not used, a login at the limit ends it before all others.
    #[must_use]
    pub fn with_max_per_user(mut self, sessions: usize) -> Self {
        self.max_per_user = Some(sessions);
        self
    }

    /// What a login does if its user has the most sessions already. Defaults to
    /// [`OnMaxPerUser::EndOldest`].
    ///
    /// With [`RefuseLogin`](OnMaxPerUser::RefuseLogin) every session counts until it ends, also one
    /// that nobody can use any more: its cookie was lost, the key that signed its cookie or encrypted
    /// its data was dropped, or its data are damaged; or it is what a failure of the store left of a
    /// renewal, see `SECURITY.md`. So give its user a way to end it, such as
    /// [`Sessions::log_out_everywhere`](crate::Sessions::log_out_everywhere) after the password. If
    /// you drop a key to end all sessions, change the key prefix as well. Without a limit it is
    /// refused.
    #[must_use]
    pub fn with_on_max_per_user(mut self, policy: OnMaxPerUser) -> Self {
        self.on_max_per_user = policy;
        self
    }

    /// How exact the time of last use is in a list of a user's sessions. Defaults to an hour.
    ///
    /// A logged-in session that is in use costs at most one write in each period. The setting has
    /// no effect if it is more than a tenth of the idle timeout, or with another [`Refresh`] than
    /// [`WhenDue`](Refresh::WhenDue).
    #[must_use]
    pub fn with_last_seen(mut self, period: Duration) -> Self {
        self.last_seen = period;
        self
    }

    /// Gives a session a new id by itself when its id has been in use for this period: some hours
    /// or days, at least one second, and less than the absolute timeout. Defaults to never.
    ///
    /// So a cookie that leaked, such as in a log or a backup, is of no use after a while, and its
    /// use by somebody else shows: a [security event](crate::SECURITY_EVENTS) named `rotated_id`.
    /// No request of the same browser becomes anonymous by it. Until a request presents the new id,
    /// requests with the old one go on in the session and are answered with the new cookie; then
    /// they go on for 30 seconds without one; then they are refused. What counts is when a request
    /// arrived: when [`begin_request`](crate::Sessions::begin_request) was called for it. A login, a
    /// log-out and [`renew`](crate::Session::renew) leave the old ids no such time.
    ///
    /// A rotation costs three writes: the new record, the old one's tombstone, and the note that
    /// the new id was presented. A request with the old id loads two records, or three if it is
    /// answered with the cookie. The tombstone, of about 300 bytes, is kept as long as the session
    /// may live: up to its absolute timeout, or without one for an idle timeout after the rotation.
    ///
    /// `SECURITY.md` says what is detected, and what is a false alarm. Sessions that are shared
    /// with Flask cannot be rotated.
    #[must_use]
    pub fn with_rotation(mut self, period: Duration) -> Self {
        self.rotation = Some(period);
        self
    }

    /// Whether a request with an id that was rotated long ago ends the session, whoever has it by
    /// now. Defaults to false: the request is refused, and nothing else.
    ///
    /// One of the two is a thief, and nobody knows which. But whoever has an old id can then log
    /// the user out, and so does a browser whose profile was restored from a backup. If the clocks of
    /// two processes differ by 30 seconds, so does a request that was under way at the rotation.
    /// Without [`with_rotation`](Self::with_rotation) it is refused.
    #[must_use]
    pub fn with_rotated_id_ending_session(mut self, ends: bool) -> Self {
        self.rotated_id_ends_session = ends;
        self
    }

    /// The pause between two sweeps of expired records. Defaults to 300 seconds.
    #[must_use]
    pub fn with_sweep_pause(mut self, pause: Duration) -> Self {
        self.sweep_pause = pause;
        self
    }

    /// Whether only records with a header are read.
    pub(crate) fn is_native(&self) -> bool {
        self.forms.iter().all(|form| form.has_header())
    }

    /// The cookie's name and attributes.
    pub fn cookie(&self) -> &CookieAttributes {
        &self.cookie
    }

    /// The prefix of every store key.
    pub fn key_prefix(&self) -> &KeyPrefix {
        &self.prefix
    }

    /// The random bytes of an id.
    pub fn id_bytes(&self) -> usize {
        self.id_bytes
    }

    /// Whether the cookie outlives the browser, unless the session says otherwise.
    pub fn permanent(&self) -> bool {
        self.permanent
    }

    /// How long a session lives after its last use, unless the session has a lifetime of its own.
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// How long a session lives after its creation, its last login or its last reauthentication.
    pub fn absolute_timeout(&self) -> Option<Duration> {
        self.absolute_timeout
    }

    /// What all store calls of one request may take together.
    pub fn store_timeout(&self) -> Duration {
        self.store_timeout
    }

    /// What a request gets if its session cannot be loaded.
    pub fn on_store_failure(&self) -> OnStoreFailure {
        self.on_store_failure
    }

    /// Whether responses that depend on a session with an owner carry `Cache-Control: no-store`.
    pub fn no_store(&self) -> bool {
        self.no_store
    }

    /// The most live sessions that a user may have at once.
    pub fn max_per_user(&self) -> Option<usize> {
        self.max_per_user
    }

    /// What a login does if its user has the most sessions already.
    pub fn on_max_per_user(&self) -> OnMaxPerUser {
        self.on_max_per_user
    }

    /// How exact the time of last use is in a list of a user's sessions.
    pub fn last_seen(&self) -> Duration {
        self.last_seen
    }

    /// After which time in use a session's id is rotated.
    pub fn rotation(&self) -> Option<Duration> {
        self.rotation
    }

    /// Whether a request with an id that was rotated long ago ends the session.
    pub fn rotated_id_ends_session(&self) -> bool {
        self.rotated_id_ends_session
    }

    /// How new sessions are stored.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The pause between two sweeps of expired records.
    pub fn sweep_pause(&self) -> Duration {
        self.sweep_pause
    }

    /// When the use of a session moves its expiry.
    pub fn refresh(&self) -> Refresh {
        self.refresh
    }

    pub(crate) fn timeouts(&self, idle: Option<Duration>) -> Timeouts {
        Timeouts {
            idle: idle.map_or(self.idle_timeout, |own| own.min(self.longest_idle)),
            absolute: self.absolute_timeout,
        }
    }

    /// Checks every rule between the settings.
    ///
    /// # Errors
    ///
    /// The first rule that is broken. The message says what to do.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_assurance_cookie()?;
        self.cookie.check()?;
        self.check_id_header()?;
        if !(SessionId::MIN_BYTES..=SessionId::MAX_BYTES).contains(&self.id_bytes) {
            return Err(ConfigError::new(
                "SESSION_ID_LENGTH",
                "must be 16 to 90 (bytes)",
            ));
        }
        let timeout = |name, timeout: Duration| {
            if timeout < Duration::from_secs(1) || timeout > Self::MAX_TIMEOUT {
                return Err(ConfigError::new(name, "must be 1 second to 100 years"));
            }
            Ok(())
        };
        timeout("PERMANENT_SESSION_LIFETIME", self.idle_timeout)?;
        if let Some(absolute) = self.absolute_timeout {
            timeout("SESSION_ABSOLUTE_LIFETIME", absolute)?;
        }
        if let Some(period) = self.rotation {
            timeout("SESSION_ROTATION_SECONDS", period)?;
            if !self.is_native() {
                return Err(ConfigError::new(
                    "SESSION_ROTATION_SECONDS",
                    "is not for sessions that are shared with Flask, which knows no tombstones; leave it unset",
                ));
            }
            if let Some(absolute) = self.absolute_timeout.filter(|it| period >= *it) {
                let longest = absolute.as_secs();
                return Err(ConfigError::new(
                    "SESSION_ROTATION_SECONDS",
                    format!(
                        "must be less than the absolute timeout, {longest} (seconds): no session lives long enough"
                    ),
                ));
            }
        } else if self.rotated_id_ends_session {
            return Err(ConfigError::new(
                "SESSION_ROTATED_ID_ENDS_SESSION",
                "has no effect without rotation: set SESSION_ROTATION_SECONDS, or leave both unset",
            ));
        }
        self.check_assurance()?;
        if self.store_timeout.is_zero() || self.store_timeout > Duration::from_secs(60) {
            return Err(ConfigError::new(
                "SESSION_STORE_TIMEOUT_MS",
                "must be 1 to 60000 (milliseconds)",
            ));
        }
        if self.sweep_pause.is_zero() {
            return Err(ConfigError::new(
                "SESSION_CLEANUP_SECONDS",
                "must be at least 1 (second)",
            ));
        }
        if self.max_bytes < Record::HEAD {
            return Err(ConfigError::new(
                "SESSION_MAX_BYTES",
                format!("must be at least {}", Record::HEAD),
            ));
        }
        if self.max_keys == 0 {
            return Err(ConfigError::new("SESSION_MAX_KEYS", "must be at least 1"));
        }
        if self
            .max_per_user
            .is_some_and(|it| !(1..=1000).contains(&it))
        {
            return Err(ConfigError::new(
                "SESSION_MAX_PER_USER",
                "must be 1 to 1000",
            ));
        }
        if self.max_per_user.is_none() && self.on_max_per_user == OnMaxPerUser::RefuseLogin {
            return Err(ConfigError::new(
                "SESSION_ON_MAX_PER_USER",
                "refuses no login without a limit: set SESSION_MAX_PER_USER, or leave both unset",
            ));
        }
        if self.is_native() {
            self.prefix.refuse_empty()?;
        }
        if self.form.has_header() && self.format == Format::Json {
            return Err(ConfigError::new(
                "SESSION_SERIALIZATION_FORMAT",
                "json is for the Flask profile, with the Cargo feature `flask`; leave it unset",
            ));
        }
        #[cfg(feature = "flask")]
        self.check_flask()?;
        #[cfg(feature = "flask-cookie")]
        self.check_flask_cookie()?;
        self.check_encryption()?;
        #[cfg(feature = "dbsc")]
        self.check_device_binding()?;
        Ok(())
    }

    #[cfg(feature = "dbsc")]
    fn check_device_binding(&self) -> Result<(), ConfigError> {
        let Some(binding) = &self.device_binding else {
            return Ok(());
        };
        let refuse = |reason| Err(ConfigError::new("the device binding", reason));
        if !self.is_native() {
            return refuse(
                "is not for sessions that are shared with Flask, whose records have no place for a device",
            );
        }
        if self.id_header.is_some() {
            return refuse(
                "needs cookies, and these sessions have their ids in a header: use one of the two",
            );
        }
        binding.check(&self.cookie)
    }

    /// Records in Flask's form are never encrypted.
    fn check_encryption(&self) -> Result<(), ConfigError> {
        let Some(keys) = &self.encryption else {
            return Ok(());
        };
        if !self.form.has_header() {
            return Err(ConfigError::new(
                "SESSION_ENCRYPTION_KEY",
                "is not for the Flask profile: Flask could not read the sessions",
            ));
        }
        if self.forms.iter().any(|form| !form.has_header()) && !keys.accepts_plain() {
            return Err(ConfigError::new(
                "SESSION_ENCRYPTION_ACCEPT_PLAIN",
                "must be true if Flask's sessions are read, too: they are not encrypted",
            ));
        }
        Ok(())
    }
}
