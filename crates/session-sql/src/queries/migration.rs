use sqlx::SqlStr;

use super::safe;
use crate::table::TableName;

/// How a table is made, and brought up to date.
#[derive(Debug)]
pub(crate) struct Migration {
    /// Opens the transaction that everything else is in.
    pub(crate) begin: SqlStr,
    /// Lifts the limits that are meant for requests, and keeps a second migration waiting.
    pub(crate) prepare: Vec<SqlStr>,
    /// Names the file that the database is in, empty if there is none; where a database can be without.
    pub(crate) file: Option<SqlStr>,
    /// Names the columns that the table has.
    pub(crate) columns: SqlStr,
    /// Makes the table and its indexes where there is none.
    pub(crate) create: Vec<SqlStr>,
    /// Adds what the table of version 1 lacked: the owner and its index.
    pub(crate) add_owner: Vec<SqlStr>,
    /// Replaces what the table of version 2 had, an index on the expiry, by `sweep_at` and one on that. The rows that
    /// are there are due to the next sweep, which puts them off.
    pub(crate) add_sweep: Vec<SqlStr>,
}

/// What is the same for every layout.
impl Migration {
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite(name: &TableName) -> Self {
        Self {
            begin: safe("BEGIN IMMEDIATE"),
            prepare: vec![],
            file: Some(safe(&format!(
                "SELECT file FROM pragma_database_list WHERE name = '{}'",
                name.schema().unwrap_or("main")
            ))),
            columns: safe(&format!(
                "SELECT name FROM pragma_table_info('{}'{})",
                name.table(),
                name.schema().map_or(String::new(), |s| format!(", '{s}'"))
            )),
            create: vec![],
            add_owner: vec![],
            add_sweep: vec![],
        }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn postgres(name: &TableName) -> Self {
        Self {
            begin: safe("BEGIN ISOLATION LEVEL READ COMMITTED"),
            prepare: vec![
                safe("SET LOCAL statement_timeout = 0"),
                safe("SET LOCAL lock_timeout = '30s'"),
                safe(&format!(
                    "SELECT pg_advisory_xact_lock({})",
                    number_of(&name.to_string())
                )),
            ],
            file: None,
            columns: safe(&format!(
                "SELECT attname::text FROM pg_attribute \
                 WHERE attrelid = to_regclass('{}') AND attnum > 0 AND NOT attisdropped",
                name.quoted('"')
            )),
            create: vec![],
            add_owner: vec![],
            add_sweep: vec![],
        }
    }

    #[cfg(feature = "mysql")]
    pub(crate) fn mysql(name: &TableName) -> Self {
        Self {
            begin: safe("BEGIN"),
            prepare: vec![safe("SET SESSION lock_wait_timeout = 30")],
            file: None,
            columns: safe(&format!(
                "SELECT CAST(column_name AS CHAR) FROM information_schema.columns WHERE {}",
                in_information_schema(name)
            )),
            create: vec![],
            add_owner: vec![],
            add_sweep: vec![],
        }
    }
}

/// The condition for what `MySQL`'s catalogue says of the table.
#[cfg(feature = "mysql")]
pub(crate) fn in_information_schema(name: &TableName) -> String {
    let schema = name.schema();
    let schema = schema.map_or("DATABASE()".to_owned(), |s| format!("'{s}'"));
    format!(
        "table_schema = {schema} AND table_name = '{}'",
        name.table()
    )
}

/// The same number for the same name in every process and version: FNV-1a.
#[cfg(feature = "postgres")]
fn number_of(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.cast_signed()
}
