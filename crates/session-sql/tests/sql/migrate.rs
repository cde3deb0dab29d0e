use session_core::{ExpiredSweep, OwnerIndex, Record, SessionStore, StoreKey};
use session_sql::{SqlStore, SqliteStore, TableName, sqlx};
use sqlx::sqlite::SqlitePoolOptions;

use crate::{
    databases::{Ground, Place, each_database, literal, own_table},
    records::{chain, insert, key, load, owner, record},
};

each_database!(
    twenty_parallel_migrations_succeed,
    a_table_of_version_1_is_upgraded_and_keeps_its_sessions,
    a_table_of_version_2_is_upgraded_and_keeps_its_sessions,
    a_table_of_something_else_is_refused_and_left_alone,
    a_table_of_flask_session_is_refused_and_left_alone,
    a_missing_table_is_one_clear_error,
    an_older_table_is_one_clear_error,
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

async fn a_table_of_version_1_is_upgraded_and_keeps_its_sessions<D: Place>() {
    let place = D::place().await;
    let table = own_table();
    older_table(&place, &table).await;
    is_upgraded(&place, &table).await;
}

async fn a_table_of_version_2_is_upgraded_and_keeps_its_sessions<D: Place>() {
    let place = D::place().await;
    let table = own_table();
    older_table(&place, &table).await;
    with_owners(&place, &table).await;
    is_upgraded(&place, &table).await;
}

async fn is_upgraded<D: Place>(place: &Ground<D>, table: &TableName) {
    let store = place.store(table);
    for _ in 0..2 {
        store.migrate().await.expect("the migration succeeds");
    }
    assert_eq!(store.sweep(1000).await.unwrap(), 0);
    let old = StoreKey::from_stored("old");
    let loaded = load(&store, &old).await.expect("the old session lives");
    assert_eq!(loaded.payload, b"kept");
    let (new, ada) = (key(), owner());
    let owned = Record {
        owner: Some(ada.clone()),
        ..record(b"new")
    };
    insert(&store, &new, &owned).await;
    assert_eq!(store.owned_by(&ada).await.unwrap()[0].0, new);
    for (column, indexed) in [("owner", true), ("sweep_at", true), ("expires_at", false)] {
        assert_eq!(place.has_index(table, column).await, indexed, "{column}");
    }
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

async fn an_older_table_is_one_clear_error<D: Place>() {
    let place = D::place().await;
    let table = own_table();
    older_table(&place, &table).await;
    names_migrate(&place.store(&table)).await;
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

/// The table as version 1 of the layout had it, with one session.
async fn older_table<D: Place>(place: &Ground<D>, table: &TableName) {
    let bytes = D::BYTES;
    place
        .execute(&format!(
            "CREATE TABLE {table} (store_key {bytes} NOT NULL PRIMARY KEY, payload {bytes} NOT NULL, \
             revision BIGINT NOT NULL, expires_at BIGINT NOT NULL)"
        ))
        .await;
    let index = D::EXPIRY_INDEX.replace("{table}", table.table());
    place
        .execute(&format!("CREATE INDEX {index} ON {table} (expires_at)"))
        .await;
    let (old, kept) = (literal::<D>(b"old"), literal::<D>(b"kept"));
    place
        .execute(&format!(
            "INSERT INTO {table} VALUES ({old}, {kept}, 1, 99999999999999)"
        ))
        .await;
}

/// What version 2 added to the table of version 1.
async fn with_owners<D: Place>(place: &Ground<D>, table: &TableName) {
    let owner = format!("ALTER TABLE {table} ADD COLUMN owner {}", D::BYTES);
    place.execute(&owner).await;
    let index = D::EXPIRY_INDEX
        .replace("{table}", table.table())
        .replace("expires_at", "owner");
    place
        .execute(&format!("CREATE INDEX {index} ON {table} (owner)"))
        .await;
}

async fn refused<D: Place>(store: &SqlStore<D>, because: &str) {
    let error = store.migrate().await.expect_err("the migration is refused");
    assert!(chain(&error).contains(because), "{}", chain(&error));
}

async fn names_migrate<D: Place>(store: &SqlStore<D>) {
    let errors = [
        store.load(&key()).await.map(drop),
        store.insert(&key(), &record(b"x")).await.map(drop),
        store.owned_by(&owner()).await.map(drop),
        store.sweep(1).await.map(drop),
    ];
    // What an older table lacks, loading does not ask for.
    let errors: Vec<_> = errors.into_iter().filter_map(Result::err).collect();
    assert!(errors.len() >= 2);
    for error in errors {
        assert!(chain(&error).contains("run migrate()"), "{}", chain(&error));
    }
}
