//! The rows of Flask-Session's table.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use session_core::{Loaded, Record, Result, Revision, StoreKey, Write};

use super::fragments::fragments;
use crate::{
    dialect::{Driver, Row, Value},
    error::CallError,
    instant::{LAST, to_micros},
    layout::{Change, FLASK_COLUMNS, Layout, OWN_COLUMNS, UNKNOWN_TABLE, has, small_packet},
    queries::{Queries, statement, with_fragments},
    table_name::TableName,
};

/// The longest key that the column `session_id` takes, in characters.
const MAX_KEY: usize = 255;

/// Flask-Session's layout.
///
/// The column `expiry` holds UTC in the database's own type, so no time zone of a server or a
/// connection changes it. A row without an expiry counts as one that expired in 1970.
#[derive(Debug)]
pub struct Flask;

impl Layout for Flask {
    const SWEEPS_ALL_ROWS: bool = true;

    fn queries<D: Driver>(name: &TableName) -> Queries {
        let sql = |template| statement::<D>(name, &with_fragments(fragments::<D>(), template));
        Queries {
            load: sql("SELECT {empty}, {data}, {id}, {expiry} FROM {table} WHERE {is_session}"),
            insert: sql(
                "INSERT INTO {table} (data, expiry, session_id) VALUES (?, {to_expiry}, ?) {on_conflict}",
            ),
            update: vec![sql(
                "UPDATE {table} SET data = ?, expiry = {to_expiry} WHERE {is_session} AND {data} = ?",
            )],
            delete: sql("DELETE FROM {table} WHERE {is_session}"),
            sweep_select: sql(
                "SELECT {empty}, {empty}, {id}, {expiry} FROM {table} WHERE id > ? ORDER BY id LIMIT ?",
            ),
            sweep_delete: sql(
                "DELETE {delete_alias} FROM {table} {delete_source} WHERE {expired_of_batch}",
            ),
            sweep_postpone: None,
            facts: sql("{columns} UNION ALL {flask_facts} {packet}"),
            create: vec![sql("{create_flask}")],
        }
    }

    fn mismatch(facts: &[String], limit: usize) -> Option<String> {
        let room = facts.iter().find_map(|fact| fact.strip_prefix("room "));
        let room = room.and_then(|room| room.parse().ok()).unwrap_or(limit);
        let mismatch = if has(facts, OWN_COLUMNS) {
            "has this library's own layout, not Flask-Session's: leave out with_flask_layout(), \
             or name another table with SESSION_SQL_TABLE or with_table()"
        } else if !has(facts, FLASK_COLUMNS) {
            UNKNOWN_TABLE
        } else if !has(facts, "unique id") {
            "has Flask-Session's layout, but session_id has no unique constraint: add one"
        } else if !has(facts, "naive expiry") {
            "has Flask-Session's layout, but expiry is not a date and time without a zone: \
             change its type, and keep UTC in it"
        } else if room < limit {
            return Some(format!(
                "has Flask-Session's layout, but data holds {room} bytes, less than the limit of \
                 {limit}: widen the column, or lower the limit by with_limit()"
            ));
        } else {
            // A change sends the loaded bytes as well.
            return small_packet(facts, 2 * limit);
        };
        Some(mismatch.into())
    }

    /// Refuses a key that some database would cut, pad or refuse.
    fn key<D: Driver>(key: &StoreKey) -> Result<Vec<Value<'_>>> {
        let text = key.as_str();
        let fits = (1..=MAX_KEY).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(vec![Value::Text(text); 2]);
        }
        let message =
            "a key in Flask-Session's table must have 1 to 255 characters of graphic ASCII";
        Err(CallError::Unsuitable(message.into()).into_error::<D>())
    }

    fn insert<'a, D: Driver>(key: &'a StoreKey, record: &'a Record) -> Result<Change<'a>> {
        let mut change = change::<D>(key, record)?;
        // An insert has the key once.
        change.values.pop();
        Ok(change)
    }

    fn update<'a, D: Driver>(
        key: &'a StoreKey,
        record: &'a Record,
        revision: &'a Revision,
    ) -> Result<Option<Change<'a>>> {
        let mut change = change::<D>(key, record)?;
        change.values.push(Value::Bytes(revision.as_bytes()));
        Ok(Some(change))
    }

    fn loaded(row: Row) -> Loaded {
        Loaded {
            expires_at: Some(from_micros(row.expires_at)),
            ..Loaded::compared_by_bytes(row.bytes)
        }
    }

    fn sweep_key(row: &Row) -> Value<'_> {
        Value::Number(row.number)
    }
}

/// The values of a change: the bytes, the expiry, and the key twice, as `{is_session}` needs it.
fn change<'a, D: Driver>(key: &'a StoreKey, record: &'a Record) -> Result<Change<'a>> {
    let expiry = Value::Number(to_micros(record.expires_at));
    let mut values = vec![Value::Bytes(&record.bytes), expiry];
    values.extend(Flask::key::<D>(key)?);
    let on_success = Write::stored_bytes(record);
    Ok(Change { values, on_success })
}

/// The instant of an expiry. One before 1970 counts as 1970, one after the year 9999 as its end.
fn from_micros(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros.clamp(0, LAST).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_out_of_range_is_the_nearest_bound() {
        assert_eq!(from_micros(1), UNIX_EPOCH + Duration::from_micros(1));
        assert_eq!(from_micros(-1), UNIX_EPOCH);
        assert_eq!(to_micros(from_micros(i64::MAX)), LAST);
    }
}
