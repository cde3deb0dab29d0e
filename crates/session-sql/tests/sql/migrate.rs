//! `migrate()`: what it creates, what it accepts and what it refuses.

use std::time::Duration;

use futures_util::future::join_all;
use session_core::{ExpiredSweep, OwnerIndex, SessionStore};
use session_sql::{SqlStore, SqliteStore, TableName, sqlx};
use session_tests::MariaDb;
use sqlx::sqlite::SqlitePoolOptions;

use crate::{
    availability::succeeds,
    databases::{Handle, TestDatabase, each_database, unique_table},
    records::{error_chain, insert, key, load, owner, record},
};

each_database!(
    twenty_parallel_migrations_succeed,
    an_existing_table_is_checked_and_not_changed,
    the_expiry_has_no_index,
    a_table_that_lacks_a_column_is_refused_and_not_changed,
    twenty_parallel_migrations_of_a_table_without_a_column_name_it,
    twenty_parallel_migrations_of_a_table_without_an_index_name_the_statement_that_creates_it,
    a_table_without_its_primary_key_is_refused_until_it_is_created,
    a_table_of_something_else_is_refused_and_not_changed,
    a_table_of_flask_session_is_refused_and_not_changed,
    an_error_about_a_missing_table_names_migrate,
    a_reserved_word_and_the_longest_name_are_valid_names
);

async fn twenty_parallel_migrations_succeed<D: TestDatabase>() {
    let database = D::open().await;
    // Each creates a table by up to twenty connections that it opens.
    for _ in 0..session_tests::rounds().div_ceil(5) {
        let table = unique_table();
        let twenty: Vec<_> = (0..20).map(|_| database.store(&table)).collect();
        let tasks: Vec<_> = twenty
            .into_iter()
            .map(|store| tokio::spawn(async move { store.migrate().await }))
            .collect();
        for task in tasks {
            task.await
                .expect("no panic")
                .expect("the migration succeeds");
        }
        let store = database.store(&table);
        let key = key();
        insert(&store, &key, &record(b"x")).await;
        database.execute(&format!("DROP TABLE {table}")).await;
    }
}

/// What each of twenty stores says of a table, which is the same for all.
async fn twenty_refusals<D: TestDatabase>(database: &Handle<D>, table: &TableName) -> String {
    let twenty: Vec<_> = (0..20).map(|_| database.store(table)).collect();
    let refusals = join_all(twenty.iter().map(SqlStore::migrate)).await;
    let mut errors: Vec<_> = refusals
        .into_iter()
        .map(|refused| error_chain(&refused.expect_err("the migration is refused")))
        .collect();
    errors.dedup();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.swap_remove(0)
}

async fn twenty_parallel_migrations_of_a_table_without_a_column_name_it<D: TestDatabase>() {
    for column in ["listed_until", "expires_at"] {
        let (database, table) = (D::open().await, unique_table());
        database.migrated(&table).await;
        database
            .execute(&format!("ALTER TABLE {table} DROP COLUMN {column}"))
            .await;
        let error = twenty_refusals(&database, &table).await;
        let advice = format!("the table {table} lacks the column {column}: ");
        assert!(error.contains(&advice), "{error}");
    }
}

async fn twenty_parallel_migrations_of_a_table_without_an_index_name_the_statement_that_creates_it<
    D: TestDatabase,
>() {
    for index in ["sweep_at", "owner", "provider_session"] {
        let (database, table, key) = (D::open().await, unique_table(), key());
        let store = database.migrated(&table).await;
        insert(&store, &key, &record(b"kept")).await;
        let drop = D::DROP_INDEX.replace("{table}", table.table());
        database.execute(&drop.replace("{index}", index)).await;
        let error = twenty_refusals(&database, &table).await;
        assert!(
            error.contains(&format!("lacks the index on {index}")),
            "{error}"
        );
        let (_, statement) = error.split_once("create it by ").expect("it says how");
        database.execute(statement).await;
        store.migrate().await.expect("the table is whole again");
        assert!(database.has_index(&table, index).await);
        assert_eq!(load(&store, &key).await.unwrap().bytes, "kept");
    }
}

async fn a_table_without_its_primary_key_is_refused_until_it_is_created<D: TestDatabase>() {
    let (database, table, key) = (D::open().await, unique_table(), key());
    let store = database.migrated(&table).await;
    for sql in D::DROP_PRIMARY_KEY {
        let sql = sql.replace("{table}", table.table());
        database.execute(&sql).await;
    }
    let error = twenty_refusals(&database, &table).await;
    assert!(
        error.contains("lacks the primary key on store_key"),
        "{error}"
    );
    let (_, statement) = error.split_once("create it by ").expect("it says how");
    database.execute(statement).await;
    store.migrate().await.expect("the table is whole again");
    insert(&store, &key, &record(b"one")).await;
    assert!(
        !store
            .insert(&key, &record(b"two"))
            .await
            .unwrap()
            .is_stored()
    );
}

/// A transaction keeps the statement waiting, its author gives up, and requests go on.
#[tokio::test]
async fn the_advice_for_postgres_stops_no_request_and_works_after_it_was_interrupted() {
    let database = sqlx::Postgres::open().await;
    let longest = TableName::new(&"i".repeat(TableName::MAX_LEN)).unwrap();
    for (table, index) in [
        (unique_table(), "pkey"),
        (unique_table(), "sweep_at"),
        (unique_table(), "owner"),
        (longest, "provider_session"),
    ] {
        let store = database.migrated(&table).await;
        let name = table.table();
        let drop = if index == "pkey" {
            sqlx::Postgres::DROP_PRIMARY_KEY[0].to_owned()
        } else {
            sqlx::Postgres::DROP_INDEX.replace("{index}", index)
        };
        database.execute(&drop.replace("{table}", name)).await;
        let error = error_chain(&store.migrate().await.unwrap_err());
        let (_, create) = error.split_once("create it by ").expect("it says how");
        let create = create.to_owned();
        let [mut other, mut own] = [database.connect().await, database.connect().await];
        for sql in ["BEGIN", &format!("DELETE FROM {name} WHERE false")] {
            sqlx::Postgres::execute(&mut other, sql).await.unwrap();
        }
        let limit = "SET statement_timeout = '2s'";
        sqlx::Postgres::execute(&mut own, limit).await.unwrap();
        let requests = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let key = key();
            assert!(
                succeeds(store.insert(&key, &record(b"x"))).await,
                "{create}"
            );
            assert!(succeeds(store.load(&key)).await, "{create}");
        };
        let (given_up, ()) = tokio::join!(sqlx::Postgres::execute(&mut own, &create), requests);
        assert!(given_up.is_err());
        sqlx::Postgres::execute(&mut other, "ROLLBACK")
            .await
            .unwrap();
        let error = error_chain(&store.migrate().await.unwrap_err());
        let (_, advice) = error.split_once("remove it by ").expect("it says how");
        let (drop, _) = advice.split_once(" and call").expect("it says what then");
        database.execute(drop).await;
        assert!(error_chain(&store.migrate().await.unwrap_err()).ends_with(&create));
        database.execute(&create).await;
        store.migrate().await.expect("the table is whole again");
    }
}

/// `MariaDB` calls it ignored.
#[tokio::test]
async fn an_index_of_mariadb_that_is_invisible_is_refused_until_it_is_made_visible() {
    let (database, table) = (sqlx::MySql::open().await, unique_table());
    let store = database.migrated(&table).await;
    let is_mariadb = "SELECT CAST(VERSION() LIKE '%MariaDB%' AS SIGNED)";
    let hide = if database.number(is_mariadb).await == 1 {
        "IGNORED"
    } else {
        "INVISIBLE"
    };
    for index in ["sweep_at", "owner", "provider_session"] {
        let hide = format!("ALTER TABLE {table} ALTER INDEX {index} {hide}");
        database.execute(&hide).await;
        let error = error_chain(&store.migrate().await.unwrap_err());
        assert!(error.contains(&format!("the index on {index} ")), "{error}");
        let (_, statement) = error.split_once("make it visible by ").expect("how");
        let statement = statement.to_owned();
        if index == "owner" {
            let list = store.owned_by(&owner(), None, 10).await;
            let error = error_chain(&list.expect_err("the index is forced"));
            assert!(error.ends_with(&statement), "{error}");
        }
        database.execute(&statement).await;
        store.migrate().await.expect("the table is whole again");
    }
    store.owned_by(&owner(), None, 10).await.unwrap();
}

#[tokio::test]
async fn an_index_that_serves_no_sweep_of_postgres_is_not_taken_for_one() {
    let (database, table) = (sqlx::Postgres::open().await, unique_table());
    let store = database.migrated(&table).await;
    let name = table.table();
    for sql in [
        format!("DROP INDEX {name}_sweep_at"),
        format!("CREATE INDEX {name}_other ON {name} (sweep_at) WHERE revision < 0"),
    ] {
        database.execute(&sql).await;
    }
    is_refused(&store, "lacks the index on sweep_at").await;
}

#[tokio::test]
async fn a_payload_column_of_mariadb_that_holds_less_than_the_limit_is_refused() {
    let (database, table) = (sqlx::MySql::open().await, unique_table());
    let store = database.migrated(&table).await;
    let narrow = format!("ALTER TABLE {table} MODIFY payload BLOB NOT NULL");
    database.execute(&narrow).await;
    is_refused(&store, "a column payload that holds 65535 bytes").await;
    let narrow = store.with_limit(65_000);
    narrow.migrate().await.expect("the limit fits");
}

async fn an_existing_table_is_checked_and_not_changed<D: TestDatabase>() {
    let (database, table, key) = (D::open().await, unique_table(), key());
    let store = database.migrated(&table).await;
    insert(&store, &key, &record(b"kept")).await;
    database
        .execute(&format!("ALTER TABLE {table} ADD COLUMN mine INTEGER"))
        .await;
    store.migrate().await.expect("the migration succeeds");
    assert_eq!(load(&store, &key).await.unwrap().bytes, "kept");
    let mine = format!("SELECT COUNT(*) FROM {table} WHERE mine IS NULL");
    assert_eq!(database.number(&mine).await, 1);
}

async fn the_expiry_has_no_index<D: TestDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    database.migrated(&table).await;
    for (column, indexed) in [
        ("owner", true),
        ("provider_session", true),
        ("sweep_at", true),
        ("expires_at", false),
        ("listed_until", false),
    ] {
        assert_eq!(
            database.has_index(&table, column).await,
            indexed,
            "{column}"
        );
    }
}

async fn a_table_that_lacks_a_column_is_refused_and_not_changed<D: TestDatabase>() {
    let (database, table) = (D::open().await, unique_table());
    let bytes = D::BYTES;
    database
        .execute(&format!(
            "CREATE TABLE {table} (store_key {bytes} NOT NULL PRIMARY KEY, payload {bytes} NOT NULL, \
             revision BIGINT NOT NULL, expires_at BIGINT NOT NULL)"
        ))
        .await;
    let store = database.store(&table);
    is_refused(&store, "lacks the column sweep_at").await;
    let insertion = store.insert(&key(), &record(b"x")).await;
    let error = error_chain(&insertion.expect_err("a column is missing"));
    assert!(error.contains("lacks the column sweep_at"), "{error}");
}

async fn a_table_of_something_else_is_refused_and_not_changed<D: TestDatabase>() {
    let database = D::open().await;
    let table = unique_table();
    database
        .execute(&format!("CREATE TABLE {table} (id INTEGER, body TEXT)"))
        .await;
    database
        .execute(&format!("INSERT INTO {table} VALUES (7, 'mine')"))
        .await;
    is_refused(&database.store(&table), "holds something else").await;
    assert_eq!(
        database
            .number(&format!("SELECT COUNT(*) FROM {table} WHERE body = 'mine'"))
            .await,
        1
    );
}

async fn a_table_of_flask_session_is_refused_and_not_changed<D: TestDatabase>() {
    let database = D::open().await;
    let table = unique_table();
    database
        .execute(&format!(
            "CREATE TABLE {table} (id INTEGER, session_id VARCHAR(255), data TEXT, expiry TIMESTAMP)"
        ))
        .await;
    database
        .execute(&format!(
            "INSERT INTO {table} (id, session_id) VALUES (1, 'flask')"
        ))
        .await;
    is_refused(&database.store(&table), "Flask-Session").await;
    assert_eq!(
        database
            .number(&format!(
                "SELECT COUNT(*) FROM {table} WHERE session_id = 'flask'"
            ))
            .await,
        1
    );
}

async fn an_error_about_a_missing_table_names_migrate<D: TestDatabase>() {
    let database = D::open().await;
    names_migrate(&database.store(&unique_table())).await;
}

async fn a_reserved_word_and_the_longest_name_are_valid_names<D: TestDatabase>() {
    let database = D::open().await;
    for name in ["select".to_owned(), "t".repeat(TableName::MAX_LEN)] {
        let store = database.store(&TableName::new(&name).unwrap());
        store.migrate().await.expect("the migration succeeds");
        let key = key();
        insert(&store, &key, &record(b"x")).await;
        store.delete(&key).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_in_memory_needs_a_pool_of_one_permanent_connection() {
    let pool = SqlitePoolOptions::new().max_connections(2);
    let store = SqliteStore::new(pool.connect_lazy("sqlite::memory:").unwrap());
    is_refused(&store, "ends with its connection").await;
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None);
    let store = SqliteStore::new(pool.connect_lazy("sqlite::memory:").unwrap());
    store.migrate().await.expect("the migration succeeds");
}

#[tokio::test]
async fn a_table_of_postgres_may_be_in_a_schema() {
    let database = sqlx::Postgres::open().await;
    let table = unique_table();
    let schema = format!("schema_of_{}", table.table());
    database.execute(&format!("CREATE SCHEMA {schema}")).await;
    let in_schema = table.clone().in_schema(&schema).unwrap();
    let store = database.store(&in_schema);
    store.migrate().await.expect("the migration succeeds");
    insert(&store, &key(), &record(b"x")).await;
    assert_eq!(
        database
            .number(&format!("SELECT COUNT(*) FROM {in_schema}"))
            .await,
        1
    );
    names_migrate(&database.store(&table)).await;
}

#[tokio::test]
async fn a_server_of_mariadb_that_takes_too_small_packets_is_refused_in_both_layouts() {
    const MIB: usize = 1 << 20;
    let server = MariaDb::start_with(&["--max-allowed-packet=4M"]).await;
    let database: Handle<sqlx::MySql> = Handle::new(server.url(), ());
    let store = database.store(&TableName::default());
    is_refused(&store, "max_allowed_packet is 4194304").await;
    let store = store.with_limit(4 * MIB - 65_536);
    store.migrate().await.expect("the records fit");
    let key = key();
    let large = |bytes| record(&vec![7; bytes]);
    insert(&store, &key, &large(store.limit())).await;
    assert_eq!(load(&store, &key).await.unwrap().bytes.len(), store.limit());

    let flask = database
        .store(&TableName::new("flasks").unwrap())
        .with_flask_layout();
    flask.migrate().await.expect("Flask's records fit");
    database
        .execute("ALTER TABLE flasks MODIFY data MEDIUMBLOB")
        .await;
    let error = flask.clone().with_limit(3 * MIB).migrate().await;
    let error = error_chain(&error.expect_err("old and new bytes are sent"));
    assert!(error.contains("less than the 6356992 bytes"), "{error}");
    let fits = flask.with_limit(2 * MIB - 32_768);
    fits.migrate().await.expect("the records fit");
    let largest = large(fits.limit());
    let revision = insert(&fits, &key, &largest).await;
    let again = fits.update(&key, &largest, &revision).await;
    assert!(again.unwrap().is_stored());
}

async fn is_refused<D: TestDatabase>(store: &SqlStore<D>, reason: &str) {
    let error = store.migrate().await.expect_err("the migration is refused");
    assert!(
        error_chain(&error).contains(reason),
        "{}",
        error_chain(&error)
    );
}

async fn names_migrate<D: TestDatabase>(store: &SqlStore<D>) {
    let errors = [
        store.load(&key()).await.map(drop),
        store.insert(&key(), &record(b"x")).await.map(drop),
        store.owned_by(&owner(), None, 10).await.map(drop),
        store.sweep(1).await.map(drop),
    ];
    for error in errors {
        let error = error.expect_err("there is no table");
        assert!(
            error_chain(&error).contains("run migrate()"),
            "{}",
            error_chain(&error)
        );
    }
}
