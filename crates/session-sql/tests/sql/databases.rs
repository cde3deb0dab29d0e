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

/// A database that is there for as long as this value is.
pub(crate) struct Ground<D> {
    pub(crate) url: String,
    pub(crate) guard: Box<dyn Any + Send + Sync>,
    dialect: PhantomData<D>,
}

/// A database that tests can use.
pub(crate) trait Place: Dialect {
    /// The type of a column of bytes that can be a key.
    const BYTES: &'static str;
    /// What opens and closes bytes in a statement.
    const LITERAL: [&'static str; 2];
    /// A number as one of 64 bits.
    const BIGINT: &'static str = "CAST({} AS BIGINT)";
    /// Counts the indexes of `{table}` that begin with `{column}`.
    const INDEXES: &'static str;

    /// The server that the tests share, or a file of the test's own.
    async fn place() -> Ground<Self>;

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

impl Place for sqlx::Sqlite {
    const BYTES: &'static str = "BLOB";
    const LITERAL: [&'static str; 2] = ["x'", "'"];
    const INDEXES: &'static str = "SELECT COUNT(*) FROM sqlite_schema \
        WHERE type = 'index' AND name = '{table}_{column}'";

    async fn place() -> Ground<Self> {
        let directory = scratch_dir();
        let file = directory.path().join("sessions.db");
        Ground::new(format!("sqlite://{}?mode=rwc", file.display()), directory)
    }

    statements!();
}

impl Place for sqlx::Postgres {
    const BYTES: &'static str = "BYTEA";
    const LITERAL: [&'static str; 2] = ["'\\x", "'"];
    const INDEXES: &'static str = "SELECT COUNT(*) FROM pg_indexes \
        WHERE tablename = '{table}' AND indexdef LIKE '%({column}%'";

    async fn place() -> Ground<Self> {
        let start = || async { Arc::new(Postgres::start().await) };
        let server = POSTGRES.get_or_init(start).await;
        Ground::new(server.url(), Arc::clone(server))
    }

    statements!();
}

impl Place for sqlx::MySql {
    const BYTES: &'static str = "VARBINARY(255)";
    const LITERAL: [&'static str; 2] = ["x'", "'"];
    const BIGINT: &'static str = "CAST({} AS SIGNED)";
    const INDEXES: &'static str = "SELECT COUNT(*) FROM information_schema.statistics \
        WHERE table_name = '{table}' AND column_name = '{column}' AND seq_in_index = 1";

    async fn place() -> Ground<Self> {
        let start = || async { Arc::new(MariaDb::start().await) };
        let server = MARIADB.get_or_init(start).await;
        Ground::new(server.url(), Arc::clone(server))
    }

    statements!();
}

impl<D: Place> Ground<D> {
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
            .expect("the URL is right")
            .with_table(table.clone())
    }

    /// A store whose table is there.
    pub(crate) async fn migrated(&self, table: &TableName) -> SqlStore<D> {
        let store = self.store(table);
        let mut made = store.migrate().await;
        // A server that other tests have just opened and dropped hundreds of connections to keeps silent for a while.
        for _ in 0..5 {
            if made.is_ok() {
                break;
            }
            made = store.migrate().await;
        }
        made.expect("the table can be made");
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

/// Bytes as a statement spells them.
pub(crate) fn literal<D: Place>(bytes: &[u8]) -> String {
    let [mut literal, end] = D::LITERAL.map(str::to_owned);
    for byte in bytes {
        write!(literal, "{byte:02x}").expect("a String takes every write");
    }
    literal + &end
}

/// Two stores of the database `D` on one table, each with a pool of its own.
pub(crate) async fn open<D: Place>(table: TableName) -> Fixture<SqlStore<D>> {
    let place = D::place().await;
    let store = place.migrated(&table).await;
    let second = place.store(&table);
    Fixture::new(store)
        .with_second(second.into())
        .keeping(place.guard)
}

/// A database in memory, which has one handle.
pub(crate) async fn memory(table: TableName) -> Fixture<SqliteStore> {
    let store = SqliteStore::connect("sqlite::memory:")
        .expect("the URL is right")
        .with_table(table);
    store.migrate().await.expect("the table can be made");
    Fixture::new(store)
}

/// A table that no other test of this run has.
pub(crate) fn own_table() -> TableName {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    TableName::new(&format!("sessions_{}_{number}", std::process::id())).expect("an identifier")
}

/// One test per database for each function, which takes the database as its type.
macro_rules! each_database {
    ($($test:ident),+ $(,)?) => {
        $crate::databases::on_database!(sqlite, session_sql::sqlx::Sqlite, $($test),+);
        $crate::databases::each_server!($($test),+);
    };
}
pub(crate) use each_database;

/// The same for the databases that are servers.
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
