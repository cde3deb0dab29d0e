//! A store that pauses before each command.

use std::{
    future::{pending, poll_fn},
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
};

use session_core::{
    Cursor, Error, Loaded, MemoryStore, OwnerIndex, OwnerKey, Page, Record, Result, Revision,
    SessionStore, StoreKey, Write, async_trait,
};

/// What happens to the next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is not carried out, and fails.
    NotApplied,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// It fails, and is carried out later.
    AppliedLate,
    /// It is carried out, and its request never continues.
    CrashAfter,
}

#[derive(Clone, Debug)]
pub(crate) enum Command {
    Load(StoreKey),
    Insert(StoreKey, Record),
    Update(StoreKey, Record, Revision),
    Delete(StoreKey),
    OwnedBy(OwnerKey),
    /// No command: the handler takes its time.
    Handle,
}

enum Reply {
    Loaded(Option<Loaded>),
    Written(Write),
    Deleted,
    Owned(Page),
}

/// The state that the scheduler and the store share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) failure: Option<Failure>,
    /// A request has come to this command and waits to carry it out.
    pub(crate) waiting: Option<Command>,
    /// Commands that are carried out after their request got an error.
    pub(crate) late: Vec<Command>,
    /// Every key that ever held a record, in the order of their records.
    pub(crate) keys: Vec<StoreKey>,
}

/// A store that pauses before each command until its request is polled again.
///
/// Its revisions are known before a write, as Redis's are, so requests of one process write behind each other.
/// The scheduler carries these writes out in any order.
#[derive(Clone, Debug, Default)]
pub(crate) struct PausingStore {
    pub(crate) inner: MemoryStore,
    shared: Arc<Mutex<Shared>>,
}

impl PausingStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            shared: Arc::default(),
        }
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared
            .lock()
            .expect("no test panics while it holds the shared")
    }

    pub(crate) async fn carry_out_late(&self, command: Command) {
        // Nobody waits for the answer.
        drop(self.carry_out(command).await);
    }

    /// The pause of a handler, which is no store time.
    pub(crate) async fn handle(&self) {
        self.wait_for_turn(&Command::Handle).await;
    }

    async fn pause(&self, command: Command) -> Result<Reply> {
        self.wait_for_turn(&command).await;
        let failure = self.shared().failure.take();
        match failure {
            None => self.carry_out(command).await,
            Some(Failure::NotApplied) => Err(backend_error()),
            Some(Failure::AnswerLost) => {
                drop(self.carry_out(command).await);
                Err(backend_error())
            }
            Some(Failure::AppliedLate) => {
                self.shared().late.push(command);
                Err(backend_error())
            }
            Some(Failure::CrashAfter) => {
                drop(self.carry_out(command).await);
                pending().await
            }
        }
    }

    async fn wait_for_turn(&self, command: &Command) {
        let mut paused = false;
        poll_fn(|cx| {
            if paused {
                return Poll::Ready(());
            }
            paused = true;
            // Work on many sessions polls only those of its calls that were woken.
            cx.waker().wake_by_ref();
            self.shared().waiting = Some(command.clone());
            Poll::Pending
        })
        .await;
    }

    async fn carry_out(&self, command: Command) -> Result<Reply> {
        Ok(match command {
            Command::Load(key) => {
                let loaded = self.inner.load(&key).await?;
                Reply::Loaded(loaded.map(|it| Loaded::compared_by_bytes(it.bytes)))
            }
            Command::Insert(key, record) => {
                self.shared().keys.push(key.clone());
                let write = self.inner.insert(&key, &record).await?;
                Reply::Written(by_bytes(&write, &record))
            }
            Command::Update(key, record, revision) => {
                let write = match self.inner.load(&key).await? {
                    Some(it) if it.bytes == revision.as_bytes() => {
                        self.inner.update(&key, &record, &it.revision).await?
                    }
                    _ => Write::Refused,
                };
                Reply::Written(by_bytes(&write, &record))
            }
            Command::Delete(key) => {
                self.inner.delete(&key).await?;
                Reply::Deleted
            }
            Command::OwnedBy(owner) => {
                let mut page = self.inner.owned_by(&owner, None, usize::MAX).await?;
                // Keys are random; the same decisions must lead to the same run.
                let position = |key: &StoreKey| self.shared().keys.iter().position(|it| it == key);
                page.records.sort_by_key(|listed| position(&listed.key));
                Reply::Owned(page)
            }
            Command::Handle => Reply::Deleted,
        })
    }
}

fn backend_error() -> Error {
    Error::backend("pausing", "the connection was lost")
}

#[async_trait]
impl SessionStore for PausingStore {
    fn limit(&self) -> usize {
        self.inner.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        match self.pause(Command::Load(key.clone())).await? {
            Reply::Loaded(loaded) => Ok(loaded),
            _ => unreachable!("a load is answered as a load"),
        }
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let insert = Command::Insert(key.clone(), record.clone());
        Ok(written(self.pause(insert).await?))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let update = Command::Update(key.clone(), record.clone(), revision.clone());
        Ok(written(self.pause(update).await?))
    }

    fn next_revision(&self, record: &Record) -> Option<Revision> {
        Some(Revision::new(record.bytes.clone()))
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.pause(Command::Delete(key.clone())).await.map(drop)
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        Some(self)
    }
}

#[async_trait]
impl OwnerIndex for PausingStore {
    async fn owned_by(&self, owner: &OwnerKey, _: Option<&Cursor>, _: usize) -> Result<Page> {
        match self.pause(Command::OwnedBy(owner.clone())).await? {
            Reply::Owned(records) => Ok(records),
            _ => unreachable!("a listing is answered as a listing"),
        }
    }
}

/// Its revision is the record itself.
fn by_bytes(write: &Write, record: &Record) -> Write {
    match write {
        Write::Stored(_) => Write::stored_bytes(record),
        Write::Refused => Write::Refused,
    }
}

fn written(reply: Reply) -> Write {
    match reply {
        Reply::Written(write) => write,
        _ => unreachable!("a write is answered as a write"),
    }
}
