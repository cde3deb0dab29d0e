use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    codec::{Form, RESERVED},
    config::Settings,
    content::{Content, Lineage, PERMANENT},
    error::{Error, Result},
    lifecycle::{Budget, Origin},
    memory::MemoryStore,
    op::{Message, Op, flashes},
    payload::{Dynamic, Value},
    shared::Shared,
};

mod open;
mod owner;
mod settle;
mod state;

use state::State;

/// A visitor's session: a map of string keys to values of any type that serde knows.
///
/// Reading and changing are synchronous. Changes are recorded one by one and saved together when the request is
/// answered, or by [`save`](Self::save); if another request was faster, they are made again on its result, so that
/// nothing of either is lost. A handle: clones share the session.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

pub(crate) struct Inner {
    shared: Arc<Shared>,
    budget: Budget,
    state: Mutex<State>,
    /// Saves of one session take turns.
    turn: tokio::sync::Mutex<()>,
}

impl Session {
    /// A session of its own in memory, to test handlers with.
    pub fn in_memory() -> Self {
        let store = Arc::new(MemoryStore::new());
        Self::at(
            Arc::new(Shared::of(Settings::unsigned(), store)),
            Origin::New,
        )
    }

    fn at(shared: Arc<Shared>, origin: Origin) -> Self {
        Self(Arc::new(Inner {
            budget: Budget::new(shared.settings.store_timeout),
            state: Mutex::new(State::new(origin, shared.blank.clone())),
            turn: tokio::sync::Mutex::default(),
            shared,
        }))
    }

    /// The value under `key`.
    ///
    /// # Errors
    ///
    /// If it is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.value(key).map(|value| value.decode()).transpose()
    }

    /// The value under `key`, not decoded.
    pub fn value(&self, key: &str) -> Option<Value> {
        self.read(|content| content.payload.value(key))
    }

    /// Whether there is a value under `key`.
    pub fn contains(&self, key: &str) -> bool {
        self.read(|content| content.payload.contains(key))
    }

    /// The keys, in the order in which they were first inserted.
    pub fn keys(&self) -> Vec<String> {
        self.read(|content| content.payload.keys().map(str::to_owned).collect())
    }

    /// Puts `value` under `key`; a value that was there is replaced.
    ///
    /// # Errors
    ///
    /// If the value cannot be encoded, or the key is reserved.
    pub fn insert<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        let value = Value::encode(value, self.0.shared.settings.format)?;
        self.insert_value(key, value)
    }

    /// Puts an encoded value under `key`, such as one that [`Dynamic::to_value`] makes: that way bytes and timestamps become
    /// what Flask-Session makes of them in JSON too.
    ///
    /// # Errors
    ///
    /// If the key is reserved.
    pub fn insert_value(&self, key: &str, value: Value) -> Result<()> {
        self.mutate(Op::Insert(writable(key)?.into(), value))
    }

    /// Puts what `change` makes of the value under `key` there, and returns it.
    ///
    /// This is the way to change a value that other requests may change too: if one was faster, `change` runs again on
    /// what it stored. So it may run more than once, and what it returns is provisional; after [`save`](Self::save),
    /// [`get`](Self::get) gives the final value.
    ///
    /// # Errors
    ///
    /// If the value found is not a `T`, the new one cannot be encoded, or the key is reserved.
    pub fn update<T, F>(&self, key: &str, change: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        let format = self.0.shared.settings.format;
        let op = Op::Update(
            writable(key)?.into(),
            Arc::new(move |found| {
                Value::encode(&change(found.map(Value::decode).transpose()?), format)
            }),
        );
        self.mutate(op)?;
        // Nobody but this request's own handles can have removed it since.
        self.get(key)?.ok_or(Error::Contended)
    }

    /// Removes the value under `key`; says whether there was one.
    pub fn remove(&self, key: &str) -> bool {
        let found = self.contains(key);
        if found || self.is_late() {
            self.mutate_surely(Op::Remove(key.into()));
        }
        found
    }

    /// Removes the value under `key` and returns it; one that another request puts there meanwhile stays.
    ///
    /// # Errors
    ///
    /// If it is not a `T`, in which case it stays.
    pub fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let taken = value.decode()?;
        self.mutate_surely(Op::Take(key.into(), value));
        Ok(Some(taken))
    }

    /// Removes every value; the session itself, its owner and its lifetime stay.
    pub fn clear(&self) {
        let form = self.0.shared.form();
        // In Flask a session that is cleared has no cookie any more, whatever it held.
        if form == Form::Flask || !self.keys().is_empty() || self.is_late() {
            self.mutate_surely(Op::Clear(form));
        }
    }

    /// Queues a message for the next page, under a category such as `info`.
    ///
    /// # Errors
    ///
    /// If `_flashes` holds something else.
    pub fn flash(&self, category: &str, message: &str) -> Result<()> {
        self.mutate(Op::Flash((category.to_owned(), message.to_owned())))
    }

    /// Takes the queued messages, each a category and a text; a second call gives none.
    ///
    /// # Errors
    ///
    /// If `_flashes` holds something else.
    pub fn take_flashes(&self) -> Result<Vec<Message>> {
        let queue = self.read(flashes)?;
        if !queue.is_empty() {
            self.mutate(Op::TakeFlashes(queue.clone()))?;
        }
        Ok(queue)
    }

    /// Gives the session a new id when it is saved; its data and its absolute timeout stay.
    ///
    /// Of many renewals at once exactly one id survives.
    pub fn renew(&self) {
        self.state().renew = true;
    }

    /// Ends the session: the data is gone at once, and from the store when this request is answered.
    ///
    /// What is inserted afterwards is in a session of its own.
    pub fn destroy(&self) {
        let removal = self.removal();
        self.state().destroy(removal);
    }

    /// Gives the session an idle timeout of its own, at least a second, or with `None` the application's again.
    ///
    /// It is stored with the session, so it also holds for the next request: "remember me" needs no more.
    pub fn set_lifetime(&self, idle: Option<Duration>) {
        self.mutate_surely(Op::Lifetime(
            idle.map(|idle| idle.max(Duration::from_secs(1))),
        ));
    }

    /// Makes the cookie outlive the browser, or not. Defaults to the application's setting.
    pub fn set_permanent(&self, permanent: bool) {
        self.mutate_surely(Op::Permanent(permanent));
    }

    /// Whether the cookie outlives the browser.
    pub fn is_permanent(&self) -> bool {
        let state = self.state();
        let form = state.live().map_or(self.0.shared.form(), |live| live.form);
        self.0.permanent(form, state.view())
    }

    /// When the session was created or last logged in to; `None` if it is not stored yet.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.state().live().and_then(|live| live.content.created_at)
    }

    /// When the session ends unless it is used; `None` if it is not stored yet.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.state().live().map(|live| live.expires_at)
    }

    /// Whether nothing of it is stored yet.
    pub fn is_new(&self) -> bool {
        self.state().live().is_none()
    }

    /// What names the session, before and after it is renewed; it opens nothing. `None` if it is not stored yet.
    pub fn lineage(&self) -> Option<Lineage> {
        self.state()
            .live()
            .and_then(|live| live.content.lineage.clone())
    }

    fn is_late(&self) -> bool {
        matches!(self.state().origin, Origin::Late)
    }

    fn read<T>(&self, look: impl FnOnce(&Content) -> T) -> T {
        look(self.state().view())
    }

    /// Every change goes through here: it is made on the session as this request sees it, and recorded.
    fn mutate(&self, op: Op) -> Result<()> {
        loop {
            let (before, version) = {
                let state = self.state();
                (state.view().clone(), state.version)
            };
            // Not under the lock: an update's closure is the application's code.
            let mut view = before;
            op.apply(
                &mut view,
                self.0.shared.now(),
                self.0.shared.settings.format,
            )?;
            let mut state = self.state();
            if state.version == version {
                state.record(op, view);
                return Ok(());
            }
        }
    }

    /// A change that neither encodes nor decodes anything.
    fn mutate_surely(&self, op: Op) {
        self.mutate(op)
            .expect("only encoding and decoding can fail");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Where the session says nothing, Flask takes it for one that ends with the browser.
    fn permanent(&self, form: Form, content: &Content) -> bool {
        match content.payload.value(PERMANENT) {
            Some(value) => is_truthy(&value),
            None => form == Form::Native && self.shared.settings.permanent,
        }
    }
}

/// Python's idea of truth, because Flask may have written the value.
fn is_truthy(value: &Value) -> bool {
    match value.to_dynamic() {
        Err(_) | Ok(Dynamic::Nil | Dynamic::Bool(false) | Dynamic::Int(0) | Dynamic::UInt(0)) => {
            false
        }
        Ok(Dynamic::Float(number)) => number != 0.0,
        Ok(Dynamic::Text(text)) => !text.is_empty(),
        Ok(Dynamic::Array(items)) => !items.is_empty(),
        Ok(_) => true,
    }
}

fn writable(key: &str) -> Result<&str> {
    if key == RESERVED {
        Err(Error::ReservedKey)
    } else {
        Ok(key)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("new", &self.is_new())
            .field("keys", &self.read(|it| it.payload.len()))
            .finish()
    }
}
