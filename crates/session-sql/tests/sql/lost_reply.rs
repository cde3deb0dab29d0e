//! Messages that are lost, come in part, or end their connection: every call ends in time, and no
//! place in the pool is held for long.

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use session_core::{ExpiredSweep, Record, Result, Revision, SessionStore as _, StoreKey};
use session_sql::{SqlStore, TableName};
use session_tests::{
    ChaosProxy, Disruption, Strike, assert_in_time, eventually, rounds, with_port,
};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    availability::{recovers_soon, succeeds},
    databases::{Handle, TestDatabase, each_server, unique_table},
    records::{expired, key, owned, owner, record},
};

/// More than a pool has connections.
const ROUNDS: usize = 30;
/// The limit of a call that no request waits for, and some time to spare.
const SLOW_CALL: Duration = Duration::from_secs(10);
/// After a call, a place in the pool is held for at most a second.
const RELEASE: Duration = Duration::from_secs(2);
/// Within this time calls succeed again.
const RECOVERY: Duration = Duration::from_secs(2);
/// How many stores use the server at once, with a few of its 200 connections each. With more, two
/// cores cannot hash the passwords of all log-ins in time.
const AT_ONCE: usize = 12;
/// So many calls have more messages than the last that is damaged.
const CALLS_OF_A_STORE: usize = 12;

each_server!(
    a_lost_ping_costs_no_place_in_the_pool,
    a_damaged_message_ends_every_call_and_costs_no_place,
);

/// A store whose traffic passes a proxy.
pub(crate) async fn behind_proxy<D: TestDatabase>()
-> (SqlStore<D>, ChaosProxy, Box<dyn Any + Send + Sync>) {
    let (database, table, proxy) = database_behind_proxy::<D>().await;
    (database.store(&table), proxy, database.guard)
}

/// A database to which all traffic passes a proxy, and a store's table in it.
pub(crate) async fn database_behind_proxy<D: TestDatabase>() -> (Handle<D>, TableName, ChaosProxy) {
    let mut database = D::open().await;
    let table = unique_table();
    drop(database.migrated(&table).await);
    let (url, proxy) = proxied(&database.url).await;
    database.url = url;
    (database, table, proxy)
}

/// A proxy before a server, and the URL that leads through it.
async fn proxied(url: &str) -> (String, ChaosProxy) {
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap();
    let port = port.parse().unwrap();
    let proxy = ChaosProxy::start(port).await;
    (with_port(url, port, proxy.port()), proxy)
}

/// Whether the reply came that was to be lost. On a busy machine a ping may have come before.
async fn happened(proxy: &ChaosProxy) -> bool {
    let began = Instant::now();
    while proxy.disruption() != Disruption::None && began.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    proxy.disruption() == Disruption::None
}

/// The pool pings each connection that comes back to it.
async fn a_lost_ping_costs_no_place_in_the_pool<D: TestDatabase>() {
    let (store, proxy, _guard) = behind_proxy::<D>().await;
    let (mut failed, mut lost) = (0, 0);
    for _ in 0..2 * ROUNDS {
        // A new connection has more replies, so the first call is not the one whose ping is lost.
        failed += usize::from(!succeeds(store.load(&key())).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
        proxy.set(Disruption::LoseReply(1));
        failed += usize::from(!succeeds(store.load(&key())).await);
        lost += usize::from(happened(&proxy).await);
        proxy.set(Disruption::None);
        if lost == ROUNDS {
            break;
        }
    }
    assert_eq!(lost, ROUNDS, "too few replies came");
    recovers_soon(&store).await;
    assert!(failed < ROUNDS / 3, "{failed} calls failed");
}

async fn a_damaged_message_ends_every_call_and_costs_no_place<D: TestDatabase>() {
    damaged_calls_end(|store| store, SqlStore::<D>::migrate).await;
}

/// A call of a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Load,
    Insert,
    Update,
    Delete,
    List,
    Sweep,
    Migrate,
}

/// Those that wait the longest for a reply are the first.
const CALLS: [Call; 7] = {
    use Call::{Delete, Insert, List, Load, Migrate, Sweep, Update};
    [Migrate, Sweep, Load, Insert, Update, Delete, List]
};

const DAMAGES: [Disruption; 4] = [
    Disruption::LoseReply(0),
    Disruption::HalfReply(7),
    Disruption::SilenceAfterRequest,
    Disruption::ResetReply(7),
];

impl Call {
    /// How many messages come before the one that is damaged. A new connection has some eight
    /// messages before those of the call. A soak takes each message, the other runs a few.
    fn places(self) -> impl Iterator<Item = usize> {
        let (last, step) = match self {
            Self::Migrate => (42, 9),
            Self::Sweep => (24, 5),
            _ => (16, 3),
        };
        (0..last).step_by(if rounds() < 1000 { step } else { 1 })
    }

    /// Whether each store needs a table that no other uses.
    fn changes_all_rows(self) -> bool {
        matches!(self, Self::Migrate | Self::Sweep)
    }
}

/// Every call of a store with one layout, each damaged at each of its messages.
pub(crate) async fn damaged_calls_end<D: TestDatabase, S: ExpiredSweep + Clone + 'static>(
    layout: impl Fn(SqlStore<D>) -> S,
    migrate: impl AsyncFn(&S) -> Result<()>,
) {
    let database = D::open().await;
    let (own, tested) = (unique_table(), unique_table());
    database.migrated(&own).await;
    let direct = layout(database.store(&tested));
    migrate(&direct).await.expect("the table can be created");
    let lists = Arc::new(direct).owner_index().is_some();
    let calls = CALLS
        .into_iter()
        .filter(|call| lists || *call != Call::List);
    let damages = calls.flat_map(|call| DAMAGES.map(|damage| (call, damage)));
    let damages =
        damages.flat_map(|(call, damage)| call.places().map(move |at| (call, damage, at)));
    let (permits, layout, migrate) = (&Semaphore::new(AT_ONCE), &layout, &migrate);
    let (database, own, tested) = (&database, &own, &tested);
    join_all(damages.map(|(call, disruption, after)| async move {
        let _permit = permits.acquire().await;
        let (url, proxy) = proxied(&database.url).await;
        let store = SqlStore::connect(&url).expect("the URL is valid");
        let store = store.with_table(own.clone());
        let table = if call.changes_all_rows() {
            unique_table()
        } else {
            tested.clone()
        };
        let mut sessions = Sessions::of(layout(store.clone().with_table(table)));
        if call == Call::Sweep {
            sessions.add_due(migrate).await;
        } else if call != Call::Migrate {
            sessions.add().await;
        }
        proxy.reset_connections();
        proxy.strike(Strike {
            new_connection: false,
            after,
            disruption,
        });
        let what = format!("{call:?} with {disruption:?} after {after} messages");
        // Until it has happened, and once more.
        let mut happened = false;
        for _ in 0..CALLS_OF_A_STORE {
            let ended = timeout(SLOW_CALL, sessions.call(call, migrate)).await;
            assert_in_time!(ended.is_ok(), "{what}: no end");
            if happened {
                break;
            }
            happened = proxy.strikes_left() == 0;
        }
        assert!(happened, "{what}: too few messages");
        let all_are_idle = async || store.pool().size() as usize == store.pool().num_idle();
        let held = format!("{what}: a place is held");
        eventually(RELEASE, held, all_are_idle).await;
        let works = async || each_connection_works(&store).await;
        let broken = format!("{what}: the store does not recover");
        eventually(RECOVERY, broken, works).await;
        if call == Call::Migrate {
            migrate(&sessions.store).await.expect("the store answers");
        }
    }))
    .await;
}

/// Uses as many connections at once as are open.
async fn each_connection_works<D: TestDatabase>(store: &SqlStore<D>) -> bool {
    let keys: Vec<_> = (0..store.pool().size().max(1)).map(|_| key()).collect();
    let loads = join_all(keys.iter().map(|key| succeeds(store.load(key)))).await;
    loads.into_iter().all(|succeeds| succeeds)
}

/// A store of either layout, and what its calls need.
struct Sessions<S> {
    store: S,
    key: StoreKey,
    record: Record,
    revision: Option<Revision>,
}

impl<S: ExpiredSweep + Clone + 'static> Sessions<S> {
    fn of(store: S) -> Self {
        Self {
            store,
            key: key(),
            record: record(b"x"),
            revision: None,
        }
    }

    /// Adds a record. That may fail at first, because many open connections at once.
    async fn add(&mut self) {
        for _ in 0..10 {
            self.key = key();
            if self.store.insert(&self.key, &self.record).await.is_ok()
                && let Ok(Some(loaded)) = self.store.load(&self.key).await
            {
                self.revision = Some(loaded.revision);
                return;
            }
        }
        panic!("late: the server does not answer");
    }

    /// Creates the table, and adds a record that a sweep removes and one that it postpones.
    async fn add_due(&mut self, migrate: &impl AsyncFn(&S) -> Result<()>) {
        migrate(&self.store)
            .await
            .expect("the table can be created");
        let unlisted = Record {
            entry: owned(&owner(), expired(b"")).entry,
            ..record(b"x")
        };
        for due in [expired(b"x"), unlisted] {
            self.record = due;
            self.add().await;
        }
    }

    /// Makes the call, whether it succeeds or not. That of a request ends in time.
    async fn call(&self, call: Call, migrate: &impl AsyncFn(&S) -> Result<()>) {
        let store = &self.store;
        match call {
            Call::Load => {
                let load = async {
                    let loaded = store.load(&self.key).await?;
                    assert_eq!(loaded.expect("it is there").bytes, self.record.bytes);
                    Ok(())
                };
                succeeds(load).await;
            }
            Call::Insert => drop(succeeds(store.insert(&key(), &self.record)).await),
            Call::Update => {
                let revision = self.revision.as_ref().expect("it was loaded");
                succeeds(store.update(&self.key, &self.record, revision)).await;
            }
            Call::Delete => drop(succeeds(store.delete(&self.key)).await),
            Call::List => {
                let lists = Arc::new(store.clone()).owner_index();
                let lists = lists.expect("the layout has an owner index");
                succeeds(lists.owned_by(&owner(), None, 10)).await;
            }
            Call::Sweep => drop(store.sweep(500).await),
            Call::Migrate => drop(migrate(store).await),
        }
    }
}
