//! The sweep of Flask-Session's table, which has no index on the expiry.

use session_core::ExpiredSweep;

use super::tables::FlaskDatabase;
use crate::{
    databases::{each_database, unique_table},
    records::{insert, key, load, record},
};

each_database!(
    a_sweep_removes_expired_rows_anywhere_in_the_table,
    a_sweep_stops_at_its_limit_and_the_next_one_continues
);

/// A table of 1,200 rows, of which each third has expired and each tenth has no expiry, and how
/// many of them are due.
async fn filled<D: FlaskDatabase>() -> (crate::databases::Handle<D>, session_sql::TableName, u64) {
    let (database, table) = (D::open().await, unique_table());
    database.with_flask_table(&table).await;
    let mut due = 0;
    for rows in (0..1200).collect::<Vec<_>>().chunks(300) {
        let values: Vec<_> = rows
            .iter()
            .map(|row| {
                let expiry = match row {
                    _ if row % 10 == 0 => "NULL",
                    _ if row % 3 == 0 => "'2001-01-01 00:00:00'",
                    _ => "'2999-12-31 23:59:59'",
                };
                due += u64::from(row % 10 == 0 || row % 3 == 0);
                format!("('flask:{row}', {expiry})")
            })
            .collect();
        let values = values.join(", ");
        database
            .execute(&format!(
                "INSERT INTO {table} (session_id, expiry) VALUES {values}"
            ))
            .await;
    }
    (database, table, due)
}

async fn a_sweep_removes_expired_rows_anywhere_in_the_table<D: FlaskDatabase>() {
    let (database, table, due) = filled::<D>().await;
    let (store, key) = (database.flask_store(&table), key());
    insert(&store, &key, &record(b"live")).await;
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), due);
    assert_eq!(database.rows(&table).await.unsigned_abs(), 1201 - due);
    assert!(load(&store, &key).await.is_some());
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), 0);
}

async fn a_sweep_stops_at_its_limit_and_the_next_one_continues<D: FlaskDatabase>() {
    let (database, table, due) = filled::<D>().await;
    let store = database.flask_store(&table);
    assert_eq!(store.sweep(300).await.unwrap(), 300);
    assert_eq!(store.sweep(usize::MAX).await.unwrap(), due - 300);
}
