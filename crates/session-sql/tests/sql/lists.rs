//! On PostgreSQL, listing an owner's sessions reads each entry of the index about once.

use std::time::Duration;

use session_core::{KeyPrefix, OwnerIndex};
use session_sql::sqlx;

use crate::databases::{TestDatabase, unique_table};

const ROWS: usize = 5000;
const PAGE: usize = 500;

#[test]
fn postgres_reads_each_entry_of_the_index_once() {
    session_core::conformance::run(async {
        let database = sqlx::Postgres::open().await;
        let table = unique_table();
        let store = database.migrated(&table).await;
        let owner = KeyPrefix::default().owner_key("bob");
        database
            .execute(&format!(
                "INSERT INTO {} (store_key, revision, expires_at, sweep_at, owner, listed_until, payload) \
                 SELECT md5(i::text)::bytea, 1, {end}, {end}, '{}', {end}, 'x' \
                 FROM generate_series(1, {ROWS}) AS i",
                table.table(),
                owner.as_str(),
                end = i64::MAX,
            ))
            .await;
        let (mut found, mut cursor) = (0, None);
        loop {
            let page = store.owned_by(&owner, cursor.as_ref(), PAGE).await;
            let page = page.expect("the database answers");
            found += page.records.len();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, ROWS);
        // The server publishes its counters late, but before a connection ends.
        drop(store);
        let read = format!(
            "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = '{}_owner'",
            table.table()
        );
        let mut before = -1;
        let reads = loop {
            let now = database.number(&read).await;
            if now > 0 && now == before {
                break now;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(300)).await;
        };
        let most = i64::try_from(2 * ROWS).unwrap();
        assert!(reads < most, "{reads} entries of the index were read");
    });
}
