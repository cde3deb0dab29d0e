//! Every statement that this crate sends, built once for each store.

mod flask;
pub(crate) mod migration;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

pub(crate) use self::flask::FlaskQueries;
pub(crate) use self::migration::Migration;
#[cfg(feature = "mysql")]
pub(crate) use self::migration::in_information_schema;
use crate::{
    layout::{Layout, Statements},
    table::TableName,
};

/// The columns of a record, in the order in which rows are decoded.
const ROW: &str = "store_key, payload, revision, expires_at";

/// How many expired records one statement of a sweep removes at most.
///
/// Few enough that a statement takes some milliseconds, and that the parameters of `MySQL`'s are not many.
pub(crate) const SWEEP_BATCH: usize = 100;

/// The statements of one store; which values each takes is said where it is run.
#[derive(Debug)]
pub struct Queries {
    pub(crate) record: RecordQueries,
    pub(crate) insert: SqlStr,
    pub(crate) sweep: Sweep,
    pub(crate) migration: Migration,
}

/// The statements that every database understands alike, but for how they spell a place for a value.
#[derive(Debug)]
pub(crate) struct RecordQueries {
    pub(crate) load: SqlStr,
    pub(crate) update: Change,
    pub(crate) touch: Change,
    pub(crate) delete: SqlStr,
    pub(crate) owned: SqlStr,
}

/// A change of one record; both statements take the same values.
#[derive(Debug)]
pub(crate) struct Change {
    /// Holds only where no indexed column has to change, and names none of them. `SQLite` writes the index of every
    /// column that a statement sets, the others that of every column that gets another value.
    pub(crate) lean: Option<SqlStr>,
    pub(crate) whole: SqlStr,
}

/// How a batch of records is swept, in the order of `sweep_at`: those that have expired go, the others come later.
#[derive(Debug)]
#[allow(dead_code, reason = "each database has one of them")]
pub(crate) enum Sweep {
    Statements(SteppedSweep),
    /// By a transaction.
    Transaction(LockingSweep),
}

/// The statements of a sweep, each of which finds the batch itself.
#[derive(Debug)]
pub(crate) struct SteppedSweep {
    /// Puts off those of the batch that live until they end, so that what is left of it has expired.
    pub(crate) put_off: SqlStr,
    /// Deletes those of the batch that have expired.
    pub(crate) delete: SqlStr,
}

/// The statements of a sweep's transaction.
#[derive(Debug)]
pub(crate) struct LockingSweep {
    /// Comes before the transaction.
    pub(crate) isolation: SqlStr,
    /// Locks a batch that nobody else has locked.
    pub(crate) choose: SqlStr,
    /// Puts off those that live until they end; it has places for a full batch of keys.
    pub(crate) put_off: SqlStr,
    /// Deletes those that have expired; it has places for a full batch of keys.
    pub(crate) delete: SqlStr,
}

impl Statements for Queries {
    const LAYOUT: Layout = Layout::Version3;

    fn migration(&self) -> &Migration {
        &self.migration
    }
}

impl Queries {
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite(name: &TableName) -> Self {
        let table = name.quoted('"');
        // An index lives in the schema of its table, which the index's own name has to say.
        let schema = name.schema().map_or(String::new(), |s| format!("\"{s}\"."));
        let record = RecordQueries::new(&table, "MIN", safe);
        let index = |of: &str| format!("{schema}\"{}_{of}\" ON \"{}\"", name.table(), name.table());
        let by_sweep = safe(&format!(
            "CREATE INDEX IF NOT EXISTS {} (sweep_at)",
            index("sweep_at")
        ));
        let by_owner = safe(&format!(
            "CREATE INDEX IF NOT EXISTS {} (owner)",
            index("owner")
        ));
        Self {
            insert: insert_or_replace_expired(&table, safe),
            sweep: Sweep::Statements(SteppedSweep::new(&table, safe, |batch| {
                format!("store_key IN ({batch})")
            })),
            migration: Migration {
                create: vec![
                    safe(&format!(
                        "CREATE TABLE {table} (\
                         store_key BLOB NOT NULL PRIMARY KEY, \
                         payload BLOB NOT NULL, \
                         revision INTEGER NOT NULL, \
                         expires_at INTEGER NOT NULL, \
                         owner BLOB, \
                         sweep_at INTEGER NOT NULL DEFAULT 0)"
                    )),
                    by_sweep.clone(),
                    by_owner.clone(),
                ],
                add_owner: vec![
                    safe(&format!("ALTER TABLE {table} ADD COLUMN owner BLOB")),
                    by_owner,
                ],
                add_sweep: vec![
                    safe(&format!(
                        "ALTER TABLE {table} ADD COLUMN sweep_at INTEGER NOT NULL DEFAULT 0"
                    )),
                    by_sweep,
                    safe(&format!(
                        "DROP INDEX IF EXISTS {schema}\"{}_expires_at\"",
                        name.table()
                    )),
                ],
                ..Migration::sqlite(name)
            },
            record: RecordQueries {
                update: Change {
                    lean: Some(safe(&format!(
                        "UPDATE {table} SET payload = ?, revision = revision + 1, expires_at = ? \
                         WHERE sweep_at <= ? AND owner IS COALESCE(?, owner) \
                         AND store_key = ? AND revision = ? AND expires_at > ?"
                    ))),
                    ..record.update
                },
                touch: Change {
                    lean: Some(safe(&format!(
                        "UPDATE {table} SET expires_at = ? \
                         WHERE sweep_at <= ? AND store_key = ? AND expires_at > ?"
                    ))),
                    ..record.touch
                },
                ..record
            },
        }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn postgres(name: &TableName) -> Self {
        let table = name.quoted('"');
        let schema = name.schema().map_or(String::new(), |s| format!("\"{s}\"."));
        let by_sweep = safe(&format!(
            "CREATE INDEX IF NOT EXISTS \"{}_sweep_at\" ON {table} (sweep_at)",
            name.table()
        ));
        let by_owner = safe(&format!(
            "CREATE INDEX IF NOT EXISTS \"{}_owner\" ON {table} (owner)",
            name.table()
        ));
        Self {
            insert: insert_or_replace_expired(&table, numbered),
            // An array, so that the rows are chosen and locked once, not once for each row they are compared with.
            sweep: Sweep::Statements(SteppedSweep::new(&table, numbered, |batch| {
                format!("store_key = ANY(ARRAY({batch} FOR UPDATE SKIP LOCKED))")
            })),
            migration: Migration {
                create: vec![
                    safe(&format!(
                        "CREATE TABLE {table} (\
                         store_key BYTEA NOT NULL PRIMARY KEY, \
                         payload BYTEA NOT NULL, \
                         revision BIGINT NOT NULL, \
                         expires_at BIGINT NOT NULL, \
                         owner BYTEA, \
                         sweep_at BIGINT NOT NULL DEFAULT 0)"
                    )),
                    by_sweep.clone(),
                    by_owner.clone(),
                ],
                add_owner: vec![
                    safe(&format!(
                        "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS owner BYTEA"
                    )),
                    by_owner,
                ],
                add_sweep: vec![
                    safe(&format!(
                        "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS sweep_at BIGINT NOT NULL DEFAULT 0"
                    )),
                    by_sweep,
                    safe(&format!(
                        "DROP INDEX IF EXISTS {schema}\"{}_expires_at\"",
                        name.table()
                    )),
                ],
                ..Migration::postgres(name)
            },
            record: RecordQueries::new(&table, "LEAST", numbered),
        }
    }

    #[cfg(feature = "mysql")]
    pub(crate) fn mysql(name: &TableName) -> Self {
        let table = name.quoted('`');
        let places = vec!["?"; SWEEP_BATCH].join(", ");
        Self {
            // A live record is set to itself, and LAST_INSERT_ID tells the client so, by a number below zero: the count
            // of affected rows cannot, it is 1 for a new row and for an unchanged one. `expires_at` goes last: the
            // others ask for it.
            insert: safe(&format!(
                "INSERT INTO {table} (store_key, payload, revision, expires_at, owner, sweep_at) VALUES (?, ?, ?, ?, ?, ?) \
                 ON DUPLICATE KEY UPDATE \
                 payload = IF(expires_at <= ?, VALUES(payload), payload), \
                 revision = IF(expires_at <= ?, VALUES(revision), revision), \
                 owner = IF(expires_at <= ?, VALUES(owner), owner), \
                 sweep_at = IF(expires_at <= ?, VALUES(sweep_at), sweep_at), \
                 expires_at = IF(expires_at > ? AND LAST_INSERT_ID(-expires_at), expires_at, VALUES(expires_at))"
            )),
            // The indexes are forced, because a scan of a small table would lock the live records too, and wait for
            // those that others hold.
            sweep: Sweep::Transaction(LockingSweep {
                isolation: safe("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"),
                choose: safe(&format!(
                    "SELECT store_key, x'', revision, expires_at FROM {table} FORCE INDEX (sweep_at) WHERE sweep_at <= ? \
                     ORDER BY sweep_at LIMIT ? FOR UPDATE SKIP LOCKED"
                )),
                put_off: safe(&format!(
                    "UPDATE {table} FORCE INDEX (PRIMARY) SET sweep_at = expires_at WHERE store_key IN ({places})"
                )),
                delete: safe(&format!(
                    "DELETE due FROM {table} AS due FORCE INDEX (PRIMARY) WHERE due.store_key IN ({places})"
                )),
            }),
            migration: Migration {
                create: vec![safe(&format!(
                    "CREATE TABLE IF NOT EXISTS {table} (\
                     store_key VARBINARY(255) NOT NULL PRIMARY KEY, \
                     payload LONGBLOB NOT NULL, \
                     revision BIGINT NOT NULL, \
                     expires_at BIGINT NOT NULL, \
                     owner VARBINARY(255), \
                     sweep_at BIGINT NOT NULL DEFAULT 0, \
                     INDEX sweep_at (sweep_at), \
                     INDEX owner (owner)) ENGINE = InnoDB"
                ))],
                add_owner: vec![safe(&format!(
                    "ALTER TABLE {table} ADD COLUMN owner VARBINARY(255), ADD INDEX owner (owner)"
                ))],
                add_sweep: vec![safe(&format!(
                    "ALTER TABLE {table} ADD COLUMN sweep_at BIGINT NOT NULL DEFAULT 0, \
                     ADD INDEX sweep_at (sweep_at), DROP INDEX expires_at"
                ))],
                ..Migration::mysql(name)
            },
            record: RecordQueries::new(&table, "LEAST", safe),
        }
    }
}

impl RecordQueries {
    /// `least` is what the database calls the lesser of two numbers.
    fn new(table: &str, least: &str, spell: fn(&str) -> SqlStr) -> Self {
        Self {
            load: spell(&format!(
                "SELECT {ROW} FROM {table} WHERE store_key = ? AND expires_at > ?"
            )),
            // An owner stays: a marker record that names none must still be found through the owner it had.
            update: Change {
                lean: None,
                whole: spell(&format!(
                    "UPDATE {table} SET payload = ?, revision = revision + 1, expires_at = ?, \
                     sweep_at = {least}(sweep_at, ?), owner = COALESCE(?, owner) \
                     WHERE store_key = ? AND revision = ? AND expires_at > ?"
                )),
            },
            touch: Change {
                lean: None,
                whole: spell(&format!(
                    "UPDATE {table} SET expires_at = ?, sweep_at = {least}(sweep_at, ?) \
                     WHERE store_key = ? AND expires_at > ?"
                )),
            },
            delete: spell(&format!("DELETE FROM {table} WHERE store_key = ?")),
            owned: spell(&format!(
                "SELECT {ROW} FROM {table} WHERE owner = ? AND expires_at > ?"
            )),
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl SteppedSweep {
    /// `among` says that a row's key is one of those that a statement finds.
    fn new(table: &str, spell: fn(&str) -> SqlStr, among: impl Fn(&str) -> String) -> Self {
        let batch = among(&format!(
            "SELECT store_key FROM {table} WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?"
        ));
        Self {
            put_off: spell(&format!(
                "UPDATE {table} SET sweep_at = expires_at WHERE {batch} AND expires_at > ?"
            )),
            delete: spell(&format!(
                "DELETE FROM {table} WHERE {batch} AND expires_at <= ?"
            )),
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn insert_or_replace_expired(table: &str, spell: fn(&str) -> SqlStr) -> SqlStr {
    spell(&format!(
        "INSERT INTO {table} AS held (store_key, payload, revision, expires_at, owner, sweep_at) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (store_key) DO UPDATE \
         SET payload = excluded.payload, revision = excluded.revision, \
         expires_at = excluded.expires_at, owner = excluded.owner, sweep_at = excluded.sweep_at \
         WHERE held.expires_at <= ?"
    ))
}

/// A statement of this file: its only variable parts are names that [`TableName`] has checked.
pub(crate) fn safe(sql: &str) -> SqlStr {
    AssertSqlSafe(sql).into_sql_str()
}

/// The same with `PostgreSQL`'s numbered places.
#[cfg(feature = "postgres")]
pub(crate) fn numbered(sql: &str) -> SqlStr {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    safe(
        &parts
            .zip(1..)
            .fold(first, |sql, (part, number)| format!("{sql}${number}{part}")),
    )
}
