//! The databases of the tests, and one test for each database from one function.

use std::{
    any::Any,
    fmt::Write,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use session_core::conformance::Fixture;
use session_sql::{Dialect, SqlStore, SqliteStore, TableName, sqlx};
use session_tests::{MariaDb, Postgres, scratch_dir};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::sync::OnceCell;

static POSTGRES: OnceCell<Arc<Postgres>> = OnceCell::const_new();
static MARIADB: OnceCell<Arc<MariaDb>> = OnceCell::const_new();

/// A database that exists for as long as this value.
pub(crate) struct Handle<D> {
    pub(crate) url: String,
    pub(crate) guard: Box<dyn Any + Send + Sync>,
    dialect: PhantomData<D>,
}

/// A database that tests can use.
pub(crate) trait TestDatabase: Dialect {
    /// The type of a column of bytes that can be a primary key.
    const BYTES: &'static str;
    /// What begins a literal of bytes.
    const LITERAL: &'static str = "x'";
    /// Drops the index of `{table}` on the column `{index}`.
    const DROP_INDEX: &'static str = "DROP INDEX {table}_{index}";
    /// Drops the primary key of `{table}`, one statement after another.
    const DROP_PRIMARY_KEY: &'static [&'static str];
    /// Counts the indexes of `{table}` that begin with `{column}`.
    const INDEXES: &'static str;

    /// The server that all tests share, or a file of the test's own.
    async fn open() -> Handle<Self>;

    /// Bytes as a literal of SQL.
    fn bytes(bytes: &[u8]) -> String {
        let mut literal = Self::LITERAL.to_owned();
        for byte in bytes {
            write!(literal, "{byte:02x}").expect("a String takes every write");
        }
        literal + "'"
    }

    async fn execute(connection: &mut Self::Connection, sql: &str) -> sqlx::Result<()>;

    async fn number(connection: &mut Self::Connection, sql: &str) -> sqlx::Result<i64>;
}

macro_rules! statements {
    () => {
        async fn execute(connection: &mut Self::Connection, sql: &str) -> sqlx::Result<()> {
            let sql = AssertSqlSafe(sql.to_owned());
            connection.execute(sql).await.map(drop)
        }

        async fn number(connection: &mut Self::Connection, sql: &str) -> sqlx::Result<i64> {
            let sql = AssertSqlSafe(sql.to_owned());
            sqlx::query_scalar(sql).fetch_one(connection).await
        }
    };
}

impl TestDatabase for sqlx::Sqlite {
    const BYTES: &'static str = "BLOB";
    // A primary key cannot be dropped from a table of SQLite, but be left out of a copy.
    const DROP_PRIMARY_KEY: &'static [&'static str] = &[
        "CREATE TABLE copy AS SELECT * FROM {table}",
        "DROP TABLE {table}",
        "ALTER TABLE copy RENAME TO {table}",
        "CREATE INDEX {table}_sweep_at ON {table} (sweep_at)",
        "CREATE INDEX {table}_owner ON {table} (owner, store_key)",
        "CREATE INDEX {table}_provider_session ON {table} (provider_session, store_key)",
    ];
    const INDEXES: &'static str = "SELECT COUNT(*) FROM sqlite_schema \
        WHERE type = 'index' AND name = '{table}_{column}'";

    async fn open() -> Handle<Self> {
        let directory = scratch_dir();
        let file = directory.path().join("sessions.db");
        Handle::new(format!("sqlite://{}?mode=rwc", file.display()), directory)
    }

    statements!();
}

impl TestDatabase for sqlx::Postgres {
    const BYTES: &'static str = "BYTEA";
    const DROP_PRIMARY_KEY: &'static [&'static str] =
        &["ALTER TABLE {table} DROP CONSTRAINT {table}_pkey"];
    const LITERAL: &'static str = "'\\x";
    const INDEXES: &'static str = "SELECT COUNT(*) FROM pg_indexes \
        WHERE tablename = '{table}' AND indexdef LIKE '%({column}%'";

    async fn open() -> Handle<Self> {
        let start = || async { Arc::new(Postgres::start().await) };
        let server = POSTGRES.get_or_init(start).await;
        Handle::new(server.url(), Arc::clone(server))
    }

    statements!();
}

impl TestDatabase for sqlx::MySql {
    const BYTES: &'static str = "VARBINARY(255)";
    const DROP_INDEX: &'static str = "DROP INDEX {index} ON {table}";
    const DROP_PRIMARY_KEY: &'static [&'static str] = &["ALTER TABLE {table} DROP PRIMARY KEY"];
    const INDEXES: &'static str = "SELECT COUNT(*) FROM information_schema.statistics \
        WHERE table_name = '{table}' AND column_name = '{column}' AND seq_in_index = 1";

    async fn open() -> Handle<Self> {
        let start = || async { Arc::new(MariaDb::start().await) };
        let server = MARIADB.get_or_init(start).await;
        Handle::new(server.url(), Arc::clone(server))
    }

    statements!();
}

impl<D: TestDatabase> Handle<D> {
    pub(crate) fn new(url: String, guard: impl Any + Send + Sync) -> Self {
        Self {
            url,
            guard: Box::new(guard),
            dialect: PhantomData,
        }
    }

    /// A store with a pool of its own.
    pub(crate) fn store(&self, table: &TableName) -> SqlStore<D> {
        SqlStore::connect(&self.url)
            .expect("the URL is valid")
            .with_table(table.clone())
    }

    /// A store whose table exists.
    pub(crate) async fn migrated(&self, table: &TableName) -> SqlStore<D> {
        let store = self.store(table);
        let mut result = store.migrate().await;
        // A server is slow to answer after other tests have dropped hundreds of connections.
        for _ in 0..5 {
            if result.is_ok() {
                break;
            }
            result = store.migrate().await;
        }
        result.expect("the table can be created");
        store
    }

    pub(crate) async fn connect(&self) -> D::Connection {
        D::Connection::connect(&self.url)
            .await
            .expect("the database answers")
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let done = D::execute(&mut self.connect().await, sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let found = D::number(&mut self.connect().await, sql).await;
        found.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) async fn has_index(&self, table: &TableName, column: &str) -> bool {
        let sql = D::INDEXES
            .replace("{table}", table.table())
            .replace("{column}", column);
        self.number(&sql).await == 1
    }
}

/// Two stores with a pool each, on one table of the database `D`.
pub(crate) async fn fixture<D: TestDatabase>(table: TableName) -> Fixture<SqlStore<D>> {
    let database = D::open().await;
    let store = database.migrated(&table).await;
    let second = database.store(&table);
    Fixture::new(store)
        .with_second(second.into())
        .keeping(database.guard)
}

/// A store of a database in memory, which has no second store.
pub(crate) async fn memory_fixture(table: TableName) -> Fixture<SqliteStore> {
    let store = SqliteStore::connect("sqlite::memory:")
        .expect("the URL is valid")
        .with_table(table);
    store.migrate().await.expect("the table can be created");
    Fixture::new(store)
}

/// The name of a table that no other test has.
pub(crate) fn unique_table() -> TableName {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    TableName::new(&format!("sessions_{}_{number}", std::process::id())).expect("an identifier")
}

/// One test for each database and function. A function has the database as its type parameter.
macro_rules! each_database {
    ($($test:ident),+ $(,)?) => {
        $crate::databases::on_database!(sqlite, session_sql::sqlx::Sqlite, $($test),+);
        $crate::databases::each_server!($($test),+);
    };
}
pub(crate) use each_database;

/// The same for the two databases that are servers.
macro_rules! each_server {
    ($($test:ident),+ $(,)?) => {
        $crate::databases::on_database!(postgres, session_sql::sqlx::Postgres, $($test),+);
        $crate::databases::on_database!(mariadb, session_sql::sqlx::MySql, $($test),+);
    };
}
pub(crate) use each_server;

macro_rules! on_database {
    ($name:ident, $database:ty, $($test:ident),+) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    session_core::conformance::run(super::$test::<$database>());
                }
            )+
        }
    };
}
pub(crate) use on_database;
