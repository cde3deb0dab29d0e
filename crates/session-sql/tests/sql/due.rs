use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use session_core::{ExpiredSweep, OwnerIndex, OwnerKey, Record, SessionStore, StoreKey, Touch};
use session_sql::{SqlStore, TableName, sqlx};

use crate::{
    databases::{Ground, Place, each_database, own_table},
    patience::until,
    records::{ended, increment, insert, key, lasting, load, owner, record},
};

each_database!(
    a_later_end_leaves_the_index_alone_and_an_earlier_one_moves_it,
    an_update_keeps_the_owner_or_replaces_it,
    what_is_due_but_lives_is_put_off_until_it_ends,
    a_sweep_gets_past_batches_of_the_living,
    no_change_is_lost_beside_a_sweep_that_puts_off,
    rows_of_an_older_version_are_swept
);

const MINUTE: Duration = Duration::from_mins(1);

async fn a_later_end_leaves_the_index_alone_and_an_earlier_one_moves_it<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let (store, key) = (place.migrated(&table).await, key());
    let first = lasting(b"1", 10 * MINUTE);
    insert(&store, &key, &first).await;
    assert_eq!(sweep_at(&place, &table).await, millis(first.expires_at));

    update(&store, &key, &lasting(b"2", 20 * MINUTE)).await;
    assert_eq!(sweep_at(&place, &table).await, millis(first.expires_at));
    touch(&store, &key, SystemTime::now() + 30 * MINUTE).await;
    assert_eq!(sweep_at(&place, &table).await, millis(first.expires_at));

    let earlier = lasting(b"3", 5 * MINUTE);
    update(&store, &key, &earlier).await;
    assert_eq!(sweep_at(&place, &table).await, millis(earlier.expires_at));
    let earliest = SystemTime::now() + MINUTE;
    touch(&store, &key, earliest).await;
    assert_eq!(sweep_at(&place, &table).await, millis(earliest));
    let loaded = load(&store, &key).await.expect("it lives");
    assert_eq!(millis(loaded.expires_at), millis(earliest));
    assert_eq!(loaded.payload, b"3");
}

async fn an_update_keeps_the_owner_or_replaces_it<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let (store, key, ada, grace) = (place.migrated(&table).await, key(), owner(), owner());
    let of = |owner: &OwnerKey, payload: &[u8]| Record {
        owner: Some(owner.clone()),
        ..record(payload)
    };
    insert(&store, &key, &record(b"nobody's")).await;
    for (next, ada_has, grace_has) in [
        (of(&ada, b"ada's"), 1, 0),
        (of(&ada, b"hers again"), 1, 0),
        (record(b"a record that names nobody"), 1, 0),
        (of(&grace, b"grace's"), 0, 1),
        (lasting(b"a marker", MINUTE), 0, 1),
    ] {
        update(&store, &key, &next).await;
        let loaded = load(&store, &key).await.expect("it lives");
        assert_eq!(loaded.payload, next.payload);
        assert_eq!(millis(loaded.expires_at), millis(next.expires_at));
        assert_eq!(store.owned_by(&ada).await.unwrap().len(), ada_has);
        assert_eq!(store.owned_by(&grace).await.unwrap().len(), grace_has);
    }
}

async fn what_is_due_but_lives_is_put_off_until_it_ends<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let (store, key) = (place.migrated(&table).await, key());
    let kept = record(b"kept");
    insert(&store, &key, &kept).await;
    due_at_once(&place, &table).await;
    assert_eq!(store.sweep(1000).await.unwrap(), 0);
    assert_eq!(load(&store, &key).await.unwrap().payload, b"kept");
    assert_eq!(sweep_at(&place, &table).await, millis(kept.expires_at));

    let end = SystemTime::now() + Duration::from_millis(200);
    touch(&store, &key, end).await;
    tokio::time::sleep(Duration::from_millis(210)).await;
    assert_eq!(store.sweep(1000).await.unwrap(), 1);
}

async fn a_sweep_gets_past_batches_of_the_living<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let store = place.migrated(&table).await;
    let (living, dead) = (220, 130);
    for number in 0..living.max(dead) {
        if number < living {
            insert(&store, &key(), &record(b"lives")).await;
        }
        if number < dead {
            insert(&store, &key(), &ended(b"has ended")).await;
        }
    }
    due_at_once(&place, &table).await;
    assert_eq!(store.sweep(101).await.unwrap(), 101);
    assert_eq!(store.sweep(1000).await.unwrap(), dead - 101);
    assert_eq!(store.sweep(1000).await.unwrap(), 0);
    let left = place.number(&count(&table, "sweep_at = expires_at")).await;
    assert_eq!(u64::try_from(left).unwrap(), living);
}

async fn no_change_is_lost_beside_a_sweep_that_puts_off<D: Place>() {
    const TIMES: u64 = 20;
    let (place, table) = (D::place().await, own_table());
    let store = place.migrated(&table).await;
    let keys: Vec<_> = (0..8).map(|_| key()).collect();
    for key in &keys {
        insert(&store, key, &record(&0_u64.to_be_bytes())).await;
    }
    for _ in 0..TIMES {
        due_at_once(&place, &table).await;
        let changes = join_all(keys.iter().map(|key| increment(&store, key)));
        let (swept, _) = tokio::join!(store.sweep(1000), changes);
        assert_eq!(swept.unwrap(), 0);
    }
    for key in &keys {
        let counted = load(&store, key).await.expect("it lives").payload;
        assert_eq!(counted, TIMES.to_be_bytes());
    }
}

#[tokio::test]
async fn a_change_in_postgres_writes_no_index() {
    let (place, table) = (sqlx::Postgres::place().await, own_table());
    let (store, key) = (place.migrated(&table).await, key());
    insert(&store, &key, &lasting(b"first", MINUTE)).await;
    for _ in 0..10 {
        update(&store, &key, &record(b"next")).await;
    }
    // A server's process hands its counts in when it ends.
    store.pool().close().await;
    let counted = format!(
        "SELECT n_tup_hot_upd::bigint FROM pg_stat_user_tables WHERE relname = '{}'",
        table.table()
    );
    until(
        Duration::from_secs(5),
        |heap_only| heap_only == 10,
        || place.number(&counted),
    )
    .await;
}

/// They know nothing of `sweep_at`, and one may have been shortened by a process that does not either.
async fn rows_of_an_older_version_are_swept<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let store = place.migrated(&table).await;
    for (name, expires_at) in [("6c69766573", now() + 3_600_000), ("656e646564", now() - 1)] {
        let [open, close] = D::LITERAL;
        place
            .execute(&format!(
                "INSERT INTO {table} (store_key, payload, revision, expires_at) \
                 VALUES ({open}{name}{close}, {open}00{close}, 7, {expires_at})"
            ))
            .await;
    }
    assert_eq!(store.sweep(1000).await.unwrap(), 1);
    let lives = StoreKey::from_stored("lives");
    let loaded = load(&store, &lives).await.expect("it lives");
    update(&store, &lives, &record(b"changed")).await;

    place
        .execute(&format!("UPDATE {table} SET expires_at = {}", now() - 1))
        .await;
    assert!(load(&store, &lives).await.is_none());
    assert_eq!(store.sweep(1000).await.unwrap(), 0, "it is not due yet");
    place
        .execute(&format!("UPDATE {table} SET sweep_at = {}", now() - 1))
        .await;
    assert_eq!(store.sweep(1000).await.unwrap(), 1);
    assert_eq!(loaded.payload, [0]);
}

async fn update<D: Place>(store: &SqlStore<D>, key: &StoreKey, record: &Record) {
    let loaded = load(store, key).await.expect("it lives");
    let write = store.update(key, record, &loaded.revision).await.unwrap();
    assert!(write.is_stored(), "the update was refused");
}

async fn touch<D: Place>(store: &SqlStore<D>, key: &StoreKey, end: SystemTime) {
    assert_eq!(store.touch(key, end).await.unwrap(), Touch::Moved);
}

/// As if the records had been made long ago and lived on.
async fn due_at_once<D: Place>(place: &Ground<D>, table: &TableName) {
    place
        .execute(&format!("UPDATE {table} SET sweep_at = 0"))
        .await;
}

/// What the index has of the table's only record.
async fn sweep_at<D: Place>(place: &Ground<D>, table: &TableName) -> i64 {
    place.number(&format!("SELECT sweep_at FROM {table}")).await
}

fn count(table: &TableName, which: &str) -> String {
    format!("SELECT COUNT(*) FROM {table} WHERE {which}")
}

fn now() -> i64 {
    millis(SystemTime::now())
}

fn millis(instant: SystemTime) -> i64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}
