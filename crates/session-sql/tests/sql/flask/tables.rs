//! Tables of Flask-Session in the tests' databases.

use session_core::conformance::Fixture;
use session_sql::{FlaskSqlStore, SqliteStore, TableName, sqlx};

use crate::databases::{Handle, TestDatabase};

/// A database with a table of Flask-Session.
pub(crate) trait FlaskDatabase: TestDatabase {
    /// The expression `{}` as a number of 64 bits.
    const BIGINT: &'static str = "CAST({} AS BIGINT)";
    /// Creates the table as SQLAlchemy does for Flask-Session.
    const FLASK_TABLE: &'static str;
    /// The same with a collation that ignores the case of ids.
    const CASE_INSENSITIVE: &'static str;
    /// Statements that make the collation of `{table}` respect the case of ids.
    const CASE_SENSITIVE: &'static [&'static str] = &[];
    /// Selects the expiry of the row `{id}` of `{table}` as text.
    const EXPIRY: &'static str;
    /// Selects the definition of `{table}` from the catalogue, as text.
    const DEFINITION: &'static str;

    /// The last column of the row that a statement selects.
    async fn text(connection: &mut Self::Connection, sql: &str) -> sqlx::Result<String>;
}

macro_rules! last_column {
    () => {
        async fn text(connection: &mut Self::Connection, sql: &str) -> sqlx::Result<String> {
            use sqlx::Row as _;

            let sql = sqlx::AssertSqlSafe(sql.to_owned());
            let row = sqlx::raw_sql(sql).fetch_one(connection).await?;
            row.try_get(row.len() - 1)
        }
    };
}

impl FlaskDatabase for sqlx::Sqlite {
    const FLASK_TABLE: &'static str = "CREATE TABLE \"{table}\" (id INTEGER NOT NULL, session_id VARCHAR(255), data BLOB, \
        expiry DATETIME, PRIMARY KEY (id), UNIQUE (session_id))";
    const CASE_INSENSITIVE: &'static str = "CREATE TABLE \"{table}\" (id INTEGER NOT NULL, \
        session_id VARCHAR(255) COLLATE NOCASE, data BLOB, expiry DATETIME, PRIMARY KEY (id), UNIQUE (session_id))";
    const EXPIRY: &'static str = "SELECT expiry FROM {table} WHERE session_id = '{id}'";
    const DEFINITION: &'static str =
        "SELECT group_concat(sql) FROM sqlite_schema WHERE tbl_name = '{table}'";

    last_column!();
}

impl FlaskDatabase for sqlx::Postgres {
    const FLASK_TABLE: &'static str = "CREATE TABLE {table} (id SERIAL PRIMARY KEY, session_id varchar(255) UNIQUE, \
        data bytea, expiry timestamp without time zone)";
    const CASE_INSENSITIVE: &'static str = "CREATE COLLATION IF NOT EXISTS case_insensitive \
        (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
        CREATE TABLE {table} (id SERIAL PRIMARY KEY, session_id varchar(255) COLLATE case_insensitive UNIQUE, \
        data bytea, expiry timestamp without time zone)";
    const EXPIRY: &'static str = "SELECT expiry::text FROM {table} WHERE session_id = '{id}'";
    const DEFINITION: &'static str = "SELECT string_agg(line, '; ') FROM ( \
        SELECT concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable, column_default) AS line \
        FROM information_schema.columns WHERE table_name = '{table}' \
        UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename = '{table}' ORDER BY 1) AS lines";

    last_column!();
}

impl FlaskDatabase for sqlx::MySql {
    const BIGINT: &'static str = "CAST({} AS SIGNED)";
    const FLASK_TABLE: &'static str = "CREATE TABLE {table} (id int AUTO_INCREMENT PRIMARY KEY, \
        session_id varchar(255) UNIQUE, data blob, expiry datetime)";
    const CASE_INSENSITIVE: &'static str = Self::FLASK_TABLE;
    const CASE_SENSITIVE: &'static [&'static str] = &[
        "ALTER TABLE {table} MODIFY session_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    ];
    const EXPIRY: &'static str =
        "SELECT CAST(expiry AS CHAR) FROM {table} WHERE session_id = '{id}'";
    const DEFINITION: &'static str = "SHOW CREATE TABLE {table}";

    last_column!();
}

impl<D: FlaskDatabase> Handle<D> {
    /// A store in Flask-Session's layout, with a pool of its own.
    pub(crate) fn flask_store(&self, table: &TableName) -> FlaskSqlStore<D> {
        self.store(table).with_flask_layout()
    }

    /// Creates a table by one of the constants of [`FlaskDatabase`].
    pub(crate) async fn create(&self, table: &TableName, sql: &str) {
        for sql in sql.split(';') {
            self.execute(&sql.replace("{table}", table.table())).await;
        }
    }

    /// A store on a table that was created as Flask-Session creates it.
    pub(crate) async fn with_flask_table(&self, table: &TableName) -> FlaskSqlStore<D> {
        self.create(table, D::FLASK_TABLE).await;
        let store = self.flask_store(table);
        store.migrate().await.expect("the table is Flask's");
        store
    }

    /// Stores a row as Flask-Session does. `expiry` is a literal or an expression.
    pub(crate) async fn insert_row(&self, table: &TableName, id: &str, data: &[u8], expiry: &str) {
        let data = D::bytes(data);
        self.execute(&format!(
            "INSERT INTO {table} (session_id, data, expiry) VALUES ('{id}', {data}, {expiry})"
        ))
        .await;
    }

    pub(crate) async fn text(&self, sql: &str) -> String {
        let found = D::text(&mut self.connect().await, sql).await;
        found.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The expiry of a row as the database shows it.
    pub(crate) async fn expiry(&self, table: &TableName, id: &str) -> String {
        let sql = D::EXPIRY.replace("{table}", table.table());
        self.text(&sql.replace("{id}", id)).await
    }

    pub(crate) async fn definition(&self, table: &TableName) -> String {
        let shape = self
            .text(&D::DEFINITION.replace("{table}", table.table()))
            .await;
        shape.replace(table.table(), "{table}")
    }

    pub(crate) async fn rows(&self, table: &TableName) -> i64 {
        self.number(&format!("SELECT COUNT(*) FROM {table}")).await
    }
}

/// Two stores with a pool each, on one table of Flask-Session in the database `D`.
pub(crate) async fn fixture<D: FlaskDatabase>(table: TableName) -> Fixture<FlaskSqlStore<D>> {
    let database = D::open().await;
    let store = database.flask_store(&table);
    store.migrate().await.expect("the table can be created");
    for sql in D::CASE_SENSITIVE {
        database.create(&table, sql).await;
    }
    let second = database.flask_store(&table);
    Fixture::new(store)
        .with_told_expiry()
        .with_second(second.into())
        .keeping(database.guard)
}

/// A store of a database in memory, which has no second store.
pub(crate) async fn memory_fixture(table: TableName) -> Fixture<FlaskSqlStore<sqlx::Sqlite>> {
    let store = SqliteStore::connect("sqlite::memory:")
        .expect("the URL is valid")
        .with_table(table)
        .with_flask_layout();
    store.migrate().await.expect("the table can be created");
    Fixture::new(store).with_told_expiry()
}
