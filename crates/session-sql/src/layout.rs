//! What a row of a session's table is: the interface of a layout, and the library's own layout.

use std::{fmt, sync::Arc};

use session_core::{Error, Loaded, OwnerIndex, Record, Result, Revision, Scan, StoreKey, Write};

use crate::{
    dialect::{Dialect, Driver, Row, Value},
    instant::to_micros,
    queries::{Queries, statement, statements},
    store::{SqlStore, SqlTable},
    table_name::TableName,
};

/// A layout of a table. Not to be implemented elsewhere.
pub trait Layout: Sized + fmt::Debug + Send + Sync + 'static {
    /// Whether a sweep reads all rows in the order of [`Row::number`], because no index tells which
    /// are due. [`Queries::sweep_select`] then begins after a number, and otherwise takes the time.
    const SWEEPS_ALL_ROWS: bool;

    fn queries<D: Driver>(table: &TableName) -> Queries;

    /// Why a table with these facts cannot hold records of up to `limit` bytes, and what to do.
    ///
    /// The text may refer to fragments, as the template of a statement does.
    ///
    /// A fact is the name of a column, or a property that [`Queries::facts`] selects.
    fn mismatch(facts: &[String], limit: usize) -> Option<String>;

    /// The values that select a record in a statement.
    fn key<D: Driver>(key: &StoreKey) -> Result<Vec<Value<'_>>>;

    fn insert<'a, D: Driver>(key: &'a StoreKey, record: &'a Record) -> Result<Change<'a>>;

    /// `None` if no record of this layout can have the revision.
    fn update<'a, D: Driver>(
        key: &'a StoreKey,
        record: &'a Record,
        revision: &'a Revision,
    ) -> Result<Option<Change<'a>>>;

    fn loaded(row: Row) -> Loaded;

    /// The value that selects a record in the sweep's other statements.
    fn sweep_key(row: &Row) -> Value<'_>;

    /// The store as an owner index, if the layout has one.
    fn owner_index<D: Dialect>(_: Arc<SqlTable<D, Self>>) -> Option<Arc<dyn OwnerIndex>> {
        None
    }

    /// The store as one whose records can all be read, if the layout has their keys.
    fn scan<D: Dialect>(_: Arc<SqlTable<D, Self>>) -> Option<Arc<dyn Scan>> {
        None
    }
}

/// A change of one record.
#[derive(Debug)]
pub struct Change<'a> {
    pub(crate) values: Vec<Value<'a>>,
    /// What the caller gets when the statement has changed the record.
    pub(crate) on_success: Write,
}

/// The columns by which a table of either layout is recognised.
pub(crate) const OWN_COLUMNS: &str = "store_key, payload";
pub(crate) const FLASK_COLUMNS: &str = "id, session_id, data, expiry";

/// Whether `facts` has each of the facts that `wanted` lists.
pub(crate) fn has(facts: &[String], wanted: &str) -> bool {
    let mut wanted = wanted.split(", ");
    wanted.all(|wanted| facts.iter().any(|fact| fact == wanted))
}

/// The rest of a statement that carries a record: its keys, the SQL, and the packet's own bytes.
const REST_OF_STATEMENT: usize = 65_536;

/// What to do if the server refuses statements that carry `bytes` of records.
pub(crate) fn small_packet(facts: &[String], bytes: usize) -> Option<String> {
    let packet = facts.iter().find_map(|fact| fact.strip_prefix("packet "))?;
    let needed = bytes + REST_OF_STATEMENT;
    let fits = packet.parse().is_ok_and(|packet: usize| packet >= needed);
    (!fits).then(|| {
        format!(
            "can be used, but the server's max_allowed_packet is {packet}, less than the {needed} \
             bytes that a change of the largest record needs: raise it, or lower the limit by \
             with_limit()"
        )
    })
}

pub(crate) const UNKNOWN_TABLE: &str =
    "exists and holds something else: name another table with SESSION_SQL_TABLE or with_table()";

/// The library's own layout.
///
/// `expires_at` has no index, because most changes move it. `listed_until` has none, because the
/// pages of a list are read in the order of the keys: in the order of a time that moves, they would
/// miss records. `sweep_at` has an index. It is never later than either, and it moves only when an
/// end comes nearer. So a change writes no index. A sweep removes records that are no longer listed
/// from the owner's index, so that sessions that have ended do not slow down a list.
#[derive(Debug)]
pub struct Own;

impl Layout for Own {
    const SWEEPS_ALL_ROWS: bool = false;

    fn queries<D: Driver>(name: &TableName) -> Queries {
        let sql = |template| statement::<D>(name, template);
        Queries {
            load: sql(
                "SELECT store_key, payload, revision, expires_at FROM {table} WHERE store_key = ?",
            ),
            insert: sql(
                "INSERT INTO {table} (payload, revision, expires_at, listed_until, sweep_at, owner, \
                 provider_session, store_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?) {on_conflict}",
            ),
            // An update without an owner keeps the owner: a tombstone, which names none, must still
            // be found through the owner of its session.
            update: statements::<D>(
                name,
                "{update_without_indexes}UPDATE {table} SET payload = ?, revision = ?, expires_at = ?, \
                 listed_until = COALESCE(?, listed_until), sweep_at = {least}(sweep_at, ?), owner = COALESCE(?, owner), \
                 provider_session = COALESCE(?, provider_session) WHERE store_key = ? AND revision = ?",
            ),
            delete: sql("DELETE FROM {table} WHERE store_key = ?"),
            sweep_select: sql(
                "SELECT store_key, store_key, revision, expires_at FROM {table} {by_sweep_at} \
                 WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ? {skip_locked}",
            ),
            sweep_delete: sql(
                "DELETE {delete_alias} FROM {table} {delete_source} WHERE store_key IN ({placeholders}) AND expires_at <= ?",
            ),
            sweep_postpone: Some(sql(
                "UPDATE {table} {by_key} SET owner = CASE WHEN listed_until > ? THEN owner END, \
                 provider_session = CASE WHEN listed_until > ? THEN provider_session END, sweep_at = \
                 CASE WHEN listed_until > ? THEN {least}(listed_until, expires_at) ELSE expires_at END \
                 WHERE store_key IN ({placeholders}) AND expires_at > ?",
            )),
            facts: sql("{columns} UNION ALL {indexes} {packet}"),
            create: statements::<D>(name, "{create}"),
        }
    }

    fn mismatch(facts: &[String], limit: usize) -> Option<String> {
        if has(facts, OWN_COLUMNS) {
            return damage(facts)
                .or_else(|| small_column(facts, limit))
                .or_else(|| small_packet(facts, limit));
        }
        let mismatch = if has(facts, FLASK_COLUMNS) {
            "has Flask-Session's layout: share it by with_flask_layout(), which needs the feature \
             \"flask\" of session-sql, or name another table with SESSION_SQL_TABLE or with_table()"
        } else {
            UNKNOWN_TABLE
        };
        Some(mismatch.into())
    }

    fn key<D: Driver>(key: &StoreKey) -> Result<Vec<Value<'_>>> {
        Ok(vec![Value::Bytes(key.as_str().as_bytes())])
    }

    fn insert<'a, D: Driver>(key: &'a StoreKey, record: &'a Record) -> Result<Change<'a>> {
        change::<D>(key, record)
    }

    fn update<'a, D: Driver>(
        key: &'a StoreKey,
        record: &'a Record,
        revision: &'a Revision,
    ) -> Result<Option<Change<'a>>> {
        let Some(loaded) = revision.as_u64() else {
            return Ok(None);
        };
        let mut change = change::<D>(key, record)?;
        change.values.push(Value::Number(loaded.cast_signed()));
        Ok(Some(change))
    }

    fn loaded(row: Row) -> Loaded {
        Loaded {
            bytes: row.bytes.into(),
            revision: row.number.cast_unsigned().into(),
            expires_at: None,
        }
    }

    fn sweep_key(row: &Row) -> Value<'_> {
        Value::Bytes(&row.key)
    }

    fn owner_index<D: Dialect>(store: Arc<SqlStore<D>>) -> Option<Arc<dyn OwnerIndex>> {
        Some(store)
    }

    fn scan<D: Dialect>(store: Arc<SqlStore<D>>) -> Option<Arc<dyn Scan>> {
        Some(store)
    }
}

/// What a table of this layout lacks, and what to do.
///
/// Nothing is added here. What a column held cannot be restored, and an index on a large table is to
/// be built when its owner decides.
fn damage(facts: &[String]) -> Option<String> {
    let columns = [
        "revision",
        "expires_at",
        "sweep_at",
        "owner",
        "provider_session",
        "listed_until",
    ];
    if let Some(column) = columns.iter().find(|column| !has(facts, column)) {
        return Some(format!(
            "lacks the column {column}: restore it from a backup, or drop the table, which ends \
             all sessions, and call migrate() again. If it holds something else, name another \
             table with SESSION_SQL_TABLE or with_table()"
        ));
    }
    let indexes = ["store_key", "sweep_at", "owner", "provider_session"];
    let lost = indexes
        .iter()
        .find(|name| !has(facts, &format!("index {name}")))?;
    if has(facts, &format!("incomplete {lost}")) {
        return Some(format!(
            "has an index on {lost} that was not completed. If nobody is building it, remove it by \
             {{drop_{lost}}} and call migrate() again"
        ));
    }
    let hidden = format!("hidden {lost} ");
    if let Some(show) = facts.iter().find_map(|fact| fact.strip_prefix(&hidden)) {
        return Some(format!(
            "hides the index on {lost} from its statements, which then fail: make it visible by {show}"
        ));
    }
    let what = if *lost == "store_key" {
        "the primary key on store_key, without which a session can have two records".to_owned()
    } else {
        format!("the index on {lost}, without which every row is read")
    };
    Some(format!("lacks {what}: create it by {{create_{lost}}}"))
}

/// The column for the payload must hold what the store accepts.
fn small_column(facts: &[String], limit: usize) -> Option<String> {
    let room = facts.iter().find_map(|fact| fact.strip_prefix("room "))?;
    let holds: usize = room.parse().ok()?;
    (holds < limit).then(|| {
        format!(
            "has a column payload that holds {holds} bytes, less than the limit of {limit}: make \
             it a LONGBLOB, or lower the limit by with_limit()"
        )
    })
}

/// The values of an insert, and all but the last of an update.
///
/// Each revision is random, so that none repeats: neither in a record that replaces another one
/// under its key, nor after the table has lost its last changes, as in a replica that is promoted.
fn change<'a, D: Driver>(key: &'a StoreKey, record: &'a Record) -> Result<Change<'a>> {
    let random = getrandom::u64().map_err(|error| Error::backend(D::URL_SCHEMES[0], error))?;
    // Positive as a number of 64 bits.
    let revision = random >> 2;
    let end = to_micros(record.expires_at);
    let entry = record.entry.as_ref();
    let sid = entry.and_then(|entry| entry.provider_session.as_ref());
    let listed_until = entry.map(|entry| to_micros(entry.expires_at));
    Ok(Change {
        values: vec![
            Value::Bytes(&record.bytes),
            Value::Number(revision.cast_signed()),
            Value::Number(end),
            Value::OptionalNumber(listed_until),
            Value::Number(end.min(listed_until.unwrap_or(end))),
            Value::OptionalBytes(entry.map(|entry| entry.owner.as_str().as_bytes())),
            Value::OptionalBytes(sid.map(|sid| sid.as_str().as_bytes())),
            Value::Bytes(key.as_str().as_bytes()),
        ],
        on_success: Write::Stored(revision.into()),
    })
}
