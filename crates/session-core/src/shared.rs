use std::{fmt, sync::Arc, time::SystemTime};

use crate::{
    codec::{Codec, Form},
    config::{FlaskSessions, Profile, Settings},
    content::{Content, PERMANENT},
    id::SessionId,
    key::StoreKey,
    lifecycle::Lanes,
    memory::Clock,
    payload::Value,
    secret_keys::SecretKeys,
    signer::Signer,
    store::{OwnerIndex, SessionStore},
};

/// What every session of an application has in common.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) owners: Option<Arc<dyn OwnerIndex>>,
    pub(crate) lanes: Lanes,
    /// What a new session starts from.
    pub(crate) blank: Content,
    signer: Option<Signer>,
    flask_signer: Option<Signer>,
    pub(crate) clock: Clock,
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

impl Shared {
    /// Settings that were checked, and a store that names no owner's sessions.
    pub(crate) fn of(settings: Settings, store: Arc<dyn SessionStore>) -> Self {
        let native = |keys: &SecretKeys| Signer::native(keys, &settings.cookie.name);
        Self {
            signer: settings.keys.as_ref().map(native),
            flask_signer: settings.flask_keys().map(Signer::flask),
            blank: blank(&settings),
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

fn blank(settings: &Settings) -> Content {
    let mut content = Content::default();
    if settings.profile == Profile::Flask && settings.permanent {
        let yes = Value::encode(&true, settings.format).expect("a truth value can be encoded");
        content.payload.insert_value(PERMANENT, yes);
    }
    content
}

fn verified<'v>(signer: Option<&Signer>, value: &'v str) -> Option<(&'v str, bool)> {
    match signer {
        Some(signer) => signer.verify(value).map(|it| (it.id, it.outdated)),
        None => Some((value, false)),
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
