use std::{error, fmt};

/// What is wrong with a table, in words that say what to do about it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// There is none, or one that lacks a column.
    NotMigrated { table: String, source: sqlx::Error },
    /// It holds something else.
    Foreign { table: String },
    /// It is laid out as Flask-Session's, and the store is for our own layout.
    Flask { table: String },
    /// It is in our own layout, and the store is for Flask-Session's.
    Own { table: String },
    /// It is Flask-Session's but for something that the store relies on.
    Unfit { table: String, lack: String },
    /// No row of Flask-Session's can be for such a key.
    Key,
    /// The database lives in the memory of a connection that the pool may close.
    Fleeting,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMigrated { table, .. } => write!(
                f,
                "the table {table} does not exist or is of an older version: run migrate() once before serving"
            ),
            Self::Foreign { table } => write!(
                f,
                "the table {table} exists and holds something else: name another one for the sessions"
            ),
            Self::Flask { table } => write!(
                f,
                "the table {table} is laid out as Flask-Session's: share it by with_flask_layout(), \
                 or name another one with SESSION_SQL_TABLE"
            ),
            Self::Own { table } => write!(
                f,
                "the table {table} is not laid out as Flask-Session's but as this library's own: \
                 leave out with_flask_layout(), or name another one with SESSION_SQL_TABLE"
            ),
            Self::Unfit { table, lack } => {
                write!(f, "the table {table} is Flask-Session's, but {lack}")
            }
            Self::Key => f.write_str(
                "a key in Flask-Session's table has 1 to 255 characters, all of them graphic ASCII",
            ),
            Self::Fleeting => f.write_str(
                "a database in memory ends with its connection: give the pool exactly one, never closed, or use connect()",
            ),
        }
    }
}

impl error::Error for Fault {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::NotMigrated { source, .. } => Some(source),
            _ => None,
        }
    }
}
