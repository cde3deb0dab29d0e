//! The sweep of Flask-Session's table, which has no index on the expiry.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use session_core::{ExpiredSweep, Swept, sweep_until};
use session_sql::{MySqlStore, TableName, sqlx};
use tokio::time::{sleep, timeout};

use super::tables::FlaskDatabase;
use crate::{
    databases::{Handle, TestDatabase, each_database, unique_table},
    records::{insert, key, load, record},
    statements::{one_connection, server_counter},
    sweep::calls_in_time,
};
use session_tests::{assert_in_time, sweep_up_to};

each_database!(
    a_sweep_removes_expired_rows_anywhere_in_the_table,
    a_sweep_stops_at_its_limit_and_the_next_one_continues,
    a_sweep_that_is_done_has_visited_every_row,
    a_call_that_meets_many_live_rows_ends_after_a_second,
    a_shutdown_ends_a_sweep_of_many_live_rows_within_a_second
);

/// A table of 1,200 rows, of which each third has expired and each tenth has no expiry, and how
/// many of them are due.
async fn filled<D: FlaskDatabase>() -> (Handle<D>, TableName, u64) {
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
    assert_eq!(sweep_up_to(&store, usize::MAX).await, due);
    assert_eq!(database.rows(&table).await.unsigned_abs(), 1201 - due);
    assert!(load(&store, &key).await.is_some());
    assert_eq!(sweep_up_to(&store, usize::MAX).await, 0);
}

async fn a_sweep_stops_at_its_limit_and_the_next_one_continues<D: FlaskDatabase>() {
    let (database, table, due) = filled::<D>().await;
    let store = database.flask_store(&table);
    assert_eq!(sweep_up_to(&store, 300).await, 300);
    assert_eq!(sweep_up_to(&store, usize::MAX).await, due - 300);
}

async fn a_sweep_that_is_done_has_visited_every_row<D: FlaskDatabase>() {
    let (database, table, due) = filled::<D>().await;
    let store = database.flask_store(&table);
    assert_eq!(sweep_up_to(&store, 300).await, 300);
    // Two rows before the place where that sweep stopped: a new one and one that was live.
    database
        .execute(&format!(
            "INSERT INTO {table} (id, session_id) VALUES (-1, 'flask:first')"
        ))
        .await;
    let first_live = format!("(SELECT MIN(id) FROM {table} WHERE expiry > '2100-01-01 00:00:00')");
    let ends = format!(
        "UPDATE {table} SET expiry = '2001-01-01 00:00:00' WHERE id = {}",
        database
            .number(&format!(
                "SELECT {} FROM {table} LIMIT 1",
                D::BIGINT.replace("{}", &first_live)
            ))
            .await
    );
    database.execute(&ends).await;
    assert_eq!(sweep_up_to(&store, usize::MAX).await, due - 300 + 2);
    assert_eq!(sweep_up_to(&store, usize::MAX).await, 0);
}

async fn a_call_that_meets_many_live_rows_ends_after_a_second<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    database.with_flask_table(&table).await;
    let store = database.flask_store(&table);
    add_rows(&database, &table, "live", 8000).await;
    let mut live = 8000;
    while calls_in_time(&store).await.len() == 1 {
        // One call had the time for them.
        let twice = format!(
            "INSERT INTO {table} (session_id, expiry) \
             SELECT CONCAT(session_id, '+{live}'), expiry FROM {table}"
        );
        database.execute(&twice).await;
        live *= 2;
    }
    add_rows(&database, &table, "expired", 100).await;
    let calls = calls_in_time(&store).await;
    assert_eq!(calls.iter().map(|swept| swept.removed).sum::<u64>(), 100);
    assert_eq!(database.rows(&table).await, live);
}

async fn a_shutdown_ends_a_sweep_of_many_live_rows_within_a_second<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    database.with_flask_table(&table).await;
    add_rows(&database, &table, "live", 20_000).await;
    let store = Arc::new(database.flask_store(&table));
    let mut stopped = Instant::now();
    let stop = async {
        sleep(Duration::from_millis(300)).await;
        stopped = Instant::now();
    };
    sweep_until(store, Duration::from_millis(20), stop).await;
    assert_in_time!(stopped.elapsed() < Duration::from_secs(1));
}

/// Sweeps with a limit, and calls that were dropped, together read each row about once.
#[tokio::test]
async fn many_sweeps_of_a_large_table_of_mariadb_read_each_live_row_once_or_twice() {
    const LIVE: i64 = 10_000;
    const EXPIRED: i64 = 3_000;
    let (database, table) = (sqlx::MySql::open().await, unique_table());
    database.with_flask_table(&table).await;
    add_rows(&database, &table, "live", LIVE).await;
    add_rows(&database, &table, "expired", EXPIRED).await;
    let pool = one_connection(&database);
    let store = MySqlStore::new(pool.clone())
        .with_table(table)
        .with_flask_layout();
    let before = rows_read(&pool).await;
    let mut removed = 0;
    loop {
        let swept = sweep_up_to(&store, 500).await;
        removed += swept;
        if swept < 500 {
            break;
        }
    }
    assert_eq!(removed.cast_signed(), EXPIRED);
    let read = rows_read(&pool).await - before;
    // A batch is read once by the select, and its expired rows once more by the delete.
    let most = 2 * LIVE + 2 * EXPIRED + 1_000;
    assert!(read <= most, "{read} rows were read");
}

/// The time that a call takes must not decide which rows the sweep visits.
#[tokio::test]
async fn a_slow_call_that_stops_at_its_limit_is_followed_by_a_whole_sweep() {
    let (database, table, due) = filled::<sqlx::Sqlite>().await;
    let store = database.flask_store(&table);
    let mut writer = database.connect().await;
    let execute = async |writer: &mut _, sql: &str| {
        <sqlx::Sqlite as TestDatabase>::execute(writer, sql)
            .await
            .unwrap();
    };
    execute(&mut writer, "BEGIN IMMEDIATE").await;
    let commit = async {
        // So long that the rest after the batch takes the call over its time.
        sleep(Duration::from_millis(600)).await;
        execute(&mut writer, "COMMIT").await;
    };
    let began = Instant::now();
    let (swept, ()) = tokio::join!(store.sweep(1), commit);
    assert_eq!(swept.unwrap().removed, 1);
    assert!(began.elapsed() > Swept::LONGEST_CALL, "the call was fast");
    database
        .execute(&format!(
            "INSERT INTO {table} (id, session_id) VALUES (-1, 'flask:first')"
        ))
        .await;
    assert_eq!(sweep_up_to(&store, usize::MAX).await, due);
}

#[tokio::test]
async fn a_sweep_continues_where_a_dropped_one_was() {
    let (database, table) = (sqlx::Sqlite::open().await, unique_table());
    database.with_flask_table(&table).await;
    add_rows(&database, &table, "live", 20_000).await;
    add_rows(&database, &table, "expired", 100).await;
    let store = database.flask_store(&table);
    let mut drops = 0;
    while database.rows(&table).await > 20_000 {
        // No call has the time for all the live rows.
        let dropped = timeout(Duration::from_millis(250), store.sweep(1000)).await;
        drops += u32::from(dropped.is_err());
        assert!(drops < 200, "each call begins at the first row");
    }
    assert!(drops > 0, "one call visited the whole table");
}

async fn rows_read(pool: &sqlx::MySqlPool) -> i64 {
    server_counter(pool, "Handler_read_next").await + server_counter(pool, "Handler_read_key").await
}

/// Adds rows that expire in 2999, or did in 2001.
async fn add_rows<D: FlaskDatabase>(
    database: &Handle<D>,
    table: &TableName,
    kind: &str,
    rows: i64,
) {
    let expiry = if kind == "live" { 2999 } else { 2001 };
    for rows in (0..rows).collect::<Vec<_>>().chunks(1000) {
        let values: Vec<_> = rows
            .iter()
            .map(|row| format!("('{kind}:{row}', '{expiry}-01-01 00:00:00')"))
            .collect();
        let values = values.join(", ");
        database
            .execute(&format!(
                "INSERT INTO {table} (session_id, expiry) VALUES {values}"
            ))
            .await;
    }
}
