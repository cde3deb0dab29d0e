//! The SQL statements of a store, built once from templates and the database's fragments.

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::{dialect::Driver, table_name::TableName};

/// The most records that one statement of a sweep covers.
///
/// Small enough for a statement to take a few milliseconds, and for the number of its parameters.
pub(crate) const SWEEP_BATCH: usize = 100;

/// The statements of one store. The layout knows which values each takes.
#[derive(Debug)]
pub struct Queries {
    pub(crate) load: SqlStr,
    pub(crate) insert: SqlStr,
    /// All take the same values. They are run in order until one has changed a record.
    pub(crate) update: Vec<SqlStr>,
    pub(crate) delete: SqlStr,
    /// Selects the next records for a sweep to check, with the expiry of each.
    pub(crate) sweep_select: SqlStr,
    /// Deletes those of a batch that have expired. Has placeholders for a full batch.
    pub(crate) sweep_delete: SqlStr,
    /// Postpones the check of the live records of a batch. `None` if a sweep checks all records.
    pub(crate) sweep_postpone: Option<SqlStr>,
    /// Lists the columns of the table, and properties that the layout checks.
    pub(crate) facts: SqlStr,
    /// Creates the table and its indexes if they do not exist.
    pub(crate) create: Vec<SqlStr>,
}

/// The statement of `template` for this database and table.
pub(crate) fn statement<D: Driver>(name: &TableName, template: &str) -> SqlStr {
    statements::<D>(name, template).swap_remove(0)
}

/// The statements of `template`, which semicolons separate.
///
/// The only variable parts are names that [`TableName`] has checked, so no value becomes SQL.
pub(crate) fn statements<D: Driver>(name: &TableName, template: &str) -> Vec<SqlStr> {
    let (quote, schema) = (D::QUOTE, name.schema());
    let prefix = schema.map_or(String::new(), |s| format!("{quote}{s}{quote}."));
    let schema_literal = schema.map_or("NULL".to_owned(), |s| format!("'{s}'"));
    let names = [
        ("{placeholders}", vec!["?"; SWEEP_BATCH].join(", ")),
        ("{table}", format!("{prefix}{quote}{}{quote}", name.table())),
        ("{name}", name.table().to_owned()),
        ("{prefix}", prefix),
        ("{schema}", schema_literal),
    ];
    let mut sql = with_fragments(D::FRAGMENTS, template);
    for (placeholder, name) in names {
        sql = sql.replace(placeholder, &name);
    }
    // A fragment that the database does not have is one that it does not need.
    let sql: String = sql
        .split('{')
        .map(|part| part.split_once('}').map_or(part, |(_, rest)| rest))
        .collect();
    let all = sql.split(';').map(with_placeholders::<D>);
    all.map(|sql| AssertSqlSafe(sql).into_sql_str()).collect()
}

/// `template` with each `{name}` replaced by the fragment of that name.
///
/// `fragments` has the form of [`Driver::FRAGMENTS`].
pub(crate) fn with_fragments(fragments: &str, template: &str) -> String {
    let fragments = fragments.split(" @");
    let fragments = fragments.filter_map(|fragment| fragment.trim().split_once(' '));
    fragments.fold(template.to_owned(), |sql, (name, fragment)| {
        sql.replace(&format!("{{{name}}}"), fragment)
    })
}

/// `sql` with its `?` in the form of the database.
fn with_placeholders<D: Driver>(sql: &str) -> String {
    if !D::NUMBERED_PLACEHOLDERS {
        return sql.to_owned();
    }
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
    fn a_statement_has_the_databases_fragments_and_quoted_names() {
        let name = TableName::new("select").unwrap().in_schema("app").unwrap();
        let template = "{prefix}{table} {least}(?, ?){skip_locked}; {unknown}{schema} {name}";
        let texts = |all: Vec<SqlStr>| {
            all.iter()
                .map(|sql| sql.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            texts(statements::<sqlx::Postgres>(&name, template)),
            [
                r#""app"."app"."select" LEAST($1, $2)FOR UPDATE SKIP LOCKED"#,
                " 'app' select"
            ]
        );
        assert_eq!(
            texts(statements::<sqlx::Sqlite>(&TableName::default(), template)),
            [r#""sessions" MIN(?, ?)"#, " NULL sessions"]
        );
        let sql = statement::<sqlx::MySql>(&name, "{table}");
        assert_eq!(sql.as_str(), "`app`.`select`");
    }
}
