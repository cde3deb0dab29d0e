//! A primary that dies, and its replica that is promoted: which acknowledged writes are there.
//!
//! The table in the README has one line for each test.

use std::time::{Duration, Instant};

use session_core::{SessionStore, StoreKey};
use session_sql::{SqlStore, TableName, sqlx};
use session_tests::{MariaDb, Postgres, PostgresReplica};

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
        assert!(began.elapsed() < Duration::from_secs(10), "not replicated");
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
    let lost = store.update(&key, &record(b"lost"), &first).await;
    assert!(lost.unwrap().is_stored());
    let of_request = load(&store, &key).await.unwrap();
    server.kill();
    let promoted = promote_postgres(&pair.replica).await;
    let change = promoted.update(&key, &record(b"other"), &first).await;
    assert!(change.unwrap().is_stored());
    let late = record(b"late");
    let late = promoted.update(&key, &late, &of_request.revision).await;
    assert!(!late.unwrap().is_stored(), "a change was overwritten");
    assert_eq!(load(&promoted, &key).await.unwrap().bytes, "other");
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

/// Starts a primary and its replica.
async fn mariadb_pair() -> (MariaDb, MariaDb, Pair<sqlx::MySql>) {
    let server = MariaDb::start_with(&["--log-bin=log", "--server-id=1"]).await;
    let copy = MariaDb::start_with(&[
        "--log-bin=log",
        "--server-id=2",
        "--log-slave-updates",
        "--rpl-semi-sync-slave-enabled=ON",
    ])
    .await;
    let pair = Pair::<sqlx::MySql>::new(server.url(), copy.url());
    for sql in [
        "SET GLOBAL gtid_slave_pos = ''".to_owned(),
        format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, \
             MASTER_USER = 'session', MASTER_PASSWORD = 'session', MASTER_CONNECT_RETRY = 1, \
             MASTER_USE_GTID = slave_pos",
            server.port()
        ),
        "START SLAVE".to_owned(),
        "SET GLOBAL read_only = 1".to_owned(),
    ] {
        pair.replica.execute(&sql).await;
    }
    (server, copy, pair)
}

/// Lets the replica apply what it has received, and take writes.
async fn promote_mariadb(replica: &Handle<sqlx::MySql>) -> SqlStore<sqlx::MySql> {
    replica.execute("STOP SLAVE IO_THREAD").await;
    let applied = "SELECT COUNT(*) FROM information_schema.processlist \
        WHERE state LIKE 'Slave has read all relay log%'";
    let waiting = || replica.number(applied);
    wait_until(Duration::from_secs(20), |waiting| waiting == 1, waiting).await;
    for sql in ["STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = 0"] {
        replica.execute(sql).await;
    }
    let store = replica.store(&TableName::default());
    recovers_soon(&store).await;
    store
}

#[tokio::test]
async fn a_replica_of_mariadb_lacks_what_it_had_not_received() {
    let (server, _copy, pair) = mariadb_pair().await;
    let store = pair.store().await;
    let ended = key();
    insert(&store, &ended, &record(b"old")).await;
    is_on(&pair.replica, &ended).await;
    pair.replica.execute("STOP SLAVE IO_THREAD").await;
    let created = end_one_and_create_one(&store, &ended).await;
    server.kill();
    let promoted = promote_mariadb(&pair.replica).await;
    assert!(load(&promoted, &created).await.is_none());
    // The log-out was acknowledged, and the session is live again.
    assert_eq!(load(&promoted, &ended).await.unwrap().bytes, "old");
}

/// Makes the primary wait for its replica at each commit, for as many milliseconds as `limit`.
async fn semi_synchronous(pair: &Pair<sqlx::MySql>, limit: u32) {
    for sql in [
        "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC".to_owned(),
        format!("SET GLOBAL rpl_semi_sync_master_timeout = {limit}"),
        "SET GLOBAL rpl_semi_sync_master_enabled = ON".to_owned(),
    ] {
        pair.primary.execute(&sql).await;
    }
    let on = "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
        WHERE variable_name = 'Rpl_semi_sync_master_clients'";
    let replicas = || pair.primary.number(on);
    wait_until(Duration::from_secs(5), |replicas| replicas == 1, replicas).await;
}

#[tokio::test]
async fn a_replica_of_mariadb_that_is_semi_synchronous_has_all_that_was_acknowledged() {
    let (server, _copy, pair) = mariadb_pair().await;
    let store = pair.store().await;
    semi_synchronous(&pair, 3_600_000).await;
    let writer = tokio::spawn(write_until_it_dies(store));
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.kill();
    let acknowledged = writer.await.unwrap();
    let promoted = promote_mariadb(&pair.replica).await;
    has_all(&promoted, &acknowledged).await;
}

#[tokio::test]
async fn a_semi_synchronous_mariadb_acknowledges_without_its_replica_after_its_time_limit() {
    let (_server, copy, pair) = mariadb_pair().await;
    let store = pair.store().await;
    semi_synchronous(&pair, 500).await;
    let ended = key();
    insert(&store, &ended, &record(b"old")).await;
    is_on(&pair.replica, &ended).await;
    copy.freeze();
    let began = Instant::now();
    store.delete(&ended).await.expect("it is acknowledged");
    assert!(began.elapsed() >= Duration::from_millis(400));
}
