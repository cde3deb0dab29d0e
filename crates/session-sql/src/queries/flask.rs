//! Every statement that is sent to a table of Flask-Session, built once for each store.
//!
//! Instants are bound and found as microseconds since 1970; what the column holds is the database's own form of UTC,
//! which no time zone of a server or a connection touches.

use sqlx::SqlStr;

use super::{Migration, SWEEP_BATCH};
use crate::{
    layout::{Layout, Statements},
    table::TableName,
};

/// The statements of one store; which values each takes is said where it is run.
#[derive(Debug)]
pub struct FlaskQueries {
    pub(crate) load: SqlStr,
    pub(crate) insert: SqlStr,
    /// How often an insert asks for `now`.
    pub(crate) nows_in_insert: usize,
    pub(crate) update: SqlStr,
    pub(crate) touch: SqlStr,
    pub(crate) delete: SqlStr,
    /// Finds where a step of the sweep ends: the id that is so many places on.
    pub(crate) step: SqlStr,
    /// Finds the ids of a step that are due.
    pub(crate) due: SqlStr,
    /// Deletes them if they still are; it has places for a full batch.
    pub(crate) sweep: SqlStr,
    /// Says what is as the store needs it.
    pub(crate) facts: SqlStr,
    pub(crate) migration: Migration,
}

impl Statements for FlaskQueries {
    const LAYOUT: Layout = Layout::Flask;

    fn migration(&self) -> &Migration {
        &self.migration
    }
}

/// How a database says what all of them are asked.
struct Idiom {
    table: String,
    spell: fn(&str) -> SqlStr,
    /// A live record's row: no key, the payload, the id, the expiry.
    row: String,
    /// The payload as it is compared; a row without any counts as empty.
    data: &'static str,
    /// Whether the row's id is a key's: once so that the index finds it, once byte by byte whatever the collation.
    key: &'static str,
    /// Whether the expiry, given as a column's name, is later than an instant.
    later: fn(&str) -> String,
    /// An instant as the column holds it.
    instant: &'static str,
    /// The id as a number of 64 bits.
    id: &'static str,
    /// Which of the rows that are found a deletion takes.
    locking: &'static str,
}

impl Idiom {
    fn queries(
        &self,
        insert: SqlStr,
        nows_in_insert: usize,
        facts: SqlStr,
        migration: Migration,
    ) -> FlaskQueries {
        let Self {
            table,
            row,
            data,
            key,
            instant,
            id,
            ..
        } = self;
        let spell = self.spell;
        let live = (self.later)("expiry");
        let due = format!("(expiry IS NULL OR NOT ({live}))");
        let places = vec!["?"; SWEEP_BATCH].join(", ");
        let batch = format!("id IN ({places}) AND {due}");
        let batch = match self.locking {
            "" => batch,
            // An array, so that the rows are locked once, not once for each they are compared with.
            locking => format!("id = ANY(ARRAY(SELECT id FROM {table} WHERE {batch} {locking}))"),
        };
        FlaskQueries {
            load: spell(&format!("SELECT {row} FROM {table} WHERE {key} AND {live}")),
            insert,
            nows_in_insert,
            update: spell(&format!(
                "UPDATE {table} SET data = ?, expiry = {instant} WHERE {key} AND {data} = ? AND {live}"
            )),
            touch: spell(&format!(
                "UPDATE {table} SET expiry = {instant} WHERE {key} AND {live}"
            )),
            delete: spell(&format!("DELETE FROM {table} WHERE {key}")),
            step: spell(&format!(
                "SELECT {id} FROM {table} WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
            )),
            due: spell(&format!(
                "SELECT {id} FROM {table} WHERE id > ? AND id <= ? AND {due}"
            )),
            sweep: spell(&format!("DELETE FROM {table} WHERE {batch}")),
            facts,
            migration,
        }
    }
}

/// Takes the place of an expired row whose id is the same to the index, and its id.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn insert_or_replace_expired(idiom: &Idiom) -> SqlStr {
    let Idiom { table, instant, .. } = idiom;
    let live = (idiom.later)("held.expiry");
    (idiom.spell)(&format!(
        "INSERT INTO {table} AS held (session_id, data, expiry) VALUES (?, ?, {instant}) \
         ON CONFLICT (session_id) DO UPDATE \
         SET session_id = excluded.session_id, data = excluded.data, expiry = excluded.expiry \
         WHERE ({live}) IS NOT TRUE"
    ))
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::{FlaskQueries, Idiom, Migration, TableName, insert_or_replace_expired};
    use crate::queries::safe;

    /// Of `2026-11-21 00:42:40.800486`, as SQLAlchemy writes it; also with a `T`, or with fewer digits or none.
    fn micros(expiry: &str) -> String {
        format!(
            "unixepoch(substr({expiry}, 1, 19)) * 1000000 \
             + CAST(substr(substr({expiry}, 21) || '000000', 1, 6) AS INTEGER)"
        )
    }

    impl FlaskQueries {
        pub(crate) fn sqlite(name: &TableName) -> Self {
            let data = "CAST(COALESCE(data, x'') AS BLOB)";
            let idiom = Idiom {
                table: name.quoted('"'),
                spell: safe,
                row: format!("x'', {data}, id, {}", micros("expiry")),
                data,
                key: "session_id = ? AND session_id = ? COLLATE BINARY",
                later: |expiry| format!("{} > ?", micros(expiry)),
                instant: "(SELECT strftime('%Y-%m-%d %H:%M:%S', micros / 1000000, 'unixepoch') \
                    || printf('.%06d', micros % 1000000) FROM (SELECT ? AS micros))",
                id: "id",
                locking: "",
            };
            let insert = insert_or_replace_expired(&idiom);
            let schema = name.schema().map_or(String::new(), |s| format!(", '{s}'"));
            let facts = safe(&format!(
                "SELECT 'unique' FROM pragma_index_list('{}'{schema}) AS list \
                 WHERE list.\"unique\" AND NOT list.partial \
                 AND (SELECT group_concat(name) FROM pragma_index_info(list.name{schema})) = 'session_id' \
                 UNION ALL SELECT 'naive'",
                name.table()
            ));
            let table = &idiom.table;
            let create = safe(&format!(
                "CREATE TABLE {table} (id INTEGER NOT NULL, session_id VARCHAR(255), data BLOB, expiry DATETIME, \
                 PRIMARY KEY (id), UNIQUE (session_id))"
            ));
            let migration = Migration {
                create: vec![create],
                ..Migration::sqlite(name)
            };
            idiom.queries(insert, 1, facts, migration)
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::{FlaskQueries, Idiom, Migration, TableName, insert_or_replace_expired};
    use crate::queries::{numbered, safe};

    /// How an instant is said; exact to the microsecond until the year 2255.
    const INSTANT: &str = "TIMESTAMP 'epoch' + ? * INTERVAL '1 microsecond'";

    impl FlaskQueries {
        pub(crate) fn postgres(name: &TableName) -> Self {
            let data = "COALESCE(data, ''::bytea)";
            let idiom = Idiom {
                table: name.quoted('"'),
                spell: numbered,
                row: format!(
                    "''::bytea, {data}, id::bigint, \
                     CAST(EXTRACT(EPOCH FROM LEAST(expiry, TIMESTAMP '9999-12-31 23:59:59')) * 1000000 AS bigint)"
                ),
                data,
                key: "session_id = ? AND session_id COLLATE \"C\" = ?",
                later: |expiry| format!("{expiry} > {INSTANT}"),
                instant: INSTANT,
                id: "id::bigint",
                locking: "FOR UPDATE SKIP LOCKED",
            };
            let insert = insert_or_replace_expired(&idiom);
            let table = &idiom.table;
            let facts = safe(&format!(
                "SELECT 'unique' FROM pg_index AS i JOIN pg_attribute AS a \
                 ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND a.attname = 'session_id' \
                 WHERE i.indrelid = to_regclass('{table}') AND i.indisunique AND i.indnatts = 1 AND i.indpred IS NULL \
                 UNION ALL SELECT 'naive' FROM pg_attribute WHERE attrelid = to_regclass('{table}') \
                 AND attname = 'expiry' AND atttypid = 'timestamp'::regtype"
            ));
            let create = safe(&format!(
                "CREATE TABLE {table} (id SERIAL NOT NULL, session_id VARCHAR(255), data BYTEA, \
                 expiry TIMESTAMP WITHOUT TIME ZONE, PRIMARY KEY (id), UNIQUE (session_id))"
            ));
            let migration = Migration {
                create: vec![create],
                ..Migration::postgres(name)
            };
            idiom.queries(insert, 1, facts, migration)
        }
    }
}

#[cfg(feature = "mysql")]
mod mysql {
    use super::{FlaskQueries, Idiom, Migration, TableName};
    use crate::queries::{in_information_schema, safe};

    const NOW: &str = "TIMESTAMPADD(MICROSECOND, ?, TIMESTAMP'1970-01-01 00:00:00')";
    // Whole seconds, rounded down: MySQL would round to the nearest.
    const INSTANT: &str = "TIMESTAMPADD(SECOND, ? DIV 1000000, TIMESTAMP'1970-01-01 00:00:00')";

    impl FlaskQueries {
        pub(crate) fn mysql(name: &TableName) -> Self {
            let data = "COALESCE(data, x'')";
            let idiom = Idiom {
                table: name.quoted('`'),
                spell: safe,
                row: format!(
                    "x'', {data}, CAST(id AS SIGNED), \
                     TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', expiry)"
                ),
                data,
                key: "session_id = ? \
                    AND CAST(CONVERT(session_id USING utf8mb4) AS BINARY) = CAST(? AS BINARY)",
                later: |expiry| format!("{expiry} > {NOW}"),
                instant: INSTANT,
                id: "CAST(id AS SIGNED)",
                locking: "",
            };
            let table = &idiom.table;
            // As in our own layout, a live record is set to itself, and LAST_INSERT_ID tells the client so by a number
            // below zero; a new row's own id is above. `expiry` goes last: the others ask for it.
            let insert = safe(&format!(
                "INSERT INTO {table} (session_id, data, expiry) VALUES (?, ?, {INSTANT}) \
                 ON DUPLICATE KEY UPDATE \
                 session_id = IF(expiry > {NOW}, session_id, VALUES(session_id)), \
                 data = IF(expiry > {NOW}, data, VALUES(data)), \
                 expiry = IF(expiry > {NOW} AND LAST_INSERT_ID(-CAST(id AS SIGNED)), expiry, VALUES(expiry))"
            ));
            let here = in_information_schema(name);
            let facts = safe(&format!(
                "SELECT 'unique' FROM information_schema.statistics WHERE {here} AND non_unique = 0 \
                 GROUP BY index_name HAVING COUNT(*) = 1 AND MAX(column_name) = 'session_id' AND MAX(sub_part) IS NULL \
                 UNION ALL SELECT 'naive' FROM information_schema.columns \
                 WHERE {here} AND column_name = 'expiry' AND data_type = 'datetime' \
                 UNION ALL SELECT CONCAT('room ', character_octet_length) FROM information_schema.columns \
                 WHERE {here} AND column_name = 'data'"
            ));
            let create = safe(&format!(
                "CREATE TABLE IF NOT EXISTS {table} (id INTEGER NOT NULL AUTO_INCREMENT, session_id VARCHAR(255), \
                 data BLOB, expiry DATETIME, PRIMARY KEY (id), UNIQUE (session_id))"
            ));
            let migration = Migration {
                create: vec![create],
                ..Migration::mysql(name)
            };
            idiom.queries(insert, 3, facts, migration)
        }
    }
}
