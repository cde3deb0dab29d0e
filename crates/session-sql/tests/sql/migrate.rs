use session_core::{ExpiredSweep, OwnerIndex, SessionStore};
use session_sql::{SqlStore, SqliteStore, TableName, sqlx};
use sqlx::sqlite::SqlitePoolOptions;

use crate::{
    databases::{Place, each_database, own_table},
    records::{chain, insert, key, load, owner, record},
};

each_database!(
    twenty_parallel_migrations_succeed,
    a_table_that_is_there_is_checked_and_left_alone,
    changes_meet_no_index_on_the_expiry,
    a_table_that_lacks_a_column_is_refused_and_left_alone,
    a_table_of_something_else_is_refused_and_left_alone,
    a_table_of_flask_session_is_refused_and_left_alone,
    a_missing_table_is_one_clear_error,
    a_reserved_word_and_the_longest_name_are_legal
);

async fn twenty_parallel_migrations_succeed<D: Place>() {
    let place = D::place().await;
    for _ in 0..session_tests::rounds() {
        let table = own_table();
        let twenty: Vec<_> = (0..20).map(|_| place.store(&table)).collect();
        let tasks: Vec<_> = twenty
            .into_iter()
            .map(|store| tokio::spawn(async move { store.migrate().await }))
            .collect();
        for task in tasks {
            task.await
                .expect("no panic")
                .expect("the migration succeeds");
        }
        let store = place.store(&table);
        let key = key();
        insert(&store, &key, &record(b"x")).await;
        place.execute(&format!("DROP TABLE {table}")).await;
    }
}

async fn a_table_that_is_there_is_checked_and_left_alone<D: Place>() {
    let (place, table, key) = (D::place().await, own_table(), key());
    let store = place.migrated(&table).await;
    insert(&store, &key, &record(b"kept")).await;
    place
        .execute(&format!("ALTER TABLE {table} ADD COLUMN mine INTEGER"))
        .await;
    store.migrate().await.expect("the migration succeeds");
    assert_eq!(load(&store, &key).await.unwrap().bytes, "kept");
    let mine = format!("SELECT COUNT(*) FROM {table} WHERE mine IS NULL");
    assert_eq!(place.number(&mine).await, 1);
}

async fn changes_meet_no_index_on_the_expiry<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    place.migrated(&table).await;
    for (column, indexed) in [
        ("owner", true),
        ("sweep_at", true),
        ("expires_at", false),
        ("listed_until", false),
    ] {
        assert_eq!(place.has_index(&table, column).await, indexed, "{column}");
    }
}

async fn a_table_that_lacks_a_column_is_refused_and_left_alone<D: Place>() {
    let (place, table) = (D::place().await, own_table());
    let bytes = D::BYTES;
    place
        .execute(&format!(
            "CREATE TABLE {table} (store_key {bytes} NOT NULL PRIMARY KEY, payload {bytes} NOT NULL, \
             revision BIGINT NOT NULL, expires_at BIGINT NOT NULL)"
        ))
        .await;
    let store = place.store(&table);
    refused(&store, "holds something else").await;
    let insertion = store.insert(&key(), &record(b"x")).await;
    let error = chain(&insertion.expect_err("a column is missing"));
    assert!(error.contains("holds something else"), "{error}");
}

async fn a_table_of_something_else_is_refused_and_left_alone<D: Place>() {
    let place = D::place().await;
    let table = own_table();
    place
        .execute(&format!("CREATE TABLE {table} (id INTEGER, body TEXT)"))
        .await;
    place
        .execute(&format!("INSERT INTO {table} VALUES (7, 'mine')"))
        .await;
    refused(&place.store(&table), "holds something else").await;
    assert_eq!(
        place
            .number(&format!("SELECT COUNT(*) FROM {table} WHERE body = 'mine'"))
            .await,
        1
    );
}

async fn a_table_of_flask_session_is_refused_and_left_alone<D: Place>() {
    let place = D::place().await;
    let table = own_table();
    place
        .execute(&format!(
            "CREATE TABLE {table} (id INTEGER, session_id VARCHAR(255), data TEXT, expiry TIMESTAMP)"
        ))
        .await;
    place
        .execute(&format!(
            "INSERT INTO {table} (id, session_id) VALUES (1, 'flask')"
        ))
        .await;
    refused(&place.store(&table), "Flask-Session").await;
    assert_eq!(
        place
            .number(&format!(
                "SELECT COUNT(*) FROM {table} WHERE session_id = 'flask'"
            ))
            .await,
        1
    );
}

async fn a_missing_table_is_one_clear_error<D: Place>() {
    let place = D::place().await;
    names_migrate(&place.store(&own_table())).await;
}

async fn a_reserved_word_and_the_longest_name_are_legal<D: Place>() {
    let place = D::place().await;
    for name in ["select".to_owned(), "t".repeat(TableName::MAX_LEN)] {
        let store = place.store(&TableName::new(&name).unwrap());
        store.migrate().await.expect("the migration succeeds");
        let key = key();
        insert(&store, &key, &record(b"x")).await;
        store.delete(&key).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_in_memory_needs_a_pool_of_one_lasting_connection() {
    let pool = SqlitePoolOptions::new().max_connections(2);
    let store = SqliteStore::new(pool.connect_lazy("sqlite::memory:").unwrap());
    refused(&store, "ends with its connection").await;
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None);
    let store = SqliteStore::new(pool.connect_lazy("sqlite::memory:").unwrap());
    store.migrate().await.expect("the migration succeeds");
}

#[tokio::test]
async fn a_table_may_live_in_a_schema_of_its_own() {
    let place = sqlx::Postgres::place().await;
    let table = own_table();
    let schema = format!("schema_of_{}", table.table());
    place.execute(&format!("CREATE SCHEMA {schema}")).await;
    let inside = table.clone().in_schema(&schema).unwrap();
    let store = place.store(&inside);
    store.migrate().await.expect("the migration succeeds");
    insert(&store, &key(), &record(b"x")).await;
    assert_eq!(
        place
            .number(&format!("SELECT COUNT(*) FROM {inside}"))
            .await,
        1
    );
    names_migrate(&place.store(&table)).await;
}

async fn refused<D: Place>(store: &SqlStore<D>, because: &str) {
    let error = store.migrate().await.expect_err("the migration is refused");
    assert!(chain(&error).contains(because), "{}", chain(&error));
}

async fn names_migrate<D: Place>(store: &SqlStore<D>) {
    let errors = [
        store.load(&key()).await.map(drop),
        store.insert(&key(), &record(b"x")).await.map(drop),
        store.owned_by(&owner(), None, 10).await.map(drop),
        store.sweep(1).await.map(drop),
    ];
    for error in errors {
        let error = error.expect_err("there is no table");
        assert!(chain(&error).contains("run migrate()"), "{}", chain(&error));
    }
}
