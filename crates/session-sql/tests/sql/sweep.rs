//! The sweep, and the index on `sweep_at` that it reads.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;
use session_core::{ExpiredSweep, OwnerKey, Record, SessionStore, StoreKey, Swept, sweep_until};
use session_sql::{SqlStore, TableName, sqlx};
use session_tests::{Watch, assert_in_time, sweep_up_to};
use tokio::time::timeout;

use crate::{
    availability::wait_until,
    databases::{Handle, TestDatabase, each_database, unique_table},
    records::{expired, increment, insert, key, lasting, listed, load, owned, owner, record},
};

each_database!(
    only_an_earlier_end_changes_sweep_at,
    an_update_keeps_the_owner_or_replaces_it,
    a_live_record_that_is_due_is_postponed_to_its_end,
    a_sweep_continues_after_batches_of_live_records,
    a_sweep_that_postpones_overwrites_no_change,
    a_call_that_meets_many_live_records_ends_after_a_second,
    a_dropped_sweep_has_postponed_what_it_visited,
    a_shutdown_ends_a_sweep_of_many_postponed_records_within_a_second,
    a_sweep_removes_unlisted_records_from_the_owners_index
);

const MINUTE: Duration = Duration::from_mins(1);

async fn only_an_earlier_end_changes_sweep_at<D: TestDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let (store, key) = (database.migrated(&table).await, key());
    let first = lasting(b"1", 10 * MINUTE);
    insert(&store, &key, &first).await;
    assert_eq!(sweep_at(&database, &table).await, micros(first.expires_at));

    update(&store, &key, &lasting(b"2", 20 * MINUTE)).await;
    assert_eq!(sweep_at(&database, &table).await, micros(first.expires_at));

    let earlier = lasting(b"3", 5 * MINUTE);
    update(&store, &key, &earlier).await;
    assert_eq!(
        sweep_at(&database, &table).await,
        micros(earlier.expires_at)
    );
    // A refresh writes the same bytes.
    let later = lasting(b"3", 30 * MINUTE);
    update(&store, &key, &later).await;
    assert_eq!(
        sweep_at(&database, &table).await,
        micros(earlier.expires_at)
    );
    let ends = expires_at(&database, &table).await;
    assert_eq!(ends, micros(later.expires_at));
}

async fn an_update_keeps_the_owner_or_replaces_it<D: TestDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let (store, key, ada, grace) = (database.migrated(&table).await, key(), owner(), owner());
    let of = |owner: &OwnerKey, bytes: &[u8]| owned(owner, record(bytes));
    insert(&store, &key, &record(b"no owner")).await;
    for (next, ada_has, grace_has) in [
        (of(&ada, b"ada's"), 1, 0),
        (of(&ada, b"ada's again"), 1, 0),
        (record(b"a record without an owner"), 1, 0),
        (of(&grace, b"grace's"), 0, 1),
        (lasting(b"a tombstone", MINUTE), 0, 1),
    ] {
        update(&store, &key, &next).await;
        assert_eq!(load(&store, &key).await.unwrap().bytes, next.bytes);
        let ends = expires_at(&database, &table).await;
        assert_eq!(ends, micros(next.expires_at));
        assert_eq!(listed(&store, &ada).await.len(), ada_has);
        assert_eq!(listed(&store, &grace).await.len(), grace_has);
    }
}

async fn a_live_record_that_is_due_is_postponed_to_its_end<D: TestDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let (store, key) = (database.migrated(&table).await, key());
    let kept = record(b"kept");
    insert(&store, &key, &kept).await;
    make_all_due(&database, &table).await;
    assert_eq!(sweep_up_to(&store, 1000).await, 0);
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"kept"[..]);
    assert_eq!(sweep_at(&database, &table).await, micros(kept.expires_at));

    let soon = lasting(b"kept", Duration::from_millis(200));
    update(&store, &key, &soon).await;
    tokio::time::sleep(Duration::from_millis(210)).await;
    assert_eq!(sweep_up_to(&store, 1000).await, 1);
}

async fn a_sweep_continues_after_batches_of_live_records<D: TestDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let store = database.migrated(&table).await;
    let (live_count, expired_count) = (220, 130);
    for number in 0..live_count.max(expired_count) {
        if number < live_count {
            insert(&store, &key(), &record(b"live")).await;
        }
        if number < expired_count {
            insert(&store, &key(), &expired(b"expired")).await;
        }
    }
    make_all_due(&database, &table).await;
    assert_eq!(sweep_up_to(&store, 101).await, 101);
    assert_eq!(sweep_up_to(&store, 1000).await, expired_count - 101);
    assert_eq!(sweep_up_to(&store, 1000).await, 0);
    let left = database
        .number(&count(&table, "sweep_at = expires_at"))
        .await;
    assert_eq!(u64::try_from(left).unwrap(), live_count);
}

async fn a_sweep_that_postpones_overwrites_no_change<D: TestDatabase>() {
    const ROUNDS: u64 = 20;
    let (database, table) = (D::open().await, unique_table());
    let store = database.migrated(&table).await;
    let keys: Vec<_> = (0..8).map(|_| key()).collect();
    for key in &keys {
        insert(&store, key, &record(&0_u64.to_be_bytes())).await;
    }
    for _ in 0..ROUNDS {
        make_all_due(&database, &table).await;
        let changes = join_all(keys.iter().map(|key| increment(&store, key)));
        let (swept, _) = tokio::join!(sweep_up_to(&store, 1000), changes);
        assert_eq!(swept, 0);
    }
    for key in &keys {
        let counted = load(&store, key).await.expect("the record exists").bytes;
        assert_eq!(counted, ROUNDS.to_be_bytes()[..]);
    }
}

async fn a_call_that_meets_many_live_records_ends_after_a_second<D: TestDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let store = database.migrated(&table).await;
    let mut live = 0;
    let calls = loop {
        // So many again as there are.
        let more = live.max(40_000);
        add_due_records(
            &database,
            &table,
            &format!("live {live}"),
            more,
            i64::MAX / 2,
        )
        .await;
        live += more;
        make_all_due(&database, &table).await;
        add_due_records(&database, &table, "expired", 100, 1).await;
        let calls = calls_in_time(&store).await;
        if calls.len() > 1 {
            break calls;
        }
        // One call had the time for them.
    };
    assert_eq!(calls.iter().map(|swept| swept.removed).sum::<u64>(), 100);
    let left = database
        .number(&count(&table, "sweep_at = expires_at"))
        .await;
    assert_eq!(left.cast_unsigned(), live);
}

/// The calls of a whole sweep. Each of them ends in time.
pub(crate) async fn calls_in_time(store: &impl ExpiredSweep) -> Vec<Swept> {
    // A batch that begins at the end of the time rests for a second more.
    let limit = 3 * Swept::LONGEST_CALL;
    let mut calls = Vec::new();
    while calls.last().is_none_or(|swept: &Swept| !swept.is_done) {
        assert!(calls.len() < 500, "the calls do not come to an end");
        let began = Watch::start();
        calls.push(store.sweep(1000).await.unwrap());
        assert_in_time!(began.stop(limit).await < limit);
    }
    calls
}

async fn a_dropped_sweep_has_postponed_what_it_visited<D: TestDatabase>() {
    const LIVE: u64 = 20_000;
    let (database, table) = (D::open().await, unique_table());
    let store = database.migrated(&table).await;
    add_due_records(&database, &table, "live", LIVE, i64::MAX / 2).await;
    add_due_records(&database, &table, "expired", 100, 1).await;
    let due = count(&table, "sweep_at < 10");
    let mut drops = 0;
    while database.number(&due).await > 0 {
        // No call has the time for all the live records.
        let dropped = timeout(Duration::from_millis(250), store.sweep(1000)).await;
        drops += u32::from(dropped.is_err());
        assert!(drops < 500, "each call begins at the first record");
    }
    assert!(drops > 0, "one call visited the whole table");
    let left = database
        .number(&count(&table, "sweep_at = expires_at"))
        .await;
    assert_eq!(left.cast_unsigned(), LIVE);
}

async fn a_shutdown_ends_a_sweep_of_many_postponed_records_within_a_second<D: TestDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let store = Arc::new(database.migrated(&table).await);
    add_due_records(&database, &table, "live", 20_000, i64::MAX / 2).await;
    let mut stopped = Watch::start();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stopped = Watch::start();
    };
    sweep_until(store, Duration::from_millis(20), stop).await;
    let limit = Duration::from_secs(1);
    assert_in_time!(stopped.stop(limit).await < limit);
    let due = count(&table, "sweep_at < 10");
    let left = database.number(&due).await;
    assert!((1..20_000).contains(&left), "{left} records are due");
}

async fn a_sweep_removes_unlisted_records_from_the_owners_index<D: TestDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let (store, owner) = (database.migrated(&table).await, owner());
    let [live, ended] = [(); 2].map(|()| key());
    insert(&store, &live, &owned(&owner, record(b"live"))).await;
    let tombstone = Record {
        entry: owned(&owner, crate::records::expired(b"")).entry,
        ..record(b"tombstone")
    };
    insert(&store, &ended, &tombstone).await;
    assert_eq!(listed(&store, &owner).await, std::slice::from_ref(&live));
    assert_eq!(sweep_up_to(&store, 1000).await, 0);
    let indexed = count(&table, "owner IS NOT NULL");
    assert_eq!(database.number(&indexed).await, 1);
    let postponed = count(&table, "owner IS NULL AND sweep_at = expires_at");
    assert_eq!(database.number(&postponed).await, 1);
    assert!(load(&store, &ended).await.is_some());

    update(&store, &ended, &owned(&owner, record(b"again"))).await;
    assert_eq!(listed(&store, &owner).await.len(), 2);
    // Both are due again when they are no longer listed.
    make_all_due(&database, &table).await;
    assert_eq!(sweep_up_to(&store, 1000).await, 0);
    let due = count(&table, "sweep_at = listed_until");
    assert_eq!(database.number(&due).await, 2);
    assert_eq!(database.number(&indexed).await, 2);
}

#[tokio::test]
async fn an_update_in_postgres_writes_no_index() {
    let (database, table) = (sqlx::Postgres::open().await, unique_table());
    let (store, key) = (database.migrated(&table).await, key());
    let owner = owner();
    let of_owner = |record| owned(&owner, record);
    insert(&store, &key, &of_owner(lasting(b"first", MINUTE))).await;
    for _ in 0..10 {
        update(&store, &key, &of_owner(record(b"next"))).await;
    }
    // A server process publishes its counters when it ends.
    store.pool().close().await;
    let heap_only_updates = format!(
        "SELECT n_tup_hot_upd::bigint FROM pg_stat_user_tables WHERE relname = '{}'",
        table.table()
    );
    wait_until(
        Duration::from_secs(5),
        |heap_only| heap_only == 10,
        || database.number(&heap_only_updates),
    )
    .await;
}

async fn update<D: TestDatabase>(store: &SqlStore<D>, key: &StoreKey, record: &Record) {
    let loaded = load(store, key).await.expect("the record exists");
    let write = store.update(key, record, &loaded.revision).await.unwrap();
    assert!(write.is_stored(), "the update was refused");
}

/// Makes all records due, as records are whose end was moved forward many times.
async fn make_all_due<D: TestDatabase>(database: &Handle<D>, table: &TableName) {
    database
        .execute(&format!("UPDATE {table} SET sweep_at = 0"))
        .await;
}

/// Adds records that a sweep must check before those of later calls.
async fn add_due_records<D: TestDatabase>(
    database: &Handle<D>,
    table: &TableName,
    kind: &str,
    records: u64,
    expires_at: i64,
) {
    let due = if expires_at > 1 { 1 } else { 2 };
    for numbers in (0..records).collect::<Vec<_>>().chunks(1000) {
        let values: Vec<_> = numbers
            .iter()
            .map(|number| {
                let key = D::bytes(format!("{kind}:{number}").as_bytes());
                format!("({key}, 1, {expires_at}, {due}, {key})")
            })
            .collect();
        let values = values.join(", ");
        database
            .execute(&format!(
                "INSERT INTO {table} (store_key, revision, expires_at, sweep_at, payload) \
                 VALUES {values}"
            ))
            .await;
    }
}

async fn expires_at<D: TestDatabase>(database: &Handle<D>, table: &TableName) -> i64 {
    let sql = format!("SELECT expires_at FROM {table}");
    database.number(&sql).await
}

/// The value of `sweep_at` in the only row of the table.
async fn sweep_at<D: TestDatabase>(database: &Handle<D>, table: &TableName) -> i64 {
    database
        .number(&format!("SELECT sweep_at FROM {table}"))
        .await
}

fn count(table: &TableName, which: &str) -> String {
    format!("SELECT COUNT(*) FROM {table} WHERE {which}")
}

fn micros(instant: SystemTime) -> i64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_micros().try_into().unwrap()
}
