use std::{fmt, sync::Arc, time::SystemTime};

use crate::{
    codec::{Codec, Form},
    config::{ConfigError, FlaskSessions, Profile, Settings},
    id::SessionId,
    key::StoreKey,
    lifecycle::{Lanes, OwnedSession},
    memory::Clock,
    signer::{SecretKeys, Signer},
    store::{OwnerIndex, SessionStore},
    visit::Visit,
};

/// One application's sessions: its settings and its store.
///
/// A handle: clones share everything.
#[derive(Clone)]
pub struct Sessions(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) owners: Option<Arc<dyn OwnerIndex>>,
    pub(crate) lanes: Lanes,
    signer: Option<Signer>,
    flask_signer: Option<Signer>,
    clock: Clock,
}

/// The id that a request presented, and the record it opens.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    pub(crate) id: SessionId,
    pub(crate) key: StoreKey,
    pub(crate) form: Form,
    /// Signed with an older key.
    pub(crate) outdated: bool,
}

impl Sessions {
    /// Sessions kept in `store`, which cannot name an owner's sessions or need not.
    ///
    /// # Errors
    ///
    /// If the settings break a rule; the message says which, and what to do.
    pub fn new(settings: Settings, store: Arc<dyn SessionStore>) -> Result<Self, ConfigError> {
        Self::with_clock(settings, store, None, Arc::new(SystemTime::now))
    }

    /// Sessions kept in `store`, which can list an owner's sessions and log them out.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_owners(
        settings: Settings,
        store: Arc<dyn OwnerIndex>,
    ) -> Result<Self, ConfigError> {
        Self::with_clock(
            settings,
            store.clone(),
            Some(store),
            Arc::new(SystemTime::now),
        )
    }

    /// Sessions with every part given, the clock too.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_clock(
        settings: Settings,
        store: Arc<dyn SessionStore>,
        owners: Option<Arc<dyn OwnerIndex>>,
        clock: Clock,
    ) -> Result<Self, ConfigError> {
        settings.check()?;
        Ok(Self(Arc::new(Shared {
            owners,
            clock,
            ..Shared::of(settings, store)
        })))
    }

    /// One request's use of the session.
    pub fn visit(&self) -> Arc<Visit> {
        Arc::new(Visit::new(self.0.clone()))
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The live sessions of `owner`, for an administrator's page.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions.
    pub async fn of_owner(&self, owner: &str) -> crate::Result<Vec<OwnedSession>> {
        self.0.alone().owned(owner).await
    }

    /// Ends every session of `owner`, such as after a changed password, and says how many it ended.
    ///
    /// It ends every session whose login was answered before the call, and every renewal of those. A login of the same
    /// owner that is still in flight survives it.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions.
    pub async fn end_all_of(&self, owner: &str) -> crate::Result<u64> {
        self.0.alone().end_all(owner, None).await
    }
}

impl Shared {
    /// Settings that were checked, and a store that names no owner's sessions.
    pub(crate) fn of(settings: Settings, store: Arc<dyn SessionStore>) -> Self {
        let native = |keys: &SecretKeys| Signer::native(keys, &settings.cookie.name);
        let reads_flask =
            settings.profile == Profile::Flask || settings.flask_sessions != FlaskSessions::Ignore;
        Self {
            signer: settings.keys.as_ref().map(native),
            flask_signer: settings
                .keys
                .as_ref()
                .filter(|_| reads_flask)
                .map(Signer::flask),
            settings,
            store,
            owners: None,
            lanes: Lanes::default(),
            clock: Arc::new(SystemTime::now),
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// The form of new records.
    pub(crate) fn form(&self) -> Form {
        match self.settings.profile {
            Profile::Native => Form::Native,
            Profile::Flask => Form::Flask,
        }
    }

    pub(crate) fn codec(&self, form: Form) -> Codec {
        Codec {
            form,
            format: self.settings.format,
            dated: self.settings.absolute_timeout.is_some(),
        }
    }

    /// The form of the record under `key`: successors are named by their key alone.
    pub(crate) fn key_of(&self, form: Form, id: &SessionId) -> StoreKey {
        match form {
            Form::Native => self.settings.prefix.hashed_key(id),
            Form::Flask => self.settings.prefix.plain_key(id),
        }
    }

    /// The value of the cookie that carries `id`.
    pub(crate) fn cookie_value(&self, form: Form, id: &SessionId) -> String {
        let signer = match form {
            Form::Native => &self.signer,
            Form::Flask => &self.flask_signer,
        };
        signer
            .as_ref()
            .map_or_else(|| id.as_str().to_owned(), |signer| signer.sign(id.as_str()))
    }

    /// The id in a cookie's value, if it is well formed and signed as it must be. No I/O.
    pub(crate) fn accept(&self, value: &[u8]) -> Option<Presented> {
        // The longest id and signature there are; nothing longer is worth a look.
        if value.len() > 256 {
            return None;
        }
        let value = std::str::from_utf8(value).ok()?;
        if self.settings.profile == Profile::Flask {
            return self.accept_flask(value);
        }
        self.accept_native(value).or_else(|| {
            (self.settings.flask_sessions != FlaskSessions::Ignore)
                .then(|| self.accept_flask(value))?
        })
    }

    fn accept_native(&self, value: &str) -> Option<Presented> {
        let (text, outdated) = verified(self.signer.as_ref(), value)?;
        let id = SessionId::from_native(text, self.settings.id_bytes)?;
        Some(self.presented(Form::Native, id, outdated))
    }

    fn accept_flask(&self, value: &str) -> Option<Presented> {
        let (text, outdated) = verified(self.flask_signer.as_ref(), value)?;
        let id = SessionId::from_flask(text)?;
        Some(self.presented(Form::Flask, id, outdated))
    }

    fn presented(&self, form: Form, id: SessionId, outdated: bool) -> Presented {
        Presented {
            key: self.key_of(form, &id),
            id,
            form,
            outdated,
        }
    }
}

fn verified<'v>(signer: Option<&Signer>, value: &'v str) -> Option<(&'v str, bool)> {
    match signer {
        Some(signer) => signer.verify(value).map(|it| (it.id, it.outdated)),
        None => Some((value, false)),
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("settings", &self.settings)
            .field("store", &self.store)
            .field("owners", &self.owners.is_some())
            .finish_non_exhaustive()
    }
}
