use std::time::{Duration, SystemTime, UNIX_EPOCH};

use session_core::{ExpiredSweep, Record, SessionStore};
use session_sql::sqlx;

use super::tables::FlaskPlace;
use crate::{
    databases::{Place, own_table},
    records::{insert, key, load, record},
};

/// 2099-03-04 05:06:07.008009, and some nanoseconds.
fn instant() -> SystemTime {
    UNIX_EPOCH + Duration::new(4_076_283_967, 8_009_999)
}

fn until(expires_at: SystemTime) -> Record {
    Record {
        expires_at,
        ..record(b"x")
    }
}

/// What the database shows of an expiry that an insert and an update have written.
async fn written<D: FlaskPlace>(expires_at: SystemTime) -> Vec<String> {
    let (place, table) = (D::place().await, own_table());
    let store = place.theirs(&table).await;
    let [inserted, updated] = [(); 2].map(|()| key());
    insert(&store, &inserted, &until(expires_at)).await;
    let revision = insert(&store, &updated, &record(b"old")).await;
    let update = store.update(&updated, &until(expires_at), &revision).await;
    assert!(update.unwrap().is_stored());
    let mut shown = vec![];
    for key in [inserted, updated] {
        shown.push(place.expiry(&table, key.as_str()).await);
    }
    shown
}

#[tokio::test]
async fn sqlite_holds_an_expiry_as_sqlalchemy_writes_it() {
    let shown = written::<sqlx::Sqlite>(instant()).await;
    assert_eq!(shown, ["2099-03-04 05:06:07.008009"; 2]);
    let whole = UNIX_EPOCH + Duration::from_secs(4_076_283_967);
    let shown = written::<sqlx::Sqlite>(whole).await;
    assert_eq!(shown, ["2099-03-04 05:06:07.000000"; 2]);
}

#[tokio::test]
async fn postgres_holds_an_expiry_to_the_microsecond() {
    let shown = written::<sqlx::Postgres>(instant()).await;
    assert_eq!(shown, ["2099-03-04 05:06:07.008009"; 2]);
}

#[tokio::test]
async fn mariadb_holds_an_expiry_rounded_down_to_the_second() {
    let late = instant() + Duration::from_millis(990);
    let shown = written::<sqlx::MySql>(late).await;
    assert_eq!(shown, ["2099-03-04 05:06:07"; 2]);
}

#[tokio::test]
async fn an_expiry_beyond_the_year_9999_is_its_end() {
    let never = UNIX_EPOCH + Duration::from_hours(8766) * 9000;
    for shown in [
        written::<sqlx::Sqlite>(never).await,
        written::<sqlx::Postgres>(never).await,
        written::<sqlx::MySql>(never).await,
    ] {
        assert!(
            shown.iter().all(|s| s.starts_with("9999-12-31 23:59:59")),
            "{shown:?}"
        );
    }
}

#[tokio::test]
async fn postgres_reads_an_infinite_expiry_as_the_year_9999() {
    let (place, table, key) = (sqlx::Postgres::place().await, own_table(), key());
    let store = place.theirs(&table).await;
    place.put(&table, key.as_str(), b"x", "'infinity'").await;
    let told = load(&store, &key).await.unwrap().expires_at;
    assert_eq!(
        told,
        Some(UNIX_EPOCH + Duration::from_secs(253_402_300_799))
    );
}

#[tokio::test]
async fn sqlite_reads_every_form_that_sqlalchemy_reads() {
    let (place, table) = (sqlx::Sqlite::place().await, own_table());
    let store = place.theirs(&table).await;
    let second = UNIX_EPOCH + Duration::from_secs(4_076_283_967);
    for (form, millis) in [
        ("2099-03-04 05:06:07.250000", 250),
        ("2099-03-04 05:06:07.25", 250),
        ("2099-03-04 05:06:07", 0),
        ("2099-03-04T05:06:07", 0),
        ("2099-03-04T05:06:07.250000", 250),
    ] {
        let key = key();
        place
            .put(&table, key.as_str(), b"x", &format!("'{form}'"))
            .await;
        let loaded = load(&store, &key).await.expect(form);
        let expected = second + Duration::from_millis(millis);
        assert_eq!(loaded.expires_at, Some(expected), "{form}");
    }
}

#[tokio::test]
async fn in_sqlite_every_form_is_told_and_swept_in_time() {
    let (place, table) = (sqlx::Sqlite::place().await, own_table());
    let store = place.theirs(&table).await;
    // On the day of today a `T` is what a comparison of texts would stumble on.
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
        place.put(&table, key.as_str(), b"x", form).await;
        let told = load(&store, &key).await.unwrap().expires_at;
        assert_eq!(told > Some(SystemTime::now()), live, "{form}");
        let taken = store.insert(&key, &record(b"y")).await.unwrap();
        assert!(!taken.is_stored(), "{form}");
        assert_eq!(store.sweep(100).await.unwrap(), u64::from(!live), "{form}");
        assert_eq!(load(&store, &key).await.is_some(), live, "{form}");
    }
}
