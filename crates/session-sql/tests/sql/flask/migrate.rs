//! `migrate()` in Flask-Session's layout, and tables of the other layout.

use session_core::{SessionStore, Write};
use session_sql::sqlx;

use super::tables::FlaskDatabase;
use crate::{
    databases::{TestDatabase, each_database, unique_table},
    records::{error_chain, insert, key, load, record},
};

each_database!(
    the_created_table_equals_the_one_of_flask,
    twenty_parallel_migrations_of_flasks_table_succeed,
    each_layout_refuses_the_others_table_at_migration,
    each_layout_refuses_the_others_table_in_use,
    an_error_about_a_missing_table_names_migrate,
    a_table_without_a_unique_id_is_refused,
    a_table_of_something_else_is_refused
);

async fn the_created_table_equals_the_one_of_flask<D: FlaskDatabase>() {
    let database = D::open().await;
    let (ours, flasks) = (unique_table(), unique_table());
    database.flask_store(&ours).migrate().await.unwrap();
    database.create(&flasks, D::FLASK_TABLE).await;
    assert_eq!(
        database.definition(&ours).await,
        database.definition(&flasks).await
    );
}

async fn twenty_parallel_migrations_of_flasks_table_succeed<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let twenty: Vec<_> = (0..20)
        .map(|_| {
            let store = database.flask_store(&table);
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for migration in twenty {
        let done = migration.await.expect("no panic");
        done.expect("the migration succeeds");
    }
    insert(&database.flask_store(&table), &key(), &record(b"x")).await;
}

/// Its index is there, and invalid.
#[tokio::test]
async fn a_unique_index_of_postgres_that_was_not_completed_is_not_taken_for_one() {
    let (database, table) = (sqlx::Postgres::open().await, unique_table());
    let store = database.with_flask_table(&table).await;
    let drop = format!(
        "ALTER TABLE {table} DROP CONSTRAINT {}_session_id_key",
        table.table()
    );
    database.execute(&drop).await;
    let twice = format!("INSERT INTO {table} (session_id) VALUES ('a'), ('a')");
    database.execute(&twice).await;
    let create = format!("CREATE UNIQUE INDEX CONCURRENTLY ON {table} (session_id)");
    let refused = sqlx::Postgres::execute(&mut database.connect().await, &create).await;
    refused.expect_err("an id is there twice");
    fails_with(store.migrate().await, "no unique constraint");
}

async fn each_layout_refuses_the_others_table_at_migration<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    database.migrated(&table).await;
    fails_with(
        database.flask_store(&table).migrate().await,
        "leave out with_flask_layout()",
    );

    let table = unique_table();
    let (store, key) = (database.with_flask_table(&table).await, key());
    insert(&store, &key, &record(b"x")).await;
    fails_with(
        database.store(&table).migrate().await,
        "share it by with_flask_layout()",
    );
    assert!(
        load(&store, &key).await.is_some(),
        "the session was removed"
    );
}

async fn each_layout_refuses_the_others_table_in_use<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    database.migrated(&table).await;
    let flask = database.flask_store(&table);
    fails_with(flask.load(&key()).await, "leave out with_flask_layout()");
    fails_with(
        flask.insert(&key(), &record(b"x")).await,
        "leave out with_flask_layout()",
    );

    let table = unique_table();
    database.with_flask_table(&table).await;
    let own = database.store(&table);
    fails_with(own.load(&key()).await, "share it by with_flask_layout()");
    fails_with(
        own.insert(&key(), &record(b"x")).await,
        "share it by with_flask_layout()",
    );
}

async fn an_error_about_a_missing_table_names_migrate<D: FlaskDatabase>() {
    let database = D::open().await;
    fails_with(
        database.flask_store(&unique_table()).load(&key()).await,
        "run migrate()",
    );
}

async fn a_table_without_a_unique_id_is_refused<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    database
        .execute(&format!(
            "CREATE TABLE {table} (id INTEGER PRIMARY KEY, session_id VARCHAR(255), data {}, expiry TIMESTAMP)",
            D::BYTES
        ))
        .await;
    fails_with(
        database.flask_store(&table).migrate().await,
        "no unique constraint",
    );
}

async fn a_table_of_something_else_is_refused<D: FlaskDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    database
        .execute(&format!("CREATE TABLE {table} (id INTEGER)"))
        .await;
    fails_with(
        database.flask_store(&table).migrate().await,
        "holds something else",
    );
}

#[tokio::test]
async fn an_expiry_of_postgres_with_a_time_zone_is_refused() {
    let (database, table) = (sqlx::Postgres::open().await, unique_table());
    let with_zone = sqlx::Postgres::FLASK_TABLE.replace("without time zone", "with time zone");
    database.create(&table, &with_zone).await;
    fails_with(
        database.flask_store(&table).migrate().await,
        "without a zone",
    );
}

#[tokio::test]
async fn an_expiry_of_mariadb_with_a_time_zone_is_refused() {
    let (database, table) = (sqlx::MySql::open().await, unique_table());
    let with_zone = sqlx::MySql::FLASK_TABLE.replace("datetime", "timestamp NULL");
    database.create(&table, &with_zone).await;
    fails_with(
        database.flask_store(&table).migrate().await,
        "without a zone",
    );
}

#[tokio::test]
async fn a_url_of_sqlalchemy_opens_flasks_table() {
    let (database, table, key) = (sqlx::Sqlite::open().await, unique_table(), key());
    let sqlalchemy_url = database.url.replace("sqlite://", "sqlite+pysqlite:///");
    let env = [
        ("SESSION_SQL", &*sqlalchemy_url),
        ("SESSION_SQLALCHEMY_TABLE", table.table()),
    ];
    let store = session_sql::from_env(&env.into_iter().collect()).unwrap();
    let store = store.with_flask_layout();
    store.migrate().await.unwrap();
    let write = store.insert(&key, &record(b"x")).await.unwrap();
    assert_ne!(write, Write::Refused);
    assert_eq!(database.rows(&table).await, 1);
}

fn fails_with<T: std::fmt::Debug>(answer: session_core::Result<T>, message: &str) {
    let error = error_chain(&answer.expect_err("the call fails"));
    assert!(error.contains(message), "{error}");
}
