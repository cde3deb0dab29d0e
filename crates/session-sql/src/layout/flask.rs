//! Rows as Flask-Session lays them out, so that a Flask application and this one can share live sessions.

use session_core::{Loaded, Record, Result, Revision, StoreKey, Write};

use super::{Change, FLASK, FOREIGN, Layout, OWN, has};
use crate::{
    dialect::{Driver, Row, Value},
    fault::Fault,
    instant::{from_micros, to_micros},
    queries::{Queries, spell, spell_all},
    table::TableName,
};

/// The longest key that the column `session_id` takes, in characters.
const MAX_KEY: usize = 255;

/// Flask-Session's layout.
///
/// What the `expiry` column holds is the database's own form of UTC, which no time zone of a server or a connection
/// touches; a row without any counts as one of 1970.
#[derive(Debug)]
pub struct Flask;

impl Layout for Flask {
    fn queries<D: Driver>(name: &TableName) -> Queries {
        let sql = |text| spell::<D>(name, text);
        Queries {
            load: sql("SELECT {none}, {data}, {id}, {expiry} FROM {table} WHERE {session}"),
            insert: sql(
                "INSERT INTO {table} (session_id, data, expiry) VALUES (?, ?, {instant}) {unless_taken}",
            ),
            update: spell_all::<D>(
                name,
                "UPDATE {table} SET data = ?, expiry = {instant} WHERE {session} AND {data} = ?",
            ),
            delete: sql("DELETE FROM {table} WHERE {session}"),
            choose: sql(
                "SELECT {none}, {none}, {id}, {expiry} FROM {table} WHERE id > ? ORDER BY id LIMIT ?",
            ),
            remove: sql("DELETE {due_of} FROM {table} {as_due} WHERE {due}"),
            put_off: None,
            facts: sql("{columns} UNION ALL {flask_facts}"),
            create: spell_all::<D>(name, "{create_flask}"),
        }
    }

    fn lack(facts: &[String], limit: usize) -> Option<String> {
        let room = facts.iter().find_map(|fact| fact.strip_prefix("room "));
        let room = room.and_then(|room| room.parse().ok()).unwrap_or(limit);
        Some(if has(facts, &OWN) {
            "is not laid out as Flask-Session's but as this library's own: \
             leave out with_flask_layout(), or name another one with SESSION_SQL_TABLE"
                .into()
        } else if !has(facts, &FLASK) {
            FOREIGN.into()
        } else if !has(facts, &["unique id"]) {
            "is Flask-Session's, but session_id has no unique constraint: add one".into()
        } else if !has(facts, &["naive expiry"]) {
            "is Flask-Session's, but expiry is no date and time in UTC without a zone: change its type".into()
        } else if room < limit {
            format!(
                "is Flask-Session's, but data holds {room} bytes, less than the {limit} of with_limit()"
            )
        } else {
            return None;
        })
    }

    /// What some database would cut, pad or refuse is no key.
    fn key<D: Driver>(key: &StoreKey) -> Result<Vec<Value<'_>>> {
        let text = key.as_str();
        let fits = (1..=MAX_KEY).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(vec![Value::Text(text); 2]);
        }
        let unfit =
            "a key in Flask-Session's table has 1 to 255 characters, all of them graphic ASCII";
        Err(Fault::Unfit(unfit.into()).error::<D>())
    }

    fn insert<'a, D: Driver>(key: &'a StoreKey, record: &'a Record) -> Result<Change<'a>> {
        let mut values = Self::key::<D>(key)?;
        values.truncate(1);
        values.extend(content(record));
        Ok(Change {
            values,
            done: Write::stored_bytes(record),
        })
    }

    fn update<'a, D: Driver>(
        key: &'a StoreKey,
        record: &'a Record,
        revision: &'a Revision,
    ) -> Result<Option<Change<'a>>> {
        let mut values = content(record).to_vec();
        values.extend(Self::key::<D>(key)?);
        values.push(Value::Bytes(revision.as_bytes()));
        Ok(Some(Change {
            values,
            done: Write::stored_bytes(record),
        }))
    }

    fn loaded(row: Row) -> Loaded {
        Loaded {
            expires_at: Some(from_micros(row.expires_at)),
            ..Loaded::compared_by_bytes(row.bytes)
        }
    }

    fn sweep_from(_: i64, last: Option<&Row>) -> i64 {
        last.map_or(i64::MIN, |row| row.number)
    }

    fn swept(row: &Row) -> Value<'_> {
        Value::Number(row.number)
    }
}

fn content(record: &Record) -> [Value<'_>; 2] {
    [
        Value::Bytes(&record.bytes),
        Value::Number(to_micros(record.expires_at)),
    ]
}
