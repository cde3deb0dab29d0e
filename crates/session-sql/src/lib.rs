#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "mysql")),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "without a database there is nothing to say to it"
    )
)]

mod attempts;
mod dialect;
mod fault;
mod instant;
mod lane;
mod layout;
mod lease;
mod migrate;
mod pace;
mod queries;
mod sessions;
mod settings;
mod store;
mod sweep;
mod table;
mod url;

pub use dialect::Dialect;
pub use migrate::{FlaskSqlSessions, SqlSessions};
pub use settings::{DEFAULT_URL, connect, from_env};
pub use sqlx;
pub use store::{FlaskSqlStore, SqlStore, SqlTable};
pub use table::TableName;

/// Sessions in a `SQLite` file, or in memory.
#[cfg(feature = "sqlite")]
pub type SqliteStore = SqlStore<sqlx::Sqlite>;

/// Sessions in `PostgreSQL`.
#[cfg(feature = "postgres")]
pub type PostgresStore = SqlStore<sqlx::Postgres>;

/// Sessions in `MySQL` or `MariaDB`.
#[cfg(feature = "mysql")]
pub type MySqlStore = SqlStore<sqlx::MySql>;
