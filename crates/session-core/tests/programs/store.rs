//! The store of a program: each call waits until the program releases it.

use std::{
    collections::HashMap,
    fmt,
    future::{Future, pending},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use session_core::{
    Bytes, Cursor, Error, IndexEntry, KeyPrefix, Listed, Loaded, Moving, OwnerIndex, OwnerKey,
    Page, Record, Result, Revision, Scan, SessionStore, StoreKey, Write, async_trait,
};

use crate::program::Behaviour;

/// How many records there are on a page of an owner's: as few as can be, so that much happens
/// between two pages.
const PAGE: usize = 1;

/// The length of a native record's key: the prefix, and 64 digits.
const NATIVE: usize = "session:".len() + 64;

/// How a native record begins, and the version of one that a later release wrote.
const MAGIC: u8 = 0xC1;
const LATER_VERSION: u8 = 9;

/// What somebody else's record says.
const THEIRS: &[u8] = b"somebody else's";

/// The store of a program. Each call waits until the program lets it continue, and succeeds or
/// fails as the program says.
///
/// It keeps the contract, unless a [promise](Broken) is broken on purpose.
#[derive(Clone)]
pub(crate) struct Store {
    world: Arc<Mutex<World>>,
    side: Side,
}

/// Sessions may move from one store to another. Both are in one world, under other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

/// What the keys of the new store begin with in the world.
const NEW: &str = "new ";

/// A promise that the store does not keep, to show that the checker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    UpdateNeverRefuses,
    UpdateRevives,
    UpdateLoses,
    UpdateDeletes,
    InsertOverwrites,
    IndexForgets,
    LoadIsStale,
}

/// Two real stores, which answer in place of the world. The world keeps the records beside them, and says
/// what the contract allows.
pub(crate) trait Backing: Send {
    /// The next program has stores of its own.
    fn next_program(&mut self);
    /// Fails only if the store itself sees that the record is damaged.
    fn load(&mut self, in_new: bool, key: &StoreKey) -> Result<Option<Loaded>>;
    fn insert(&mut self, in_new: bool, key: &StoreKey, record: &Record) -> Write;
    fn update(&mut self, in_new: bool, key: &StoreKey, record: &Record, at: &Revision) -> Write;
    fn delete(&mut self, in_new: bool, key: &StoreKey);
    /// Shortens the record to these bytes behind the store's back.
    fn damage(&mut self, in_new: bool, key: &StoreKey, bytes: &Bytes);
    fn owned_by(&mut self, in_new: bool, owner: &OwnerKey, cursor: Option<&Cursor>) -> Page;
    fn records(&mut self, in_new: bool, cursor: Option<&Cursor>) -> Page;
}

/// What is in the store, and who waits for it.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) backing: Option<Box<dyn Backing>>,
    pub(crate) records: HashMap<StoreKey, Held>,
    /// In an order that has nothing to do with when they came, but is the same in each run of a
    /// program.
    entries: Vec<Entry>,
    /// The keys in the order in which they were first used.
    pub(crate) keys: Vec<StoreKey>,
    last_revision: u64,
    /// What each write replaced, and when.
    undo: Vec<(u64, StoreKey, Option<Held>)>,
    /// Counts what happens.
    pub(crate) tick: u64,
    /// Calls are carried out at once.
    pub(crate) open: bool,
    /// The thread that is being polled.
    pub(crate) current: usize,
    calls: Vec<Call>,
    last_call: usize,
    /// The keys under which somebody else has a record.
    taken: Vec<StoreKey>,
    /// Records that cannot be read.
    unreadable: HashMap<StoreKey, Bytes>,
    /// Commands that are carried out after their caller got an error or went away.
    late: Vec<Command>,
    pub(crate) dropped_calls_arrive: bool,
    pub(crate) broken: Option<Broken>,
    /// By thread: how many calls there were, and when the last began.
    pub(crate) counts: Vec<Counts>,
    /// By thread: the keys of loaded records, and when each was loaded.
    pub(crate) loaded_at: Vec<HashMap<StoreKey, u64>>,
    /// The same for a call on a user's sessions that is not over.
    pub(crate) loaded_by_owner_call: Option<HashMap<StoreKey, u64>>,
    /// What was loaded last.
    pub(crate) loaded: Option<StoreKey>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) last_began: u64,
    /// Calls of two stores, each of which is carried out as several.
    in_calls: u32,
}

#[derive(Clone)]
pub(crate) struct Held {
    bytes: Bytes,
    revision: u64,
    /// That of the real store, if there is one, and if it can read the record.
    backed: Option<Revision>,
    /// If it was damaged: its revision before. A real store need not see that it has changed since,
    /// because nobody has written it.
    intact: Option<u64>,
    expires_at: SystemTime,
}

struct Entry {
    number: u64,
    owner: OwnerKey,
    key: StoreKey,
    expires_at: SystemTime,
}

/// A call that waits.
struct Call {
    id: usize,
    thread: usize,
    name: &'static str,
    behaviour: Option<Behaviour>,
    waker: Waker,
}

#[derive(Clone, Debug)]
enum Command {
    Load(StoreKey),
    Insert(StoreKey, Record),
    Update(StoreKey, Record, Revision),
    Delete(StoreKey),
    OwnedBy(OwnerKey, Option<Cursor>),
    /// The next record of the new store or of the old one, from this place in the order of the keys.
    Records(bool, Option<Cursor>),
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Load(_) => "a load",
            Self::Insert(..) => "an insert",
            Self::Update(..) => "an update",
            Self::Delete(_) => "a delete",
            Self::OwnedBy(..) => "a page of a list",
            Self::Records(..) => "a page of a scan",
        }
    }
}

enum Reply {
    Loaded(Option<Loaded>),
    /// The store itself sees that the record is damaged.
    Unreadable(Error),
    Written(Write),
    Deleted,
    Page(Page),
}

impl Store {
    pub(crate) fn new() -> Self {
        Self::of(World::default())
    }

    fn of(world: World) -> Self {
        Self {
            world: Arc::new(Mutex::new(world)),
            side: Side::Old,
        }
    }

    /// The store that the sessions move to.
    pub(crate) fn beside(&self) -> Self {
        Self {
            world: self.world.clone(),
            side: Side::New,
        }
    }

    /// The key in the world.
    fn key(&self, key: &StoreKey) -> StoreKey {
        match self.side {
            Side::Old => key.clone(),
            Side::New => StoreKey::from_stored(format!("{NEW}{}", key.as_str())),
        }
    }

    /// The name in the world.
    fn owner(&self, owner: &OwnerKey) -> OwnerKey {
        match self.side {
            Side::Old => owner.clone(),
            Side::New => OwnerKey::from_stored(format!("{NEW}{}", owner.as_str())),
        }
    }

    /// The record in the world.
    fn record(&self, record: &Record) -> Record {
        let entry = record.entry.clone().map(|entry| IndexEntry {
            owner: self.owner(&entry.owner),
            provider_session: entry.provider_session.map(|it| self.owner(&it)),
            ..entry
        });
        Record {
            entry,
            ..record.clone()
        }
    }

    /// The page with the keys of this store.
    fn page(page: Page) -> Page {
        let records = page.records.into_iter().map(|it| {
            let key = it.key.as_str();
            let key = key.strip_prefix(NEW).unwrap_or(key);
            Listed {
                key: StoreKey::from_stored(key),
                ..it
            }
        });
        Page {
            records: records.collect(),
            next: page.next,
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(&self, command: Command) -> Result<Reply> {
        let behaviour = Gate {
            store: self,
            command: &command,
            id: None,
        }
        .await;
        match behaviour {
            Behaviour::Fine => Ok(self.world().answer(&command)),
            Behaviour::ErrorBefore => Err(failure()),
            Behaviour::ErrorAfter => {
                self.world().carry_out(&command);
                Err(failure())
            }
            Behaviour::LostBefore => pending().await,
            Behaviour::LostAfter => {
                self.world().carry_out(&command);
                pending().await
            }
            Behaviour::Slow(millis) => {
                let (reply, tick) = self.world().carry_out_at(&command);
                tokio::time::sleep(Duration::from_millis(millis)).await;
                self.world().tell(&command, &reply, tick);
                Ok(reply)
            }
            Behaviour::Taken => {
                // Nobody else has a record under a key that sessions move to.
                if let Command::Insert(key, record) = &command
                    && self.side == Side::Old
                {
                    self.world().take(key, record);
                }
                Ok(self.world().carry_out(&command))
            }
            Behaviour::Late => {
                self.world().late.push(command);
                Err(failure())
            }
        }
    }
}

fn failure() -> Error {
    Error::backend("programs", "the connection was lost")
}

/// Waits until the program lets the call go on.
struct Gate<'s> {
    store: &'s Store,
    command: &'s Command,
    id: Option<usize>,
}

impl Future for Gate<'_> {
    type Output = Behaviour;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Behaviour> {
        let mut world = self.store.world();
        let Some(id) = self.id else {
            if world.open {
                return Poll::Ready(Behaviour::Fine);
            }
            let id = world.begin(self.command.name(), cx.waker());
            drop(world);
            self.id = Some(id);
            return Poll::Pending;
        };
        let position = world.calls.iter().position(|it| it.id == id);
        let position = position.expect("a call is there until it goes on");
        if let Some(behaviour) = world.calls[position].behaviour {
            world.calls.remove(position);
            drop(world);
            self.id = None;
            return Poll::Ready(behaviour);
        }
        let call = &mut world.calls[position];
        if !call.waker.will_wake(cx.waker()) {
            call.waker.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut world = self.store.world();
        world.calls.retain(|it| it.id != id);
        if world.dropped_calls_arrive
            && !matches!(self.command, Command::Load(_) | Command::OwnedBy(..))
        {
            world.late.push(self.command.clone());
        }
    }
}

impl World {
    /// Empties everything for the next program.
    pub(crate) fn reset(&mut self, threads: usize) {
        if let Some(backing) = &mut self.backing {
            backing.next_program();
        }
        self.records.clear();
        self.entries.clear();
        self.keys.clear();
        self.undo.clear();
        self.calls.clear();
        self.late.clear();
        self.taken.clear();
        self.unreadable.clear();
        self.last_revision = 0;
        self.tick = 0;
        self.open = true;
        self.counts.clear();
        self.counts.resize(threads, Counts::default());
        self.loaded_at.clear();
        self.loaded_at.resize(threads, HashMap::new());
    }

    pub(crate) fn tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    fn begin(&mut self, name: &'static str, waker: &Waker) -> usize {
        let tick = self.tick();
        self.last_call += 1;
        let (id, thread) = (self.last_call, self.current);
        self.calls.push(Call {
            id,
            thread,
            name,
            behaviour: None,
            waker: waker.clone(),
        });
        let counts = &mut self.counts[thread];
        counts.calls += 1;
        if counts.in_calls == 0 {
            counts.last_began = tick;
        }
        id
    }

    /// Lets the thread's oldest waiting call go on, and says what it does.
    pub(crate) fn grant(&mut self, thread: usize, behaviour: Behaviour) -> Option<&'static str> {
        let waiting = |it: &&mut Call| it.thread == thread && it.behaviour.is_none();
        let call = self.calls.iter_mut().find(waiting)?;
        call.behaviour = Some(behaviour);
        call.waker.wake_by_ref();
        Some(call.name)
    }

    /// How many calls are left in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.calls.len()
    }

    /// Carries out the oldest command whose caller got an error or went away. False if there is
    /// none.
    pub(crate) fn carry_out_late(&mut self) -> bool {
        if self.late.is_empty() {
            return false;
        }
        let command = self.late.remove(0);
        self.carry_out(&command);
        true
    }

    pub(crate) fn sweep(&mut self, now: SystemTime) {
        let ended: Vec<_> = self
            .records
            .iter()
            .filter(|(_, held)| held.expires_at <= now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in ended {
            self.remove(&key);
        }
        self.entries.retain(|it| it.expires_at > now);
    }

    pub(crate) fn evict(&mut self, number: usize) {
        if self.keys.is_empty() {
            return;
        }
        let key = self.keys[number % self.keys.len()].clone();
        self.remove(&key);
    }

    /// Removes a record behind the library's back.
    fn remove(&mut self, key: &StoreKey) {
        if let Some(backing) = &mut self.backing {
            let (in_new, key) = real(key);
            backing.delete(in_new, &key);
        }
        self.replace(key, None);
    }

    /// Makes a record one that is none, or one of a later release.
    pub(crate) fn damage(&mut self, number: usize, later: bool) {
        if self.keys.is_empty() {
            return;
        }
        let key = self.keys[number % self.keys.len()].clone();
        if let Some(mut held) = self.records.get(&key).cloned() {
            let before = held.revision;
            self.last_revision += 1;
            held.revision = self.last_revision;
            // A store does not write over what it cannot read.
            let can_be = self.backing.is_none() || held.backed.is_some();
            let is_written = later && can_be && held.bytes.len() > 1 && held.bytes[0] == MAGIC;
            held.bytes = if is_written {
                let mut bytes = held.bytes.to_vec();
                bytes[1] = LATER_VERSION;
                bytes.into()
            } else {
                let length = held.bytes.len();
                held.bytes.slice(..length.div_ceil(2))
            };
            if let Some(backing) = &mut self.backing {
                let (in_new, name) = real(&key);
                if is_written {
                    held.backed = write_over(&mut **backing, in_new, &name, &held);
                    held.intact = None;
                } else {
                    backing.damage(in_new, &name, &held.bytes);
                    let loaded = backing.load(in_new, &name).ok().flatten();
                    held.backed = loaded.map(|it| it.revision);
                    held.intact.get_or_insert(before);
                }
            }
            // Flask deletes what it has emptied, whatever it is by then. A damaged record of logins
            // is written anew.
            let names_logins = key.as_str().contains("logins:");
            if held.bytes.first() == Some(&MAGIC) && !names_logins {
                self.unreadable.insert(key.clone(), held.bytes.clone());
            }
            self.replace(&key, Some(held));
        }
    }

    /// How many records that cannot be read were overwritten. A copy that a renewal gives up is
    /// deleted, whatever it is.
    pub(crate) fn overwritten_unreadable(&self) -> usize {
        let lost = |(key, bytes): &(&StoreKey, &Bytes)| {
            let held = self.records.get(*key);
            held.is_some_and(|it| it.bytes != **bytes)
        };
        self.unreadable.iter().filter(lost).count()
    }

    /// Somebody else has a record under the key.
    fn take(&mut self, key: &StoreKey, record: &Record) {
        let theirs = Record {
            bytes: Bytes::from_static(THEIRS),
            entry: None,
            ..record.clone()
        };
        let mut held = self.held(&theirs);
        if let Some(backing) = &mut self.backing {
            let (in_new, key) = real(key);
            if let Write::Stored(revision) = backing.insert(in_new, &key, &theirs) {
                held.backed = Some(revision);
            }
        }
        self.replace(key, Some(held));
        self.taken.push(key.clone());
    }

    /// How many records of somebody else's were overwritten or removed.
    pub(crate) fn robbed(&self) -> usize {
        let robbed = |key: &&StoreKey| self.records.get(key).is_none_or(|it| it.bytes != THEIRS);
        self.taken.iter().filter(robbed).count()
    }

    /// Removes a record without a tombstone.
    pub(crate) fn forget(&mut self, key: &StoreKey) {
        self.remove(key);
    }

    /// A store with the records as they were at `tick`.
    pub(crate) fn earlier(&self, tick: u64) -> Store {
        Store::of(World {
            records: self.records_at(tick),
            open: true,
            ..World::default()
        })
    }

    /// When the store was changed up to `tick`, the last time first.
    pub(crate) fn changed_until(&self, tick: u64) -> Vec<u64> {
        let times = self.undo.iter().rev().map(|(when, ..)| *when);
        times.filter(|when| *when <= tick).collect()
    }

    /// The records as they were at `tick`.
    fn records_at(&self, tick: u64) -> HashMap<StoreKey, Held> {
        let mut records = self.records.clone();
        for (when, key, before) in self.undo.iter().rev() {
            if *when <= tick {
                break;
            }
            match before {
                Some(held) => records.insert(key.clone(), held.clone()),
                None => records.remove(key),
            };
        }
        records
    }

    /// Carries out a command whose answer arrives.
    fn answer(&mut self, command: &Command) -> Reply {
        let (reply, tick) = self.carry_out_at(command);
        self.tell(command, &reply, tick);
        reply
    }

    /// Carries out a command, and says when that was.
    fn carry_out_at(&mut self, command: &Command) -> (Reply, u64) {
        let reply = self.carry_out(command);
        (reply, self.tick())
    }

    /// The answer to a command that was carried out at `tick` arrives.
    fn tell(&mut self, command: &Command, reply: &Reply, tick: u64) {
        // A write that was refused tells that the record is another one, not which.
        let ((Command::Load(key), _)
        | (
            Command::Insert(key, _) | Command::Update(key, ..),
            Reply::Written(Write::Stored(_)),
        )) = (command, reply)
        else {
            return;
        };
        if self.open {
            return;
        }
        let thread = self.current;
        if let Some(loaded_at) = self
            .loaded_by_owner_call
            .as_mut()
            .or(self.loaded_at.get_mut(thread))
        {
            loaded_at.insert(key.clone(), tick);
        }
    }

    fn carry_out(&mut self, command: &Command) -> Reply {
        if let Some(mut backing) = self.backing.take() {
            let reply = self.carry_out_on(&mut *backing, command);
            self.backing = Some(backing);
            return reply;
        }
        match command {
            Command::Load(key) => {
                self.loaded = Some(key.clone());
                Reply::Loaded(self.load(key))
            }
            Command::Insert(key, record) => {
                if !self.keys.contains(key) {
                    self.keys.push(key.clone());
                }
                let taken = self.records.contains_key(key);
                if taken && self.broken != Some(Broken::InsertOverwrites) {
                    return Reply::Written(Write::Refused);
                }
                Reply::Written(Write::Stored(self.put(key, record)))
            }
            Command::Update(key, record, revision) => {
                let held = self.records.get(key);
                let unchanged = held.is_some_and(|it| revision.as_u64() == Some(it.revision));
                let allowed = match self.broken {
                    Some(Broken::UpdateNeverRefuses) => held.is_some(),
                    Some(Broken::UpdateRevives) => unchanged || held.is_none(),
                    _ => unchanged,
                };
                if !allowed {
                    return Reply::Written(Write::Refused);
                }
                if let Some(Broken::UpdateLoses | Broken::UpdateDeletes) = self.broken {
                    self.last_revision += 1;
                    if self.broken == Some(Broken::UpdateDeletes) {
                        self.replace(key, None);
                    }
                    return Reply::Written(Write::Stored(self.last_revision.into()));
                }
                Reply::Written(Write::Stored(self.put(key, record)))
            }
            Command::Delete(key) => {
                self.replace(key, None);
                Reply::Deleted
            }
            Command::OwnedBy(owner, cursor) => {
                Reply::Page(self.owned_by(owner, cursor.as_ref().map_or(0, number)))
            }
            Command::Records(new, cursor) => {
                let from = cursor.as_ref().map_or(0, number);
                let from = usize::try_from(from).expect("a number of records");
                Reply::Page(self.after(*new, from))
            }
        }
    }

    /// The same by real stores. What they answer has to be what the contract says.
    fn carry_out_on(&mut self, backing: &mut dyn Backing, command: &Command) -> Reply {
        match command {
            Command::Load(key) => {
                self.loaded = Some(key.clone());
                let (in_new, name) = real(key);
                let held = self.records.get(key);
                let loaded = match backing.load(in_new, &name) {
                    Err(error) if held.is_some_and(|it| it.intact.is_some()) => {
                        return Reply::Unreadable(error);
                    }
                    loaded => loaded.expect("only a record that was damaged cannot be loaded"),
                };
                assert_eq!(
                    loaded.as_ref().map(|it| &it.bytes),
                    held.map(|it| &it.bytes),
                    "a load of {key:?}"
                );
                assert_eq!(
                    loaded.as_ref().map(|it| &it.revision),
                    held.and_then(|it| it.backed.as_ref()),
                    "the revision of {key:?}"
                );
                let loaded = loaded.zip(held);
                Reply::Loaded(loaded.map(|(loaded, held)| Loaded {
                    revision: numbered(held.revision, &loaded.revision),
                    ..loaded
                }))
            }
            Command::Insert(key, record) => {
                if !self.keys.contains(key) {
                    self.keys.push(key.clone());
                }
                let (in_new, name) = real(key);
                let write = backing.insert(in_new, &name, &real_record(record));
                let allowed = !self.records.contains_key(key);
                assert_eq!(write.is_stored(), allowed, "an insert of {key:?}");
                Reply::Written(self.note(key, record, write))
            }
            Command::Update(key, record, revision) => {
                let (in_new, name) = real(key);
                let (number, revision) = numbered_by(revision);
                let write = backing.update(in_new, &name, &real_record(record), &revision);
                let held = self.records.get(key);
                if held.is_some_and(|it| it.intact == Some(number)) {
                    // Who loaded it before it was damaged has all of it.
                    if write.is_stored() {
                        self.unreadable.remove(key);
                    }
                } else {
                    let allowed = held.is_some_and(|it| it.revision == number);
                    assert_eq!(write.is_stored(), allowed, "an update of {key:?}");
                }
                Reply::Written(self.note(key, record, write))
            }
            Command::Delete(key) => {
                let (in_new, name) = real(key);
                backing.delete(in_new, &name);
                self.replace(key, None);
                Reply::Deleted
            }
            Command::OwnedBy(owner, cursor) => {
                let (in_new, owner) = real_owner(owner);
                Reply::Page(backing.owned_by(in_new, &owner, cursor.as_ref()))
            }
            Command::Records(in_new, cursor) => {
                Reply::Page(backing.records(*in_new, cursor.as_ref()))
            }
        }
    }

    /// Keeps what a real store has stored.
    fn note(&mut self, key: &StoreKey, record: &Record, write: Write) -> Write {
        let Write::Stored(revision) = write else {
            return write;
        };
        let mut held = self.held(record);
        let given = numbered(held.revision, &revision);
        held.backed = Some(revision);
        self.replace(key, Some(held));
        Write::Stored(given)
    }

    /// A record with a revision of its own.
    fn held(&mut self, record: &Record) -> Held {
        self.last_revision += 1;
        Held {
            bytes: record.bytes.clone(),
            revision: self.last_revision,
            backed: None,
            intact: None,
            expires_at: record.expires_at,
        }
    }

    fn load(&self, key: &StoreKey) -> Option<Loaded> {
        let mut held = self.records.get(key);
        if self.broken == Some(Broken::LoadIsStale) {
            let before = self.undo.iter().rev().find(|(_, it, _)| it == key);
            held = before.and_then(|(_, _, held)| held.as_ref()).or(held);
        }
        held.map(|held| Loaded {
            bytes: held.bytes.clone(),
            revision: held.revision.into(),
            // Flask's layouts keep it outside of the bytes.
            expires_at: (key.as_str().len() < NATIVE).then_some(held.expires_at),
        })
    }

    fn put(&mut self, key: &StoreKey, record: &Record) -> Revision {
        let held = self.held(record);
        let revision = held.revision;
        self.replace(key, Some(held));
        if let Some(entry) = &record.entry
            && self.broken != Some(Broken::IndexForgets)
        {
            for name in entry.names() {
                let same = |it: &&mut Entry| it.owner == *name && it.key == *key;
                if let Some(listed) = self.entries.iter_mut().find(same) {
                    listed.expires_at = entry.expires_at;
                    continue;
                }
                let number = revision.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let position = self.entries.partition_point(|it| it.number < number);
                let listed = Entry {
                    number,
                    owner: name.clone(),
                    key: key.clone(),
                    expires_at: entry.expires_at,
                };
                self.entries.insert(position, listed);
            }
        }
        revision.into()
    }

    fn replace(&mut self, key: &StoreKey, held: Option<Held>) {
        let tick = self.tick();
        let before = match held {
            Some(held) => self.records.insert(key.clone(), held),
            None => self.records.remove(key),
        };
        self.undo.push((tick, key.clone(), before));
    }

    fn after(&self, new: bool, from: usize) -> Page {
        let keys = self.keys.iter().enumerate().skip(from);
        let mut keys = keys.filter(|(_, key)| key.as_str().starts_with(NEW) == new);
        let found = keys.find_map(|(place, key)| Some((place, key, self.records.get(key)?)));
        let (place, record) = match found {
            None => (None, None),
            Some((place, key, held)) => {
                let listed = Listed {
                    key: key.clone(),
                    head: held.bytes.clone(),
                };
                (Some(place as u64 + 1), Some(listed))
            }
        };
        Page {
            records: record.into_iter().collect(),
            next: place.map(|it| Cursor::new(it.to_be_bytes().to_vec())),
        }
    }

    fn owned_by(&self, owner: &OwnerKey, from: u64) -> Page {
        let listed = |it: &&Entry| it.owner == *owner && it.number >= from;
        let mut entries = self.entries.iter().filter(listed);
        let records = entries
            .by_ref()
            .take(PAGE)
            .filter_map(|it| {
                let bytes = &self.records.get(&it.key)?.bytes;
                Some(Listed {
                    key: it.key.clone(),
                    head: bytes.slice(..bytes.len().min(Record::HEAD)),
                })
            })
            .collect();
        let next = entries.next();
        Page {
            records,
            next: next.map(|it| Cursor::new(it.number.to_be_bytes().to_vec())),
        }
    }
}

#[async_trait]
impl SessionStore for Store {
    fn limit(&self) -> usize {
        1024 * 1024
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        match self.call(Command::Load(self.key(key))).await? {
            Reply::Loaded(loaded) => Ok(loaded),
            Reply::Unreadable(error) => Err(error),
            _ => unreachable!("a load is answered as a load"),
        }
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let insert = Command::Insert(self.key(key), self.record(record));
        Ok(written(self.call(insert).await?))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let update = Command::Update(self.key(key), self.record(record), revision.clone());
        Ok(written(self.call(update).await?))
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.call(Command::Delete(self.key(key))).await.map(drop)
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        Some(self)
    }

    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        Some(self)
    }
}

#[async_trait]
impl OwnerIndex for Store {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        _limit: usize,
    ) -> Result<Page> {
        let page = Command::OwnedBy(self.owner(owner), cursor.cloned());
        match self.call(page).await? {
            Reply::Page(page) => Ok(Self::page(page)),
            _ => unreachable!("a listing is answered as a listing"),
        }
    }
}

#[async_trait]
impl Scan for Store {
    async fn records(&self, _: &KeyPrefix, cursor: Option<&Cursor>, _: usize) -> Result<Page> {
        let all = Command::Records(self.side == Side::New, cursor.cloned());
        match self.call(all).await? {
            Reply::Page(page) => Ok(Self::page(page)),
            _ => unreachable!("a scan is answered as one"),
        }
    }
}

/// The store and the one beside it, while sessions move from the first to the second. What began is
/// a call of both, however many calls of one it takes.
#[derive(Debug)]
pub(crate) struct MovingStore {
    pub(crate) both: Arc<Moving>,
    pub(crate) one: Store,
}

impl MovingStore {
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let _in_call = InCall::begin(&self.one);
        call.await
    }
}

/// A call of both stores that is under way.
struct InCall<'s>(&'s Store, usize);

impl<'s> InCall<'s> {
    /// `None` if calls are carried out at once.
    fn begin(store: &'s Store) -> Option<Self> {
        let mut world = store.world();
        if world.open {
            return None;
        }
        let (thread, tick) = (world.current, world.tick());
        world.counts[thread].last_began = tick;
        world.counts[thread].in_calls += 1;
        Some(Self(store, thread))
    }
}

impl Drop for InCall<'_> {
    fn drop(&mut self) {
        if let Some(counts) = self.0.world().counts.get_mut(self.1) {
            counts.in_calls = counts.in_calls.saturating_sub(1);
        }
    }
}

#[async_trait]
impl SessionStore for MovingStore {
    fn limit(&self) -> usize {
        self.both.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.call(self.both.load(key)).await
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.call(self.both.insert(key, record)).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.call(self.both.update(key, record, revision)).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.call(self.both.delete(key)).await
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        Some(self)
    }
}

#[async_trait]
impl OwnerIndex for MovingStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        self.call(self.both.owned_by(owner, cursor, limit)).await
    }
}

/// The place in a cursor of the world.
fn number(cursor: &Cursor) -> u64 {
    u64::from_be_bytes(cursor.as_bytes().try_into().expect("our own cursor"))
}

/// Whether a key of the world is of the new store, and the key there.
fn real(key: &StoreKey) -> (bool, StoreKey) {
    match key.as_str().strip_prefix(NEW) {
        Some(name) => (true, StoreKey::from_stored(name)),
        None => (false, key.clone()),
    }
}

/// The same of a name in the index.
fn real_owner(owner: &OwnerKey) -> (bool, OwnerKey) {
    match owner.as_str().strip_prefix(NEW) {
        Some(name) => (true, OwnerKey::from_stored(name)),
        None => (false, owner.clone()),
    }
}

/// The revision of a real store, with the world's number of it before: the real one may be the same
/// before and after a damage.
fn numbered(number: u64, revision: &Revision) -> Revision {
    Revision::new([&number.to_be_bytes()[..], revision.as_bytes()].concat())
}

/// The world's number of a revision, and the revision of the real store. No record has the number 0, nor
/// a revision without a number.
fn numbered_by(revision: &Revision) -> (u64, Revision) {
    match revision.as_bytes().split_first_chunk() {
        Some((number, rest)) => (u64::from_be_bytes(*number), Revision::new(rest.to_vec())),
        None => (0, revision.clone()),
    }
}

/// Writes `held` as another release does, which knows the store. Returns the revision.
fn write_over(
    backing: &mut dyn Backing,
    in_new: bool,
    key: &StoreKey,
    held: &Held,
) -> Option<Revision> {
    let record = Record {
        bytes: held.bytes.clone(),
        expires_at: held.expires_at,
        entry: None,
    };
    let written = backing.update(in_new, key, &record, held.backed.as_ref()?);
    let Write::Stored(revision) = written else {
        panic!("nobody else has written it");
    };
    Some(revision)
}

/// The record as its own store gets it.
fn real_record(record: &Record) -> Record {
    let entry = record.entry.as_ref().map(|entry| IndexEntry {
        owner: real_owner(&entry.owner).1,
        provider_session: entry.provider_session.as_ref().map(|it| real_owner(it).1),
        expires_at: entry.expires_at,
    });
    Record {
        entry,
        ..record.clone()
    }
}

fn written(reply: Reply) -> Write {
    match reply {
        Reply::Written(write) => write,
        _ => unreachable!("a write is answered as a write"),
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
