use session_core::{Error, Loaded, Record, Result, Revision, StoreKey, Write};

use super::{Change, FLASK, FOREIGN, Layout, OWN, has};
use crate::{
    dialect::{Driver, Row, Value},
    instant::to_micros,
    queries::{Queries, spell, spell_all},
    table::TableName,
};

/// Our own layout.
///
/// `expires_at` has no index, because most changes move it, and `listed_until` none, because the pages of a list are read
/// in the order of the keys: in the order of a time that moves, they would miss records. `sweep_at` has an index, is never
/// later than either, and moves only with an end that comes nearer. So a change writes no index. A sweep takes what is no
/// longer listed out of the owner's index, so that a list is not slow for all the sessions that have ended.
#[derive(Debug)]
pub struct Own;

/// Finds a page of an owner's records with the first bytes of each, [`Record::HEAD`] of them.
pub(crate) const PAGE: &str = "SELECT store_key, substr(payload, 1, 1024), revision, expires_at FROM {table} {by_owner} \
    WHERE owner = ? AND store_key > ? AND listed_until > ? ORDER BY store_key LIMIT ?";

impl Layout for Own {
    fn queries<D: Driver>(name: &TableName) -> Queries {
        let sql = |text| spell::<D>(name, text);
        Queries {
            load: sql(
                "SELECT store_key, payload, revision, expires_at FROM {table} WHERE store_key = ?",
            ),
            insert: sql(
                "INSERT INTO {table} (payload, expires_at, listed_until, sweep_at, owner, store_key, revision) \
                 VALUES (?, ?, ?, ?, ?, ?, ?) {unless_taken}",
            ),
            // An owner stays: a marker record that names none must still be found through the owner it had.
            update: spell_all::<D>(
                name,
                "{lean_update}UPDATE {table} SET payload = ?, revision = revision + 1, expires_at = ?, \
                 listed_until = COALESCE(?, listed_until), sweep_at = {least}(sweep_at, ?), owner = COALESCE(?, owner) WHERE store_key = ? AND revision = ?",
            ),
            delete: sql("DELETE FROM {table} WHERE store_key = ?"),
            choose: sql(
                "SELECT store_key, store_key, revision, expires_at FROM {table} {by_sweep_at} \
                 WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ? {unlocked}",
            ),
            remove: sql(
                "DELETE {due_of} FROM {table} {as_due} WHERE store_key IN ({places}) AND expires_at <= ?",
            ),
            put_off: Some(sql(
                "UPDATE {table} {by_key} SET owner = CASE WHEN listed_until > ? THEN owner END, sweep_at = \
                 CASE WHEN listed_until > ? THEN {least}(listed_until, expires_at) ELSE expires_at END \
                 WHERE store_key IN ({places}) AND expires_at > ?",
            )),
            facts: sql("{columns}"),
            create: spell_all::<D>(name, "{create}"),
        }
    }

    fn lack(facts: &[String], _: usize) -> Option<String> {
        if has(facts, &OWN) {
            return None;
        }
        Some(if has(facts, &FLASK) {
            "is laid out as Flask-Session's: share it by with_flask_layout(), \
             or name another one with SESSION_SQL_TABLE"
                .into()
        } else {
            FOREIGN.into()
        })
    }

    fn key<D: Driver>(key: &StoreKey) -> Result<Vec<Value<'_>>> {
        Ok(vec![bytes(key)])
    }

    fn insert<'a, D: Driver>(key: &'a StoreKey, record: &'a Record) -> Result<Change<'a>> {
        // At random, so that a record that replaces another one under the same key never repeats a number.
        let random = getrandom::u64().map_err(|error| Error::backend(D::URL_SCHEMES[0], error))?;
        // Positive, and far from the end of what the column counts to.
        let first = random >> 2;
        Ok(change(key, record, first, first))
    }

    fn update<'a, D: Driver>(
        key: &'a StoreKey,
        record: &'a Record,
        revision: &'a Revision,
    ) -> Result<Option<Change<'a>>> {
        let loaded = revision.as_u64();
        Ok(loaded.map(|loaded| change(key, record, loaded, loaded.wrapping_add(1))))
    }

    fn loaded(row: Row) -> Loaded {
        Loaded {
            bytes: row.bytes.into(),
            revision: row.number.cast_unsigned().into(),
            expires_at: None,
        }
    }

    fn sweep_from(now: i64, _: Option<&Row>) -> i64 {
        now
    }

    fn swept(row: &Row) -> Value<'_> {
        Value::Bytes(&row.key)
    }
}

fn bytes(key: &StoreKey) -> Value<'_> {
    Value::Bytes(key.as_str().as_bytes())
}

/// A record's columns, and then what a statement names it by or gives it.
fn change<'a>(key: &'a StoreKey, record: &'a Record, revision: u64, next: u64) -> Change<'a> {
    let end = to_micros(record.expires_at);
    let entry = record.entry.as_ref();
    let listed_until = entry.map(|entry| to_micros(entry.expires_at));
    Change {
        values: vec![
            Value::Bytes(&record.bytes),
            Value::Number(end),
            Value::Until(listed_until),
            Value::Number(end.min(listed_until.unwrap_or(end))),
            Value::Owner(entry.map(|entry| entry.owner.as_str().as_bytes())),
            bytes(key),
            Value::Number(revision.cast_signed()),
        ],
        done: Write::Stored(next.into()),
    }
}
