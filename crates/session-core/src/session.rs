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

/// A visitor's session: a map of string keys to values of any type that serde knows.
///
/// Reading and changing are synchronous. Changes are recorded one by one and saved together when the request is
/// answered, or by [`save`](Self::save); if another request was faster, they are made again on its result, so that
/// nothing of either is lost. A handle: clones share the session.
///
/// The closure of [`update`](Self::update) may not use the session that it changes, nor a clone: that is
/// [`Error::Reentrant`], whichever of the methods it calls.
#[derive(Clone)]
pub struct Session(Arc<Request>);

impl Session {
    /// A session of its own in memory, to test handlers with.
    pub fn in_memory() -> Self {
        let store = Arc::new(MemoryStore::new());
        let shared = Arc::new(Shared::of(Settings::unsigned(), store));
        let budget = shared.rules.settings.store_timeout;
        Self::of(Arc::new(Request::new(shared, Machine::blank(), budget)))
    }

    pub(crate) fn of(request: Arc<Request>) -> Self {
        Self(request)
    }

    /// The value under `key`.
    ///
    /// # Errors
    ///
    /// If it is not a `T`.
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

    /// Puts `value` under `key`; a value that was there is replaced.
    ///
    /// # Errors
    ///
    /// If the value cannot be encoded, or the key is reserved.
    pub fn insert<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<()> {
        let value = Value::encode(value, self.rules().settings.format)?;
        self.insert_value(key, value)
    }

    /// Puts an encoded value under `key`, such as one that [`Dynamic::to_value`](crate::Dynamic::to_value) makes: that way bytes and timestamps become
    /// what Flask-Session makes of them in JSON too.
    ///
    /// # Errors
    ///
    /// If the key is reserved.
    pub fn insert_value(&self, key: &str, value: Value) -> Result<()> {
        self.change(Op::Insert(writable(key)?.into(), value))
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
        // Nobody but this request's own handles can have removed it since.
        self.get(key)?.ok_or(Error::Contended)
    }

    /// Removes the value under `key` and returns it, not decoded.
    ///
    /// See [`take`](Self::take) for a value of a type, such as a token that may be used once.
    pub fn remove(&self, key: &str) -> Option<Value> {
        let found = self.value(key);
        if found.is_some() || self.is_late() {
            self.change_surely(Op::Remove(key.into()));
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
        self.change_surely(Op::Take(key.into(), value));
        Ok(Some(taken))
    }

    /// Removes every value; the session itself, its owner and its lifetime stay.
    pub fn clear(&self) {
        let form = self.rules().settings.form;
        // In Flask a session that is cleared has no cookie any more, whatever it held.
        // Of one that could not be loaded nobody knows what it holds.
        let unknown = self
            .machine_or_none()
            .is_some_and(|it| it.is_late() || it.is_detached());
        if form.every_change_counts() || unknown || !self.keys().is_empty() {
            self.change_surely(Op::Clear(form));
        }
    }

    /// Queues a message for the next page, under a category such as `info`.
    ///
    /// # Errors
    ///
    /// If `_flashes` holds something else.
    pub fn flash(&self, category: &str, message: &str) -> Result<()> {
        self.change(Op::Flash((category.to_owned(), message.to_owned())))
    }

    /// Takes the queued messages, each a category and a text; a second call gives none.
    ///
    /// # Errors
    ///
    /// If `_flashes` holds something else.
    pub fn take_flashes(&self) -> Result<Vec<Message>> {
        let queue = flashes(self.machine()?.view(self.rules()))?;
        if !queue.is_empty() {
            self.change(Op::TakeFlashes(queue.clone()))?;
        }
        Ok(queue)
    }

    /// Gives the session a new id when it is saved; its data and its absolute timeout stay.
    ///
    /// Of many renewals at once exactly one id survives.
    pub fn renew(&self) {
        if let Some(mut machine) = self.machine_or_none() {
            machine.renew();
        }
    }

    /// Ends the session: the data is gone at once, and from the store when this request is answered.
    ///
    /// What is inserted afterwards is in a session of its own.
    pub fn log_out(&self) {
        if let Some(mut machine) = self.machine_or_none() {
            machine.destroy(self.rules());
        }
    }

    /// Gives the session an idle timeout of its own, at least a second, or with `None` the application's again.
    ///
    /// It is stored with the session, so it also holds for the next request. For "remember me" the cookie must outlive the
    /// browser too: by default it does, with `Settings::with_permanent(false)` call
    /// [`set_permanent(true)`](Self::set_permanent) as well.
    pub fn set_lifetime(&self, idle: Option<Duration>) {
        self.change_surely(Op::Lifetime(
            idle.map(|idle| idle.max(Duration::from_secs(1))),
        ));
    }

    /// Makes the cookie outlive the browser, or not. Defaults to the application's setting.
    pub fn set_permanent(&self, permanent: bool) {
        self.change_surely(Op::Permanent(permanent));
    }

    /// How a list of the user's sessions names this one, such as "Firefox on Linux"; at most 256 bytes, the rest is
    /// cut off.
    pub fn set_label(&self, label: Option<&str>) {
        let label = label.map(|label| label[..label.floor_char_boundary(MAX_LABEL)].into());
        self.change_surely(Op::Label(label));
    }

    /// How a list of the user's sessions names this one.
    pub fn label(&self) -> Option<Arc<str>> {
        self.read(|content| content.label.clone()).flatten()
    }

    /// Keeps the session alive: moves its expiry with the next [`save`](Self::save), whether that is due or not.
    ///
    /// For a stream that only holds a page open: `session.extend(); let _saved = session.save().await?;` now and then;
    /// [`Saved::Ended`] says that the user has logged out meanwhile. The cookie can only be moved before the response's
    /// head is sent.
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

    /// When the session was created or last logged in to; `None` if it is not stored yet. Flask's records do not
    /// say: there it is `None` too, unless [`log_in`](Self::log_in) was called here.
    pub fn created_at(&self) -> Option<SystemTime> {
        let machine = self.machine_or_none()?;
        Some(machine.live()?.content.started_at()?.into())
    }

    /// When the session ends unless it is used; `None` if it is not stored yet, or if its store cannot tell.
    pub fn expires_at(&self) -> Option<SystemTime> {
        let machine = self.machine_or_none()?;
        Some(self.rules().end(machine.live()?)?.into())
    }

    /// Whether nothing of it is stored yet.
    pub fn is_new(&self) -> bool {
        self.machine_or_none()
            .is_none_or(|machine| machine.live().is_none())
    }

    /// What names the session, before and after it is renewed; it opens nothing. `None` if it is not stored yet, or if it
    /// is Flask's, whose records have none.
    pub fn lineage(&self) -> Option<Lineage> {
        let lineage = self.machine_or_none()?.live()?.content.lineage?;
        Some(Lineage::from_bytes(lineage))
    }

    /// Saves what changed so far, before the request is answered or while its body is streamed.
    ///
    /// Afterwards values are final, as they are in the store. Before the response's head is sent, a cookie that is
    /// needed goes into that head. A future that is dropped loses nothing: the next save, or the end of the request,
    /// goes on with it; so does the adapter if the request itself is dropped, because the browser hung up. After the
    /// head, each call has the request's whole store time again, and a change that needs a cookie fails: save a first
    /// session, a login or a renewal before a stream is returned.
    ///
    /// # Errors
    ///
    /// If the store fails: the outcome is unknown, and stays so for every later save. If the session is too large, or
    /// the head was sent and a cookie is needed: the changes are dropped, and what was stored is intact.
    pub async fn save(&self) -> Result<Saved> {
        Drive::new(self.0.clone(), Aim::Reach(Goal::Save)).await
    }

    /// Looks at the store again; changes that are not saved yet are made on what it finds.
    ///
    /// # Errors
    ///
    /// If the store fails, or the session has expired, or its record is gone without a trace.
    pub async fn reload(&self) -> Result<()> {
        let reload = Drive::new(self.0.clone(), Aim::Reach(Goal::Reload));
        reload.await.map(|_| ())
    }

    fn rules(&self) -> &Rules {
        &self.0.shared().rules
    }

    fn now(&self) -> Millis {
        self.0.shared().now()
    }

    fn machine(&self) -> Result<Locked<'_>> {
        self.0.lock()
    }

    /// For methods that cannot fail: the `update` whose closure calls them does.
    fn machine_or_none(&self) -> Option<Locked<'_>> {
        self.0.lock().ok()
    }

    fn is_late(&self) -> bool {
        self.machine_or_none()
            .is_some_and(|machine| machine.is_late())
    }

    fn read<T>(&self, look: impl FnOnce(&Content) -> T) -> Option<T> {
        Some(look(self.machine_or_none()?.view(self.rules())))
    }

    /// Every change goes through here: it is made on the session as this request sees it, and recorded.
    fn change(&self, op: Op) -> Result<()> {
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
