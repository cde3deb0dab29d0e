//! Ids and payloads in the columns of Flask-Session.

use session_core::{SessionStore, StoreKey};
use session_sql::{FlaskSqlStore, SqlStore, sqlx};
use session_tests::sweep_up_to;
use sqlx::{Executor, mysql::MySqlPoolOptions};

use super::tables::FlaskDatabase;
use crate::{
    databases::{TestDatabase, each_database, unique_table},
    records::{error_chain, insert, key, load, record},
};

each_database!(
    an_id_in_another_case_or_padded_is_another_id_in_every_collation,
    a_key_that_a_column_might_change_is_an_error
);

async fn an_id_in_another_case_or_padded_is_another_id_in_every_collation<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    database.create(&table, D::CASE_INSENSITIVE).await;
    let store = database.flask_store(&table);
    store.migrate().await.expect("the table is Flask's");
    let key = StoreKey::from_stored("session:abcABC-0123");
    let count = format!(
        "SELECT COUNT(*) FROM {table} WHERE data = {}",
        D::bytes(b"flask")
    );
    for similar in [
        "session:ABCabc-0123",
        "session:abcABC-0123 ",
        "SESSION:ABCABC-0123",
    ] {
        database
            .insert_row(&table, similar, b"flask", "'2999-12-31 23:59:59'")
            .await;
        assert_eq!(load(&store, &key).await, None, "{similar:?}");
        let revision = session_core::Revision::new(b"flask".to_vec());
        let update = store.update(&key, &record(b"mine"), &revision).await;
        assert!(!update.unwrap().is_stored(), "{similar:?}");
        store.delete(&key).await.unwrap();
        assert_eq!(database.rows(&table).await, 1, "{similar:?} was deleted");

        // The unique index may refuse the key. The other row stays as it is.
        let write = store.insert(&key, &record(b"mine")).await.unwrap();
        assert_eq!(database.number(&count).await, 1, "{similar:?}");
        assert_eq!(load(&store, &key).await.is_some(), write.is_stored());
        database.execute(&format!("DELETE FROM {table}")).await;
    }
    // An expired row has the same effect until a sweep removes it.
    database
        .insert_row(&table, "session:ABCabc-0123", b"flask", "NULL")
        .await;
    let _ = store.insert(&key, &record(b"mine")).await.unwrap();
    assert_eq!(sweep_up_to(&store, 100).await, 1);
    assert_eq!(database.number(&count).await, 0);
}

async fn a_key_that_a_column_might_change_is_an_error<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let store = database.with_flask_table(&table).await;
    let long = "k".repeat(256);
    for bad in ["", "a b", "a ", "a\0", "ä", &long] {
        let key = StoreKey::from_stored(bad);
        for answer in [
            store.load(&key).await.map(drop),
            store.insert(&key, &record(b"x")).await.map(drop),
            store.delete(&key).await,
        ] {
            let error = answer.expect_err("the key is refused");
            assert!(
                error_chain(&error).contains("1 to 255 characters"),
                "{bad:?}"
            );
        }
    }
    insert(&store, &StoreKey::from_stored(&long[1..]), &record(b"x")).await;
}

#[tokio::test]
async fn mariadb_does_not_cut_a_record_within_the_limit() {
    let (database, table, key) = (sqlx::MySql::open().await, unique_table(), key());
    database.with_flask_table(&table).await;
    // Without the strict mode, in which the server itself refuses what it would cut.
    let pool = MySqlPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move {
            connection
                .execute("SET SESSION sql_mode = ''")
                .await
                .map(drop)
        })
    });
    let store = SqlStore::new(pool.connect_lazy(&database.url).unwrap());
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
async fn migrate_compares_the_column_of_mariadb_with_the_limit() {
    let (database, table, key) = (sqlx::MySql::open().await, unique_table(), key());
    database.with_flask_table(&table).await;
    let large = record(&vec![7; 1 << 20]);
    let store = database.flask_store(&table).with_limit(large.bytes.len());
    let error = store.migrate().await.expect_err("the column is too narrow");
    assert!(
        error_chain(&error).contains("data holds 65535 bytes"),
        "{}",
        error_chain(&error)
    );
    database
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
    let database = sqlx::Sqlite::open().await;
    let store = database.store(&unique_table());
    let flask = store.clone().with_flask_layout();
    assert_eq!(flask.limit(), FlaskSqlStore::<sqlx::Sqlite>::DEFAULT_LIMIT);
    assert_eq!(flask.limit(), 1 << 20);
    assert_eq!(flask.with_limit(usize::MAX).limit(), 499_967_232);
    assert_eq!(store.with_limit(3).with_flask_layout().limit(), 3);
}
