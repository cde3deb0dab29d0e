use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use session_core::{ExpiredSweep, OwnerKey, Record, SessionStore, StoreKey};
use session_sql::{SqlStore, TableName, sqlx};

use crate::{
    databases::{Ground, Place, each_database, own_table},
    patience::until,
    records::{ended, increment, insert, key, lasting, listed, load, owned, owner, record},
};

each_database!(
    a_later_end_leaves_the_index_alone_and_an_earlier_one_moves_it,
    an_update_keeps_the_owner_or_replaces_it,
    what_is_due_but_lives_is_put_off_until_it_ends,
    a_sweep_gets_past_batches_of_the_living,
    no_change_is_lost_beside_a_sweep_that_puts_off,
    what_is_no_longer_listed_leaves_the_index_at_the_next_sweep
);

const MINUTE: Duration = Duration::from_mins(1);

async fn a_later_end_leaves_the_index_alone_and_an_earlier_one_moves_it<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let (store, key) = (place.migrated(&table).await, key());
    let first = lasting(b"1", 10 * MINUTE);
    insert(&store, &key, &first).await;
    assert_eq!(sweep_at(&place, &table).await, micros(first.expires_at));

    update(&store, &key, &lasting(b"2", 20 * MINUTE)).await;
    assert_eq!(sweep_at(&place, &table).await, micros(first.expires_at));

    let earlier = lasting(b"3", 5 * MINUTE);
    update(&store, &key, &earlier).await;
    assert_eq!(sweep_at(&place, &table).await, micros(earlier.expires_at));
    // The same bytes, as a refresh writes them.
    let later = lasting(b"3", 30 * MINUTE);
    update(&store, &key, &later).await;
    assert_eq!(sweep_at(&place, &table).await, micros(earlier.expires_at));
    let ends = expires_at(&place, &table).await;
    assert_eq!(ends, micros(later.expires_at));
}

async fn an_update_keeps_the_owner_or_replaces_it<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let (store, key, ada, grace) = (place.migrated(&table).await, key(), owner(), owner());
    let of = |owner: &OwnerKey, bytes: &[u8]| owned(owner, record(bytes));
    insert(&store, &key, &record(b"nobody's")).await;
    for (next, ada_has, grace_has) in [
        (of(&ada, b"ada's"), 1, 0),
        (of(&ada, b"hers again"), 1, 0),
        (record(b"a record that names nobody"), 1, 0),
        (of(&grace, b"grace's"), 0, 1),
        (lasting(b"a marker", MINUTE), 0, 1),
    ] {
        update(&store, &key, &next).await;
        assert_eq!(load(&store, &key).await.unwrap().bytes, next.bytes);
        let ends = expires_at(&place, &table).await;
        assert_eq!(ends, micros(next.expires_at));
        assert_eq!(listed(&store, &ada).await.len(), ada_has);
        assert_eq!(listed(&store, &grace).await.len(), grace_has);
    }
}

async fn what_is_due_but_lives_is_put_off_until_it_ends<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let (store, key) = (place.migrated(&table).await, key());
    let kept = record(b"kept");
    insert(&store, &key, &kept).await;
    due_at_once(&place, &table).await;
    assert_eq!(store.sweep(1000).await.unwrap(), 0);
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"kept"[..]);
    assert_eq!(sweep_at(&place, &table).await, micros(kept.expires_at));

    let soon = lasting(b"kept", Duration::from_millis(200));
    update(&store, &key, &soon).await;
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
        let counted = load(&store, key).await.expect("it lives").bytes;
        assert_eq!(counted, TIMES.to_be_bytes()[..]);
    }
}

async fn what_is_no_longer_listed_leaves_the_index_at_the_next_sweep<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let (store, owner) = (place.migrated(&table).await, owner());
    let [lives, ended] = [(); 2].map(|()| key());
    insert(&store, &lives, &owned(&owner, record(b"lives"))).await;
    let marker = Record {
        entry: owned(&owner, crate::records::ended(b"")).entry,
        ..record(b"marker")
    };
    insert(&store, &ended, &marker).await;
    assert_eq!(listed(&store, &owner).await, std::slice::from_ref(&lives));
    assert_eq!(store.sweep(1000).await.unwrap(), 0);
    let indexed = count(&table, "owner IS NOT NULL");
    assert_eq!(place.number(&indexed).await, 1);
    let put_off = count(&table, "owner IS NULL AND sweep_at = expires_at");
    assert_eq!(place.number(&put_off).await, 1);
    assert!(load(&store, &ended).await.is_some());

    update(&store, &ended, &owned(&owner, record(b"again"))).await;
    assert_eq!(listed(&store, &owner).await.len(), 2);
    // Due a second time, when it is no longer listed.
    due_at_once(&place, &table).await;
    assert_eq!(store.sweep(1000).await.unwrap(), 0);
    let due = count(&table, "sweep_at = listed_until");
    assert_eq!(place.number(&due).await, 2);
    assert_eq!(place.number(&indexed).await, 2);
}

#[tokio::test]
async fn a_change_in_postgres_writes_no_index() {
    let (place, table) = (sqlx::Postgres::place().await, own_table());
    let (store, key) = (place.migrated(&table).await, key());
    let owner = owner();
    let of_owner = |record| owned(&owner, record);
    insert(&store, &key, &of_owner(lasting(b"first", MINUTE))).await;
    for _ in 0..10 {
        update(&store, &key, &of_owner(record(b"next"))).await;
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

async fn update<D: Place>(store: &SqlStore<D>, key: &StoreKey, record: &Record) {
    let loaded = load(store, key).await.expect("it lives");
    let write = store.update(key, record, &loaded.revision).await.unwrap();
    assert!(write.is_stored(), "the update was refused");
}

/// As if the records had been made long ago and lived on.
async fn due_at_once<D: Place>(place: &Ground<D>, table: &TableName) {
    place
        .execute(&format!("UPDATE {table} SET sweep_at = 0"))
        .await;
}

async fn expires_at<D: Place>(place: &Ground<D>, table: &TableName) -> i64 {
    let sql = format!("SELECT expires_at FROM {table}");
    place.number(&sql).await
}

/// What the index has of the table's only record.
async fn sweep_at<D: Place>(place: &Ground<D>, table: &TableName) -> i64 {
    place.number(&format!("SELECT sweep_at FROM {table}")).await
}

fn count(table: &TableName, which: &str) -> String {
    format!("SELECT COUNT(*) FROM {table} WHERE {which}")
}

fn micros(instant: SystemTime) -> i64 {
    let since = instant.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_micros().try_into().unwrap()
}
