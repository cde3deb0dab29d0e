//! A primary that dies, and its replica that is promoted: which acknowledged writes are there.
//!
//! The table in the README has one line for each test.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_core::{Revision, SessionStore, StoreKey};
use session_sql::{SqlStore, TableName, sqlx};
use session_tests::{MariaDb, Postgres, PostgresReplica, assert_in_time};

use crate::{
    availability::{recovers_soon, succeeds, wait_until},
    databases::{Handle, TestDatabase},
    records::{insert, key, load, record},
};

/// A primary and its replica, of which the second gets what the first acknowledges, or does not.
struct Pair<D> {
    primary: Handle<D>,
    replica: Handle<D>,
}

impl<D: TestDatabase> Pair<D> {
    fn new(primary: String, replica: String) -> Self {
        Self {
            primary: Handle::new(primary, ()),
            replica: Handle::new(replica, ()),
        }
    }

    /// A store on the primary, whose table the replica has.
    async fn store(&self) -> SqlStore<D> {
        let store = self.primary.migrated(&TableName::default()).await;
        let replicated = self.replica.store(&TableName::default());
        let has_table = || async {
            let mut connection = replicated.pool().acquire().await.expect("it answers");
            let count = D::number(&mut connection, "SELECT COUNT(*) FROM sessions").await;
            count.unwrap_or(-1)
        };
        wait_until(Duration::from_secs(20), |count| count == 0, has_table).await;
        store
    }
}

/// Sessions that a client has created and ended, as far as they were acknowledged.
struct Acknowledged {
    live: Vec<StoreKey>,
    ended: Vec<StoreKey>,
}

/// Writes until the store fails, which is when the primary dies.
async fn write_until_it_dies<D: TestDatabase>(store: SqlStore<D>) -> Acknowledged {
    let (mut live, mut ended) = (vec![], vec![]);
    loop {
        let [kept, deleted] = [(); 2].map(|()| key());
        for key in [&kept, &deleted] {
            let Ok(write) = store.insert(key, &record(b"x")).await else {
                return Acknowledged { live, ended };
            };
            assert!(write.is_stored());
        }
        live.push(kept);
        if !succeeds(store.delete(&deleted)).await {
            return Acknowledged { live, ended };
        }
        ended.push(deleted);
    }
}

async fn has_all<D: TestDatabase>(store: &SqlStore<D>, acknowledged: &Acknowledged) {
    assert!(acknowledged.ended.len() > 20, "hardly anything was written");
    for key in &acknowledged.live {
        assert!(load(store, key).await.is_some(), "a session is missing");
    }
    for key in &acknowledged.ended {
        assert!(load(store, key).await.is_none(), "a session came back");
    }
}

/// A session that the replica has is ended on the primary, and one is created.
async fn end_one_and_create_one<D: TestDatabase>(
    store: &SqlStore<D>,
    ended: &StoreKey,
) -> StoreKey {
    store.delete(ended).await.expect("it is acknowledged");
    let created = key();
    insert(store, &created, &record(b"new")).await;
    created
}

async fn is_on<D: TestDatabase>(database: &Handle<D>, key: &StoreKey) {
    let store = database.store(&TableName::default());
    let began = Instant::now();
    while load(&store, key).await.is_none() {
        assert_in_time!(began.elapsed() < Duration::from_secs(10), "not replicated");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn stop_receiving(replica: &Handle<sqlx::Postgres>) {
    for sql in [
        "ALTER SYSTEM SET primary_conninfo = ''",
        "SELECT pg_reload_conf()",
    ] {
        replica.execute(sql).await;
    }
    let receivers = || replica.number("SELECT COUNT(*) FROM pg_stat_wal_receiver");
    wait_until(Duration::from_secs(5), |left| left == 0, receivers).await;
}

async fn promote_postgres(replica: &Handle<sqlx::Postgres>) -> SqlStore<sqlx::Postgres> {
    replica.execute("SELECT pg_promote()").await;
    let store = replica.store(&TableName::default());
    recovers_soon(&store).await;
    store
}

#[tokio::test]
async fn a_replica_of_postgres_that_is_asynchronous_lacks_what_it_had_not_received() {
    let server = Postgres::start().await;
    let copy = PostgresReplica::of(&server).await;
    let pair = Pair::<sqlx::Postgres>::new(server.url(), copy.url());
    let store = pair.store().await;
    let ended = key();
    insert(&store, &ended, &record(b"old")).await;
    is_on(&pair.replica, &ended).await;
    stop_receiving(&pair.replica).await;
    let created = end_one_and_create_one(&store, &ended).await;
    server.kill();
    let promoted = promote_postgres(&pair.replica).await;
    assert!(load(&promoted, &created).await.is_none());
    // The log-out was acknowledged, and the session is live again.
    assert_eq!(load(&promoted, &ended).await.unwrap().bytes, "old");
}

/// A request on the primary that began with a change which the replica has not received.
struct BegunRequest {
    key: StoreKey,
    /// The record as the replica has it.
    first: Revision,
    loaded: Revision,
}

impl BegunRequest {
    /// The record is on the replica, which no longer receives what comes now.
    async fn on<D: TestDatabase>(store: &SqlStore<D>, key: StoreKey, first: Revision) -> Self {
        let lost = store.update(&key, &record(b"lost"), &first).await;
        assert!(lost.unwrap().is_stored());
        let loaded = load(store, &key).await.unwrap().revision;
        Self { key, first, loaded }
    }

    /// Another request has changed the record by the time that this one saves it.
    async fn overwrites_no_change<D: TestDatabase>(&self, promoted: &SqlStore<D>) {
        let (other, late) = (record(b"other"), record(b"late"));
        let change = promoted.update(&self.key, &other, &self.first).await;
        assert!(change.unwrap().is_stored());
        let late = promoted.update(&self.key, &late, &self.loaded).await;
        assert!(!late.unwrap().is_stored(), "a change was overwritten");
        assert_eq!(load(promoted, &self.key).await.unwrap().bytes, "other");
    }
}

#[tokio::test]
async fn a_request_that_loaded_what_a_promoted_postgres_lacks_overwrites_no_change() {
    let server = Postgres::start().await;
    let copy = PostgresReplica::of(&server).await;
    let pair = Pair::<sqlx::Postgres>::new(server.url(), copy.url());
    let store = pair.store().await;
    let key = key();
    let first = insert(&store, &key, &record(b"first")).await;
    is_on(&pair.replica, &key).await;
    stop_receiving(&pair.replica).await;
    let request = BegunRequest::on(&store, key, first).await;
    server.kill();
    let promoted = promote_postgres(&pair.replica).await;
    request.overwrites_no_change(&promoted).await;
}

#[tokio::test]
async fn a_replica_of_postgres_that_is_synchronous_has_all_that_was_acknowledged() {
    let server = Postgres::start_with(&["synchronous_standby_names=*"]).await;
    let copy = PostgresReplica::of(&server).await;
    let pair = Pair::<sqlx::Postgres>::new(server.url(), copy.url());
    let store = pair.store().await;
    let writer = tokio::spawn(write_until_it_dies(store));
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.kill();
    let acknowledged = writer.await.unwrap();
    let promoted = promote_postgres(&pair.replica).await;
    has_all(&promoted, &acknowledged).await;
}

#[tokio::test]
async fn while_the_synchronous_replica_of_postgres_is_silent_no_write_is_acknowledged() {
    let server = Postgres::start_with(&["synchronous_standby_names=*"]).await;
    let copy = PostgresReplica::of(&server).await;
    let pair = Pair::<sqlx::Postgres>::new(server.url(), copy.url());
    let store = pair.store().await;
    let stored = key();
    insert(&store, &stored, &record(b"x")).await;
    copy.freeze();
    // Longer than a request and than the server's limit on a statement.
    let patience = Duration::from_secs(4);
    let delete = tokio::time::timeout(patience, store.delete(&stored)).await;
    assert!(delete.is_err(), "{delete:?}");
    copy.thaw();
    recovers_soon(&store).await;
    assert!(load(&store, &stored).await.is_none());
}

/// The server keeps a commit that waits, although its client has closed the connection.
#[tokio::test]
async fn writes_that_wait_for_a_silent_replica_of_postgres_use_up_its_connections() {
    const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let server = Postgres::start_with(&["max_connections=30"]).await;
    let copy = PostgresReplica::of(&server).await;
    let pair = Pair::<sqlx::Postgres>::new(server.url(), copy.url());
    let (store, mut admin) = (pair.store().await, pair.primary.connect().await);
    let stored = key();
    insert(&store, &stored, &record(b"x")).await;
    copy.freeze();
    set_synchronous_replicas(&mut admin, "*").await;
    for round in 0..12 {
        let writes = (0..3).map(|_| async {
            let key = key();
            succeeds(store.insert(&key, &record(b"x"))).await
        });
        let reads = join_all((0..10).map(|_| succeeds(store.load(&stored))));
        let (_, reads) = tokio::join!(join_all(writes), reads);
        assert!(
            round > 2 || reads.into_iter().all(|read| read),
            "a read failed"
        );
    }
    // What the calls held has been given up, and nobody writes any more.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let waiting = sqlx::Postgres::number(&mut admin, WAITING).await.unwrap();
    assert!(waiting >= 20, "{waiting} commits wait");
    assert!(!succeeds(store.load(&stored)).await);
    // The way round, on a connection that is open.
    set_synchronous_replicas(&mut admin, "").await;
    recovers_soon(&store).await;
    assert!(load(&store, &stored).await.is_some());
}

async fn set_synchronous_replicas(admin: &mut sqlx::PgConnection, names: &str) {
    let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
    for sql in [&sql, "SELECT pg_reload_conf()"] {
        sqlx::Postgres::execute(admin, sql).await.unwrap();
    }
}

/// What `MariaDB` and `MySQL` have different words for.
struct Replication {
    /// Arguments of both servers.
    arguments: &'static [&'static str],
    /// What a primary executes before it can wait for its replica.
    primary: &'static [&'static str],
    /// What a replica executes, given the port of its primary.
    replica: fn(u16) -> Vec<String>,
    stop_receiving: &'static str,
    /// The state of the thread that applies, while it has nothing to do.
    all_applied: &'static str,
    /// How a replica becomes a primary.
    end: [&'static str; 2],
    /// The beginning of the settings of a primary that waits.
    waits: &'static str,
    /// How many replicas it can wait for.
    waited_for: &'static str,
}

const MARIADB: Replication = Replication {
    arguments: &["--log-slave-updates"],
    primary: &[],
    replica: |port| {
        vec![
            "SET GLOBAL rpl_semi_sync_slave_enabled = ON".to_owned(),
            "SET GLOBAL gtid_slave_pos = ''".to_owned(),
            format!(
                "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, \
                 MASTER_USER = 'session', MASTER_PASSWORD = 'session', MASTER_CONNECT_RETRY = 1, \
                 MASTER_USE_GTID = slave_pos"
            ),
            "START SLAVE".to_owned(),
        ]
    },
    stop_receiving: "STOP SLAVE IO_THREAD",
    all_applied: "Slave has read all relay log%",
    end: ["STOP SLAVE", "RESET SLAVE ALL"],
    waits: "rpl_semi_sync_master",
    waited_for: "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
        WHERE variable_name = 'Rpl_semi_sync_master_clients'",
};

const MYSQL: Replication = Replication {
    arguments: &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"],
    primary: &["INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'"],
    replica: |port| {
        vec![
            "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'".to_owned(),
            "SET GLOBAL rpl_semi_sync_replica_enabled = ON".to_owned(),
            format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, \
                 SOURCE_USER = 'session', SOURCE_PASSWORD = 'session', SOURCE_CONNECT_RETRY = 1, \
                 SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1"
            ),
            "START REPLICA".to_owned(),
        ]
    },
    stop_receiving: "STOP REPLICA IO_THREAD",
    all_applied: "Replica has read all relay log%",
    end: ["STOP REPLICA", "RESET REPLICA ALL"],
    waits: "rpl_semi_sync_source",
    waited_for: "SELECT CAST(variable_value AS SIGNED) FROM performance_schema.global_status \
        WHERE variable_name = 'Rpl_semi_sync_source_clients'",
};

/// A primary and its replica of `MariaDB`, or of `MySQL` where the harness starts that.
struct MariaDbPair {
    server: MariaDb,
    copy: MariaDb,
    pair: Pair<sqlx::MySql>,
    replication: Replication,
}

impl MariaDbPair {
    async fn start() -> Self {
        let replication = if MariaDb::starts_mysql() {
            MYSQL
        } else {
            MARIADB
        };
        let start = async |arguments: &[&str]| {
            let arguments = [replication.arguments, arguments].concat();
            MariaDb::start_with(&arguments).await
        };
        let server = start(&["--log-bin=log", "--server-id=1"]).await;
        let copy = start(&["--log-bin=log", "--server-id=2"]).await;
        let pair = Pair::<sqlx::MySql>::new(server.url(), copy.url());
        for sql in replication.primary {
            pair.primary.execute(sql).await;
        }
        for sql in (replication.replica)(server.port()) {
            pair.replica.execute(&sql).await;
        }
        pair.replica.execute("SET GLOBAL read_only = 1").await;
        Self {
            server,
            copy,
            pair,
            replication,
        }
    }

    /// Makes the primary wait for its replica at each commit, for as many milliseconds as `limit`.
    async fn wait_for_replica(&self, limit: u32) {
        let Self {
            pair, replication, ..
        } = self;
        for setting in [
            "wait_point = AFTER_SYNC",
            &format!("timeout = {limit}"),
            "enabled = ON",
        ] {
            let sql = format!("SET GLOBAL {}_{setting}", replication.waits);
            pair.primary.execute(&sql).await;
        }
        let replicas = || pair.primary.number(replication.waited_for);
        wait_until(Duration::from_secs(5), |replicas| replicas == 1, replicas).await;
    }

    async fn stop_receiving(&self) {
        self.pair
            .replica
            .execute(self.replication.stop_receiving)
            .await;
    }

    /// Lets the replica apply what it has received, and take writes.
    async fn promote(&self) -> SqlStore<sqlx::MySql> {
        self.stop_receiving().await;
        let replica = &self.pair.replica;
        let applied = format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE '{}'",
            self.replication.all_applied
        );
        let waiting = || replica.number(&applied);
        wait_until(Duration::from_secs(20), |waiting| waiting == 1, waiting).await;
        for sql in self.replication.end {
            replica.execute(sql).await;
        }
        replica.execute("SET GLOBAL read_only = 0").await;
        let store = replica.store(&TableName::default());
        recovers_soon(&store).await;
        store
    }
}

#[tokio::test]
async fn a_replica_of_mariadb_lacks_what_it_had_not_received() {
    let servers = MariaDbPair::start().await;
    let store = servers.pair.store().await;
    let ended = key();
    insert(&store, &ended, &record(b"old")).await;
    is_on(&servers.pair.replica, &ended).await;
    servers.stop_receiving().await;
    let created = end_one_and_create_one(&store, &ended).await;
    servers.server.kill();
    let promoted = servers.promote().await;
    assert!(load(&promoted, &created).await.is_none());
    // The log-out was acknowledged, and the session is live again.
    assert_eq!(load(&promoted, &ended).await.unwrap().bytes, "old");
}

#[tokio::test]
async fn a_request_that_loaded_what_a_promoted_mariadb_lacks_overwrites_no_change() {
    let servers = MariaDbPair::start().await;
    let store = servers.pair.store().await;
    let key = key();
    let first = insert(&store, &key, &record(b"first")).await;
    is_on(&servers.pair.replica, &key).await;
    servers.stop_receiving().await;
    let request = BegunRequest::on(&store, key, first).await;
    servers.server.kill();
    let promoted = servers.promote().await;
    request.overwrites_no_change(&promoted).await;
}

#[tokio::test]
async fn a_replica_of_mariadb_that_is_semi_synchronous_has_all_that_was_acknowledged() {
    let servers = MariaDbPair::start().await;
    let store = servers.pair.store().await;
    servers.wait_for_replica(3_600_000).await;
    let writer = tokio::spawn(write_until_it_dies(store));
    tokio::time::sleep(Duration::from_secs(1)).await;
    servers.server.kill();
    let acknowledged = writer.await.unwrap();
    let promoted = servers.promote().await;
    has_all(&promoted, &acknowledged).await;
}

#[tokio::test]
async fn a_semi_synchronous_mariadb_acknowledges_without_its_replica_after_its_time_limit() {
    let servers = MariaDbPair::start().await;
    let store = servers.pair.store().await;
    servers.wait_for_replica(500).await;
    let ended = key();
    insert(&store, &ended, &record(b"old")).await;
    is_on(&servers.pair.replica, &ended).await;
    servers.copy.freeze();
    let began = Instant::now();
    store.delete(&ended).await.expect("it is acknowledged");
    assert!(began.elapsed() >= Duration::from_millis(400));
}
