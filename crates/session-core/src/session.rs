//! The session, as handlers use it: a handle on one request's state machine.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    config::Settings,
    content::{Content, Lineage, RESERVED},
    driver::{Aim, Drive, Locked, Request, apart},
    error::{Error, Result},
    expiry::Millis,
    header::MAX_LABEL,
    machine::{Goal, Machine, Saved},
    memory::MemoryStore,
    op::{Message, Op, flashes},
    payload::Value,
    rules::Rules,
    shared::Shared,
};

mod owner;

/// A visitor's session: a map of string keys to values of any type that serde can serialize.
///
/// Reading and changing are synchronous. Changes are recorded as operations. They are saved
/// together when the request is answered, or by [`save`](Self::save). If another request saved
/// first, they are replayed on what it stored, so no change is lost.
///
/// This is a handle: clones share the session.
///
/// The closure of [`update`](Self::update) must not use the session that it changes, nor a clone of
/// it. Otherwise the `update` fails with [`Error::Reentrant`], whichever method the closure calls.
#[derive(Clone)]
pub struct Session(Arc<Request>);

impl Session {
    /// A new session in memory, to test handlers with.
    pub fn in_memory() -> Self {
        let store = Arc::new(MemoryStore::new());
        let shared = Arc::new(Shared::of(Settings::unsigned(), store));
        let budget = shared.rules.settings.store_timeout;
        Self::of(Arc::new(Request::new(shared, Machine::blank(), budget)))
    }

    pub(crate) fn of(request: Arc<Request>) -> Self {
        Self(request)
    }

    /// The value under `key`, decoded as a `T`.
    ///
    /// # Errors
    ///
    /// If the value is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let value = self.machine()?.view(self.rules()).payload.value(key);
        value.map(|value| value.decode()).transpose()
    }

    /// The value under `key`, not decoded.
    pub fn value(&self, key: &str) -> Option<Value> {
        self.read(|content| content.payload.value(key)).flatten()
    }

    /// Whether there is a value under `key`.
    pub fn contains(&self, key: &str) -> bool {
        self.read(|content| content.payload.contains(key))
            .unwrap_or_default()
    }

    /// The keys, in the order in which they were first inserted.
    pub fn keys(&self) -> Vec<String> {
        self.read(|content| content.payload.keys().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    /// Inserts `value` under `key`. An existing value is replaced.
    ///
    /// # Errors
    ///
    /// If the value cannot be encoded, or the key is reserved.
    pub fn insert<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        let value = Value::encode(value, self.rules().settings.format)?;
        self.insert_value(key, value)
    }

    /// Inserts an encoded value under `key`, such as one from
    /// [`Dynamic::to_value`](crate::Dynamic::to_value), which encodes bytes and timestamps in JSON
    /// as Flask-Session does.
    ///
    /// # Errors
    ///
    /// If the key is reserved.
    pub fn insert_value(&self, key: &str, value: Value) -> Result<()> {
        self.change(Op::Insert(writable(key)?.into(), value))
    }

    /// Replaces the value under `key` by the result of `change`, and returns the new value.
    ///
    /// Use this for a value that other requests may change too. If another request saved first,
    /// `change` runs again on the value that it stored. So `change` may run more than once, and the
    /// returned value is provisional. After [`save`](Self::save), [`get`](Self::get) returns the
    /// final value.
    ///
    /// # Errors
    ///
    /// If the existing value is not a `T`, the new one cannot be encoded, or the key is reserved.
    pub fn update<T, F>(&self, key: &str, change: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        let format = self.rules().settings.format;
        let op = Op::Update(
            writable(key)?.into(),
            Arc::new(move |found| {
                apart(|| {
                    let found = found.map(Value::decode).transpose()?;
                    Value::encode(&change(found), format)
                })?
            }),
        );
        self.change(op)?;
        // Only another handle of this request can have removed it since.
        self.get(key)?.ok_or(Error::Contended)
    }

    /// Adds one to the integer under `key` and returns the sum; the first call inserts 1.
    ///
    /// As [`update`](Self::update): no concurrent increment is lost, and the returned sum is
    /// provisional until the session is saved. [`i64::MAX`] stays.
    ///
    /// # Errors
    ///
    /// If the value is not an `i64`, or the key is reserved.
    pub fn increment(&self, key: &str) -> Result<i64> {
        self.update(key, |n: Option<i64>| n.unwrap_or(0).saturating_add(1))
    }

    /// Removes the value under `key` and returns it, not decoded.
    ///
    /// Another request may remove it at the same time; then both return it. For a token that may be
    /// used only once, use [`take`](Self::take).
    pub fn remove(&self, key: &str) -> Option<Value> {
        let found = self.value(key);
        if found.is_some() || self.is_late() {
            self.change_surely(Op::Remove(key.into()));
        }
        found
    }

    /// Removes the value under `key` and returns it decoded. Of several requests that take the same
    /// value, only one is saved.
    ///
    /// If another request removed or replaced the value first, saving the session fails with
    /// [`Error::Conflict`] (409). So a token can be used once. What must not happen twice must wait
    /// for [`save`](Self::save). Where it does not matter that two requests get the value, use
    /// [`remove`](Self::remove).
    ///
    /// # Errors
    ///
    /// If the value is not a `T`; the value then stays.
    pub fn take<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let taken = value.decode()?;
        self.change_surely(Op::Take(key.into(), value));
        Ok(Some(taken))
    }

    /// Removes every value. The session itself, its owner and its lifetime stay.
    pub fn clear(&self) {
        let form = self.rules().settings.form;
        // In Flask a cleared session loses its cookie, whatever it held. If a session could not be
        // loaded, nobody knows what it holds.
        let unknown = self
            .machine_or_none()
            .is_some_and(|it| it.is_late() || it.is_not_loaded());
        if form.every_change_counts() || unknown || !self.keys().is_empty() {
            self.change_surely(Op::Clear(form));
        }
    }

    /// Queues a flash message for the next page, with a category such as `info`.
    ///
    /// # Errors
    ///
    /// If the value under `_flashes` is not a list of messages.
    pub fn flash(&self, category: &str, message: &str) -> Result<()> {
        self.change(Op::Flash((category.to_owned(), message.to_owned())))
    }

    /// Takes the queued flash messages, each as its category and its text. A second call returns
    /// none.
    ///
    /// ```
    /// # fn show(session: &session_core::Session) -> session_core::Result<()> {
    /// for (category, text) in session.take_flashes()? {
    ///     println!("{category}: {text}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the value under `_flashes` is not a list of messages.
    pub fn take_flashes(&self) -> Result<Vec<Message>> {
        let queue = flashes(self.machine()?.view(self.rules()))?;
        if !queue.is_empty() {
            self.change(Op::TakeFlashes(queue.clone()))?;
        }
        Ok(queue)
    }

    /// Gives the session a new id when it is saved; its data and its absolute timeout stay.
    ///
    /// If several requests renew at once, exactly one new id survives.
    pub fn renew(&self) {
        if let Some(mut machine) = self.machine_or_none() {
            machine.renew();
        }
    }

    /// Ends the session: its data is removed at once from this handle, and from the store when the
    /// request is answered.
    ///
    /// Values that are inserted afterwards belong to a new session.
    pub fn log_out(&self) {
        if let Some(mut machine) = self.machine_or_none() {
            machine.log_out(self.rules());
        }
    }

    /// Sets an idle timeout for this session, of at least one second. `None` restores the
    /// application's.
    ///
    /// With an [assurance level](crate::config::Assurance) it counts only up to the level's.
    ///
    /// It is stored with the session, so it also applies to later requests. For "remember me" the
    /// cookie must outlive the browser too. It does by default; with
    /// `Settings::with_permanent(false)` also call [`set_permanent(true)`](Self::set_permanent).
    pub fn set_lifetime(&self, idle: Option<Duration>) {
        self.change_surely(Op::Lifetime(
            idle.map(|idle| idle.max(Duration::from_secs(1))),
        ));
    }

    /// Sets whether the cookie outlives the browser. Defaults to the application's setting.
    pub fn set_permanent(&self, permanent: bool) {
        self.change_surely(Op::Permanent(permanent));
    }

    /// Sets the name of this session in lists of the user's sessions, such as "Firefox on Linux".
    /// At most 256 bytes; the rest is cut off.
    pub fn set_label(&self, label: Option<&str>) {
        let end = |label: &str| (0..=MAX_LABEL).rfind(|at| label.is_char_boundary(*at));
        let label = label.map(|label| label[..end(label).unwrap_or_default()].into());
        self.change_surely(Op::Label(label));
    }

    /// The name of this session in lists of the user's sessions.
    pub fn label(&self) -> Option<Arc<str>> {
        self.read(|content| content.label.clone()).flatten()
    }

    /// Keeps the session alive: the next [`save`](Self::save) moves its expiry, whether that is due
    /// or not.
    ///
    /// For a stream that only keeps a page open: call
    /// `session.extend(); let _saved = session.save().await?;` from time to time. [`Saved::Ended`]
    /// means that the user has logged out meanwhile. The end of the cookie can only be moved before
    /// the response's head is sent.
    pub fn extend(&self) {
        if let Some(mut machine) = self.machine_or_none() {
            machine.extend();
        }
    }

    /// Whether the cookie outlives the browser.
    pub fn is_permanent(&self) -> bool {
        self.machine_or_none().is_some_and(|machine| {
            let form = machine
                .live()
                .map_or(self.rules().settings.form, |live| live.form);
            self.rules().permanent(form, machine.view(self.rules()))
        })
    }

    /// When the session was created, last logged in to, or last reauthenticated. `None` if it is
    /// not stored yet. Flask's records do not tell it, so there it is `None` unless
    /// [`log_in`](Self::log_in) was called here.
    pub fn created_at(&self) -> Option<SystemTime> {
        let machine = self.machine_or_none()?;
        Some(machine.live()?.content.started_at()?.into())
    }

    /// When the session ends unless it is used. `None` if it is not stored yet, or if its store
    /// cannot tell.
    pub fn expires_at(&self) -> Option<SystemTime> {
        let machine = self.machine_or_none()?;
        Some(self.rules().end(machine.live()?)?.into())
    }

    /// Whether the session is not stored yet.
    pub fn is_new(&self) -> bool {
        self.machine_or_none()
            .is_none_or(|machine| machine.live().is_none())
    }

    /// A value that names the session before and after renewals, and gives no access to it. `None`
    /// if the session is not stored yet, or if it is Flask's, whose records have none.
    pub fn lineage(&self) -> Option<Lineage> {
        let lineage = self.machine_or_none()?.live()?.content.lineage?;
        Some(Lineage::from_bytes(lineage))
    }

    /// Saves the changes so far, before the request is answered or while its body is streamed.
    ///
    /// Afterwards the values are final, as they are in the store.
    ///
    /// If this future is dropped, nothing is lost: the next save, or the end of the request,
    /// continues it. If the request itself is dropped because the browser hung up, the adapter
    /// continues it.
    ///
    /// Before the response's head is sent, a cookie that is needed goes into that head. After the
    /// head, each call has the request's whole store time again, and a change that needs a cookie
    /// fails. So save a first session, a login or a renewal before a stream is returned.
    ///
    /// # Errors
    ///
    /// If the store fails; the result is then unknown, and every later save fails too. If the
    /// session is too large, or if a cookie is needed and the head was sent; the changes are then
    /// dropped, and the stored session is intact.
    pub async fn save(&self) -> Result<Saved> {
        let save = Drive::new(self.0.clone(), Aim::Reach(Goal::Save));
        self.0.result.met(save.await)
    }

    /// Loads the session again. Changes that are not saved yet are replayed on it.
    ///
    /// # Errors
    ///
    /// If the store fails, if the session has expired, or if its record is absent without a
    /// tombstone.
    pub async fn reload(&self) -> Result<()> {
        let reload = Drive::new(self.0.clone(), Aim::Reach(Goal::Reload));
        self.0.result.met(reload.await).map(|_| ())
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.shared().rules
    }

    pub(crate) fn now(&self) -> Millis {
        self.0.shared().now()
    }

    pub(crate) fn machine(&self) -> Result<Locked<'_>> {
        self.0.lock()
    }

    /// For methods that cannot fail. If the closure of an `update` calls them, the `update` fails.
    pub(crate) fn machine_or_none(&self) -> Option<Locked<'_>> {
        self.0.lock().ok()
    }

    fn is_late(&self) -> bool {
        self.machine_or_none()
            .is_some_and(|machine| machine.is_late())
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Content) -> T) -> Option<T> {
        Some(look(self.machine_or_none()?.view(self.rules())))
    }

    /// Every change goes through here. It is applied to the session as this request sees it, and
    /// recorded.
    pub(crate) fn change(&self, op: Op) -> Result<()> {
        let now = self.now();
        self.machine()?.change(op, self.rules(), now)
    }

    /// A change that neither encodes nor decodes anything.
    fn change_surely(&self, op: Op) {
        match self.change(op) {
            Ok(()) | Err(Error::Reentrant) => {}
            Err(error) => unreachable!("only encoding and decoding can fail: {error}"),
        }
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
            .field(
                "keys",
                &self.read(|it| it.payload.len()).unwrap_or_default(),
            )
            .finish()
    }
}
