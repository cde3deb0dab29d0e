#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "mysql")),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        unused_variables,
        reason = "without a driver most of this crate has no use"
    )
)]

mod connection;
mod diagnosis;
mod dialect;
mod error;
#[cfg(feature = "flask")]
mod flask;
mod instant;
mod kept;
mod layout;
mod migrate;
mod owner_index;
mod probe;
mod queries;
mod retry;
mod scan;
mod settings;
mod sqlalchemy_url;
mod store;
mod sweep;
mod sweep_position;
mod table_name;
mod timeouts;
mod writer_queue;

pub use dialect::Dialect;
#[cfg(feature = "flask")]
pub use flask::{FlaskSqlSessions, FlaskSqlStore};
pub use migrate::SqlSessions;
#[cfg(feature = "sqlite")]
pub use settings::sqlite_file;
pub use settings::{DEFAULT_URL, connect, from_env};
pub use sqlx;
pub use store::{SqlStore, SqlTable};
pub use table_name::TableName;

/// Sessions in a `SQLite` file, or in memory.
#[cfg(feature = "sqlite")]
pub type SqliteStore = SqlStore<sqlx::Sqlite>;

/// Sessions in `PostgreSQL`.
#[cfg(feature = "postgres")]
pub type PostgresStore = SqlStore<sqlx::Postgres>;

/// Sessions in `MySQL` or `MariaDB`.
#[cfg(feature = "mysql")]
pub type MySqlStore = SqlStore<sqlx::MySql>;
