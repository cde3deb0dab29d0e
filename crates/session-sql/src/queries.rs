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

/// A statement in the database's own words; its only variable parts are names that [`TableName`] has checked.
pub(crate) fn spell<D: Driver>(name: &TableName, text: &str) -> SqlStr {
    spell_all::<D>(name, text).swap_remove(0)
}

/// The same of a text of several statements, parted by semicolons.
pub(crate) fn spell_all<D: Driver>(name: &TableName, text: &str) -> Vec<SqlStr> {
    let (quote, schema) = (D::QUOTE, name.schema());
    let prefix = schema.map_or(String::new(), |s| format!("{quote}{s}{quote}."));
    let names = [
        ("{places}", vec!["?"; SWEEP_BATCH].join(", ")),
        ("{table}", format!("{prefix}{quote}{}{quote}", name.table())),
        ("{name}", name.table().to_owned()),
        ("{prefix}", prefix),
        (
            "{schema}",
            schema.map_or("NULL".to_owned(), |s| format!("'{s}'")),
        ),
    ];
    let words = D::WORDS
        .split('@')
        .filter_map(|entry| entry.trim().split_once(' '));
    let mut sql = words.fold(text.to_owned(), |sql, (word, said)| {
        sql.replace(&format!("{{{word}}}"), said)
    });
    for (word, name) in names {
        sql = sql.replace(word, &name);
    }
    // What is still in braces the database can do without.
    let sql: String = sql
        .split('{')
        .map(|part| part.split_once('}').map_or(part, |(_, rest)| rest))
        .collect();
    let all = sql.split(';');
    all.map(|one| {
        let places = if D::NUMBERED {
            numbered(one)
        } else {
            one.to_owned()
        };
        AssertSqlSafe(places).into_sql_str()
    })
    .collect()
}

fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts
        .zip(1..)
        .fold(first, |sql, (part, number)| format!("{sql}${number}{part}"))
}

#[cfg(all(test, feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_in_the_databases_words_and_its_names_are_quoted() {
        let name = TableName::new("select").unwrap().in_schema("app").unwrap();
        let text = "{prefix}{table} {least}(?, ?){unlocked}; {none} {schema} {name}";
        let spelled = |all: Vec<SqlStr>| {
            all.iter()
                .map(|sql| sql.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            spelled(spell_all::<sqlx::Postgres>(&name, text)),
            [
                r#""app"."app"."select" LEAST($1, $2)FOR UPDATE SKIP LOCKED"#,
                " ''::bytea 'app' select"
            ]
        );
        assert_eq!(
            spelled(spell_all::<sqlx::Sqlite>(&TableName::default(), text)),
            [r#""sessions" MIN(?, ?)"#, " x'' NULL sessions"]
        );
        let sql = spell::<sqlx::MySql>(&name, "{table}");
        assert_eq!(sql.as_str(), "`app`.`select`");
    }
}
