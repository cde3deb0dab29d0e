use std::sync::atomic::{AtomicUsize, Ordering};

use session_core::conformance::{Fixture, Shared};
use session_sql::{Dialect, MySqlStore, PostgresStore, SqlStore, SqliteStore, TableName, sqlx};
use session_tests::{MariaDb, Postgres};

static POSTGRES: Shared<Postgres> = Shared::new();
static MARIADB: Shared<MariaDb> = Shared::new();

/// Where a test finds each database; the guard keeps it there.
pub(crate) trait Place: Dialect {
    async fn fixture(table: TableName) -> Fixture<SqlStore<Self>>;
}

impl Place for sqlx::Sqlite {
    async fn fixture(table: TableName) -> Fixture<SqliteStore> {
        let directory = session_tests::scratch_dir();
        let url = format!(
            "sqlite://{}?mode=rwc",
            directory.path().join("sessions.db").display()
        );
        fixture(&url, table).await.keeping(directory)
    }
}

impl Place for sqlx::Postgres {
    async fn fixture(table: TableName) -> Fixture<PostgresStore> {
        let server = POSTGRES.get_or_start(Postgres::start).await;
        fixture(&server.url(), table).await.keeping(server)
    }
}

impl Place for sqlx::MySql {
    async fn fixture(table: TableName) -> Fixture<MySqlStore> {
        let server = MARIADB.get_or_start(MariaDb::start).await;
        fixture(&server.url(), table).await.keeping(server)
    }
}

/// Two stores on one table, each with a pool of its own.
async fn fixture<D: Dialect>(url: &str, table: TableName) -> Fixture<SqlStore<D>> {
    let [first, second] = [(); 2].map(|()| {
        SqlStore::<D>::connect(url)
            .expect("the URL is right")
            .with_table(table.clone())
    });
    first.migrate().await.expect("the table can be made");
    Fixture::new(first, SqlStore::<D>::DEFAULT_LIMIT).with_second(second.into())
}

/// A table that no other test of this run has.
pub(crate) fn own_table() -> TableName {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    TableName::new(&format!("sessions_{}_{number}", std::process::id())).expect("an identifier")
}

/// A database in memory, which has one handle.
pub(crate) async fn memory(table: TableName) -> Fixture<SqliteStore> {
    let store = SqliteStore::connect("sqlite::memory:")
        .expect("the URL is right")
        .with_table(table);
    store.migrate().await.expect("the table can be made");
    Fixture::new(store, SqliteStore::DEFAULT_LIMIT)
}

/// A store of the database `D`, and another one on the same table.
pub(crate) async fn open<D: Place>(table: TableName) -> Fixture<SqlStore<D>> {
    D::fixture(table).await
}
