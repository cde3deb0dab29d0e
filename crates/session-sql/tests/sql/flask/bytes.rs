use session_core::{ExpiredSweep, SessionStore, StoreKey};
use session_sql::{FlaskSqlStore, SqlStore, sqlx};
use sqlx::{Executor, mysql::MySqlPoolOptions};

use super::tables::FlaskPlace;
use crate::{
    databases::{Place, each_database, literal, own_table},
    records::{chain, insert, key, load, record},
};

each_database!(
    an_id_in_another_case_or_padded_is_another_whatever_the_collation,
    a_key_that_the_column_might_change_is_an_error
);

async fn an_id_in_another_case_or_padded_is_another_whatever_the_collation<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    place.make(&table, D::BLIND).await;
    let store = place.flask(&table);
    store.migrate().await.expect("the table is Flask's");
    let key = StoreKey::from_stored("session:abcABC-0123");
    let theirs = format!(
        "SELECT COUNT(*) FROM {table} WHERE data = {}",
        literal::<D>(b"theirs")
    );
    for likeness in [
        "session:ABCabc-0123",
        "session:abcABC-0123 ",
        "SESSION:ABCABC-0123",
    ] {
        place
            .put(&table, likeness, b"theirs", "'2999-12-31 23:59:59'")
            .await;
        assert_eq!(load(&store, &key).await, None, "{likeness:?}");
        let revision = session_core::Revision::new(b"theirs".to_vec());
        let update = store.update(&key, &record(b"mine"), &revision).await;
        assert!(!update.unwrap().is_stored(), "{likeness:?}");
        store.delete(&key).await.unwrap();
        assert_eq!(place.rows(&table).await, 1, "{likeness:?} was ended");

        // The index may bar it; what is there stays all the same.
        let write = store.insert(&key, &record(b"mine")).await.unwrap();
        assert_eq!(place.number(&theirs).await, 1, "{likeness:?}");
        assert_eq!(load(&store, &key).await.is_some(), write.is_stored());
        place.execute(&format!("DELETE FROM {table}")).await;
    }
    // Also one that has ended, until it is swept.
    place
        .put(&table, "session:ABCabc-0123", b"theirs", "NULL")
        .await;
    let _ = store.insert(&key, &record(b"mine")).await.unwrap();
    assert_eq!(store.sweep(100).await.unwrap(), 1);
    assert_eq!(place.number(&theirs).await, 0);
}

async fn a_key_that_the_column_might_change_is_an_error<D: FlaskPlace>() {
    let (place, table) = (D::place().await, own_table());
    let store = place.theirs(&table).await;
    let long = "k".repeat(256);
    for bad in ["", "a b", "a ", "a\0", "ä", &long] {
        let key = StoreKey::from_stored(bad);
        for answer in [
            store.load(&key).await.map(drop),
            store.insert(&key, &record(b"x")).await.map(drop),
            store.delete(&key).await,
        ] {
            let error = answer.expect_err("the key is refused");
            assert!(chain(&error).contains("1 to 255 characters"), "{bad:?}");
        }
    }
    insert(&store, &StoreKey::from_stored(&long[1..]), &record(b"x")).await;
}

#[tokio::test]
async fn what_the_limit_of_mariadb_lets_through_is_not_cut() {
    let (place, table, key) = (sqlx::MySql::place().await, own_table(), key());
    place.theirs(&table).await;
    // Without its strict mode, so that nothing but the limit stands between a large session and a cut one.
    let pool = MySqlPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move {
            connection
                .execute("SET SESSION sql_mode = ''")
                .await
                .map(drop)
        })
    });
    let store = SqlStore::new(pool.connect_lazy(&place.url).unwrap());
    let store = store.with_table(table).with_flask_layout();
    let revision = insert(&store, &key, &record(b"old")).await;
    assert_eq!(store.limit(), 65_535);
    let full = record(&vec![7; 65_535]);
    assert!(
        store
            .update(&key, &full, &revision)
            .await
            .unwrap()
            .is_stored()
    );
    assert!(load(&store, &key).await.unwrap().bytes == full.bytes);
}

#[tokio::test]
async fn in_mariadb_a_wider_column_holds_more_and_a_narrow_one_is_told() {
    let (place, table, key) = (sqlx::MySql::place().await, own_table(), key());
    place.theirs(&table).await;
    let large = record(&vec![7; 1 << 20]);
    let store = place.flask(&table).with_limit(large.bytes.len());
    let error = store.migrate().await.expect_err("the column is too narrow");
    assert!(
        chain(&error).contains("data holds 65535 bytes"),
        "{}",
        chain(&error)
    );
    place
        .execute(&format!("ALTER TABLE {table} MODIFY data LONGBLOB"))
        .await;
    store.migrate().await.expect("the column is wide enough");
    let revision = insert(&store, &key, &large).await;
    let update = store.update(&key, &large, &revision).await;
    assert!(update.unwrap().is_stored());
    assert!(load(&store, &key).await.unwrap().bytes == large.bytes);
}

#[tokio::test]
async fn the_limit_is_the_lower_of_the_two() {
    let place = sqlx::Sqlite::place().await;
    let store = place.store(&own_table());
    let flask = store.clone().with_flask_layout();
    assert_eq!(flask.limit(), FlaskSqlStore::<sqlx::Sqlite>::DEFAULT_LIMIT);
    assert_eq!(flask.limit(), 1 << 20);
    assert_eq!(flask.with_limit(usize::MAX).limit(), 499_967_232);
    assert_eq!(store.with_limit(3).with_flask_layout().limit(), 3);
}
