use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::{dialect::Driver, table::TableName};

/// How many records one statement of a sweep is about at most.
///
/// Few enough that a statement takes some milliseconds, and that the parameters of `MySQL`'s are not many.
pub(crate) const SWEEP_BATCH: usize = 100;

/// The statements of one store, built once; which values each takes is its layout's to say.
#[derive(Debug)]
pub struct Queries {
    pub(crate) load: SqlStr,
    pub(crate) insert: SqlStr,
    /// Each takes the same values; the first that changes a record is the last to be sent.
    pub(crate) update: Vec<SqlStr>,
    pub(crate) delete: SqlStr,
    /// Finds the next records that a sweep has to look at, and tells when each has expired.
    pub(crate) choose: SqlStr,
    /// Deletes those that have expired, if they still have; like the next it has places for a full batch.
    pub(crate) remove: SqlStr,
    /// Has a sweep look at the others again when they expire, where it does not look at all records each time.
    pub(crate) put_off: Option<SqlStr>,
    /// Names the columns of the table, and what else is as the store needs it.
    pub(crate) facts: SqlStr,
    /// Makes the table and its indexes where there is none.
    pub(crate) create: Vec<SqlStr>,
}

/// The statements of a text, which semicolons part.
pub(crate) fn spell_all<D: Driver>(name: &TableName, text: &str) -> Vec<SqlStr> {
    let all = words::<D>(text);
    all.split(';').map(|one| spell::<D>(name, one)).collect()
}

/// A statement in the database's own words; its only variable parts are names that [`TableName`] has checked.
pub(crate) fn spell<D: Driver>(name: &TableName, text: &str) -> SqlStr {
    let schema = name.schema();
    let names = [
        ("{places}", vec!["?"; SWEEP_BATCH].join(", ")),
        ("{table}", name.quoted(D::QUOTE)),
        ("{name}", name.table().to_owned()),
        (
            "{prefix}",
            schema.map_or(String::new(), |s| format!("\"{s}\".")),
        ),
        (
            "{schema}",
            schema.map_or("NULL".to_owned(), |s| format!("'{s}'")),
        ),
    ];
    let mut sql = words::<D>(text);
    for (word, name) in names {
        sql = sql.replace(word, &name);
    }
    if D::NUMBERED {
        let mut parts = sql.split('?');
        let first = parts.next().unwrap_or_default().to_owned();
        sql = parts
            .zip(1..)
            .fold(first, |sql, (part, number)| format!("{sql}${number}{part}"));
    }
    AssertSqlSafe(sql).into_sql_str()
}

fn words<D: Driver>(text: &str) -> String {
    let replace = |sql: String, (word, text): &(&str, &str)| sql.replace(word, text);
    D::WORDS.iter().fold(text.to_owned(), replace)
}
