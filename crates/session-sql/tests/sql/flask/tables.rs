use session_core::conformance::Fixture;
use session_sql::{FlaskSqlStore, SqliteStore, TableName, sqlx};

use crate::databases::{Ground, Place, literal};

/// A database in which Flask-Session can have its table.
pub(crate) trait FlaskPlace: Place {
    /// The table as SQLAlchemy makes it for Flask-Session.
    const THEIRS: &'static str;
    /// The same with ids that are equal to the database whatever their case.
    const BLIND: &'static str;
    /// Statements for `{table}` without which the database takes two ids that differ in case for one.
    const SIGHT: &'static [&'static str] = &[];
    /// The expiry of the row `{id}` of `{table}` as text.
    const EXPIRY: &'static str;
    /// What the catalogue says of `{table}`, as text.
    const SHAPE: &'static str;

    /// The last column of what a statement finds.
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

impl FlaskPlace for sqlx::Sqlite {
    const THEIRS: &'static str = "CREATE TABLE \"{table}\" (id INTEGER NOT NULL, session_id VARCHAR(255), data BLOB, \
        expiry DATETIME, PRIMARY KEY (id), UNIQUE (session_id))";
    const BLIND: &'static str = "CREATE TABLE \"{table}\" (id INTEGER NOT NULL, \
        session_id VARCHAR(255) COLLATE NOCASE, data BLOB, expiry DATETIME, PRIMARY KEY (id), UNIQUE (session_id))";
    const EXPIRY: &'static str = "SELECT expiry FROM {table} WHERE session_id = '{id}'";
    const SHAPE: &'static str =
        "SELECT group_concat(sql) FROM sqlite_schema WHERE tbl_name = '{table}'";

    last_column!();
}

impl FlaskPlace for sqlx::Postgres {
    const THEIRS: &'static str = "CREATE TABLE {table} (id SERIAL PRIMARY KEY, session_id varchar(255) UNIQUE, \
        data bytea, expiry timestamp without time zone)";
    const BLIND: &'static str = "CREATE COLLATION IF NOT EXISTS blind \
        (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
        CREATE TABLE {table} (id SERIAL PRIMARY KEY, session_id varchar(255) COLLATE blind UNIQUE, \
        data bytea, expiry timestamp without time zone)";
    const EXPIRY: &'static str = "SELECT expiry::text FROM {table} WHERE session_id = '{id}'";
    const SHAPE: &'static str = "SELECT string_agg(line, '; ') FROM ( \
        SELECT concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable, column_default) AS line \
        FROM information_schema.columns WHERE table_name = '{table}' \
        UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename = '{table}' ORDER BY 1) AS lines";

    last_column!();
}

impl FlaskPlace for sqlx::MySql {
    const THEIRS: &'static str = "CREATE TABLE {table} (id int AUTO_INCREMENT PRIMARY KEY, \
        session_id varchar(255) UNIQUE, data blob, expiry datetime)";
    const BLIND: &'static str = Self::THEIRS;
    const SIGHT: &'static [&'static str] = &[
        "ALTER TABLE {table} MODIFY session_id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    ];
    const EXPIRY: &'static str =
        "SELECT CAST(expiry AS CHAR) FROM {table} WHERE session_id = '{id}'";
    const SHAPE: &'static str = "SHOW CREATE TABLE {table}";

    last_column!();
}

impl<D: FlaskPlace> Ground<D> {
    /// A store in Flask-Session's layout, with a pool of its own.
    pub(crate) fn flask(&self, table: &TableName) -> FlaskSqlStore<D> {
        self.store(table).with_flask_layout()
    }

    /// Makes a table by one of the statements above.
    pub(crate) async fn make(&self, table: &TableName, sql: &str) {
        for sql in sql.split(';') {
            self.execute(&sql.replace("{table}", table.table())).await;
        }
    }

    /// A store over the table that Flask-Session has made.
    pub(crate) async fn theirs(&self, table: &TableName) -> FlaskSqlStore<D> {
        self.make(table, D::THEIRS).await;
        let store = self.flask(table);
        store.migrate().await.expect("the table is Flask's");
        store
    }

    /// Stores a row as Flask-Session does; `expiry` is a literal or an expression.
    pub(crate) async fn put(&self, table: &TableName, id: &str, data: &[u8], expiry: &str) {
        let data = literal::<D>(data);
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

    pub(crate) async fn shape(&self, table: &TableName) -> String {
        let shape = self.text(&D::SHAPE.replace("{table}", table.table())).await;
        shape.replace(table.table(), "{table}")
    }

    pub(crate) async fn rows(&self, table: &TableName) -> i64 {
        self.number(&format!("SELECT COUNT(*) FROM {table}")).await
    }
}

/// Two stores of the database `D` on one table of Flask-Session, each with a pool of its own.
pub(crate) async fn open<D: FlaskPlace>(table: TableName) -> Fixture<FlaskSqlStore<D>> {
    let place = D::place().await;
    let store = place.flask(&table);
    store.migrate().await.expect("the table can be made");
    for sql in D::SIGHT {
        place.make(&table, sql).await;
    }
    let second = place.flask(&table);
    Fixture::new(store)
        .with_told_expiry()
        .with_second(second.into())
        .keeping(place.guard)
}

/// A database in memory, which has one handle.
pub(crate) async fn memory(table: TableName) -> Fixture<FlaskSqlStore<sqlx::Sqlite>> {
    let store = SqliteStore::connect("sqlite::memory:")
        .expect("the URL is right")
        .with_table(table)
        .with_flask_layout();
    store.migrate().await.expect("the table can be made");
    Fixture::new(store).with_told_expiry()
}
