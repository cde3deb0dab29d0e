//! The expiry as each database stores it, and as SQLAlchemy writes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use session_core::{Record, SessionStore};
use session_sql::sqlx;
use session_tests::sweep_up_to;

use super::tables::FlaskDatabase;
use crate::{
    databases::{TestDatabase, each_database, unique_table},
    records::{insert, key, load, record},
};

each_database!(an_expiry_after_the_year_9999_is_the_end_of_that_year);

/// 2099-03-04 05:06:07.008009, and 999 nanoseconds.
fn instant() -> SystemTime {
    UNIX_EPOCH + Duration::new(4_076_283_967, 8_009_999)
}

fn record_until(expires_at: SystemTime) -> Record {
    Record {
        expires_at,
        ..record(b"x")
    }
}

/// The expiry as the database shows it, after an insert and after an update.
async fn stored<D: FlaskDatabase>(expires_at: SystemTime) -> Vec<String> {
    let (database, table) = (D::open().await, unique_table());
    let store = database.with_flask_table(&table).await;
    let [inserted, updated] = [(); 2].map(|()| key());
    insert(&store, &inserted, &record_until(expires_at)).await;
    let revision = insert(&store, &updated, &record(b"old")).await;
    let update = store
        .update(&updated, &record_until(expires_at), &revision)
        .await;
    assert!(update.unwrap().is_stored());
    let mut shown = vec![];
    for key in [inserted, updated] {
        shown.push(database.expiry(&table, key.as_str()).await);
    }
    shown
}

#[tokio::test]
async fn sqlite_stores_an_expiry_as_sqlalchemy_does() {
    let shown = stored::<sqlx::Sqlite>(instant()).await;
    assert_eq!(shown, ["2099-03-04 05:06:07.008009"; 2]);
    let whole = UNIX_EPOCH + Duration::from_secs(4_076_283_967);
    let shown = stored::<sqlx::Sqlite>(whole).await;
    assert_eq!(shown, ["2099-03-04 05:06:07.000000"; 2]);
}

#[tokio::test]
async fn postgres_stores_an_expiry_to_the_microsecond() {
    let shown = stored::<sqlx::Postgres>(instant()).await;
    assert_eq!(shown, ["2099-03-04 05:06:07.008009"; 2]);
}

#[tokio::test]
async fn mariadb_stores_an_expiry_rounded_down_to_the_second() {
    let late = instant() + Duration::from_millis(990);
    let shown = stored::<sqlx::MySql>(late).await;
    assert_eq!(shown, ["2099-03-04 05:06:07"; 2]);
}

async fn an_expiry_after_the_year_9999_is_the_end_of_that_year<D: FlaskDatabase>() {
    let never = UNIX_EPOCH + Duration::from_hours(8766) * 9000;
    let shown = stored::<D>(never).await;
    assert!(
        shown.iter().all(|s| s.starts_with("9999-12-31 23:59:59")),
        "{shown:?}"
    );
}

#[tokio::test]
async fn postgres_loads_an_infinite_expiry_as_the_year_9999() {
    let (database, table, key) = (sqlx::Postgres::open().await, unique_table(), key());
    let store = database.with_flask_table(&table).await;
    database
        .insert_row(&table, key.as_str(), b"x", "'infinity'")
        .await;
    let loaded = load(&store, &key).await.unwrap().expires_at;
    assert_eq!(
        loaded,
        Some(UNIX_EPOCH + Duration::from_secs(253_402_300_799))
    );
}

#[tokio::test]
async fn sqlite_loads_every_form_that_sqlalchemy_reads() {
    let (database, table) = (sqlx::Sqlite::open().await, unique_table());
    let store = database.with_flask_table(&table).await;
    let second = UNIX_EPOCH + Duration::from_secs(4_076_283_967);
    for (form, millis) in [
        ("2099-03-04 05:06:07.250000", 250),
        ("2099-03-04 05:06:07.25", 250),
        ("2099-03-04 05:06:07", 0),
        ("2099-03-04T05:06:07", 0),
        ("2099-03-04T05:06:07.250000", 250),
    ] {
        let key = key();
        database
            .insert_row(&table, key.as_str(), b"x", &format!("'{form}'"))
            .await;
        let loaded = load(&store, &key).await.expect(form);
        let expected = second + Duration::from_millis(millis);
        assert_eq!(loaded.expires_at, Some(expected), "{form}");
    }
}

#[tokio::test]
async fn sqlite_sweeps_every_form_in_time() {
    let (database, table) = (sqlx::Sqlite::open().await, unique_table());
    let store = database.with_flask_table(&table).await;
    // If the texts were compared, a `T` would be later than any space on the same day.
    for (live, form) in [
        (
            true,
            "strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '+30 seconds')",
        ),
        (true, "strftime('%Y-%m-%dT%H:%M:%S', 'now', '+30 seconds')"),
        (true, "strftime('%Y-%m-%d %H:%M:%f', 'now', '+30 seconds')"),
        (false, "strftime('%Y-%m-%d %H:%M:%S.000000', 'now')"),
        (false, "strftime('%Y-%m-%dT%H:%M:%S', 'now')"),
        (false, "strftime('%Y-%m-%dT%H:%M:%f', 'now', '-1 second')"),
        (false, "'soon'"),
        (false, "''"),
        (false, "9999999999"),
    ] {
        let key = key();
        database.insert_row(&table, key.as_str(), b"x", form).await;
        let loaded = load(&store, &key).await.unwrap().expires_at;
        assert_eq!(loaded > Some(SystemTime::now()), live, "{form}");
        let taken = store.insert(&key, &record(b"y")).await.unwrap();
        assert!(!taken.is_stored(), "{form}");
        assert_eq!(sweep_up_to(&store, 100).await, u64::from(!live), "{form}");
        assert_eq!(load(&store, &key).await.is_some(), live, "{form}");
    }
}
