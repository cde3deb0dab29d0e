//! The name of the table, checked so that it can be written into statements.

use std::fmt;

use session_core::config::ConfigError;

/// The name of the table that holds the sessions, with its schema if that is not the connection's.
///
/// Each part has 1 to 50 letters, digits and `_`, and does not begin with a digit. So no name can
/// end a quoted identifier, and the names of the indexes fit every database. Default: `sessions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    schema: Option<Box<str>>,
    table: Box<str>,
}

impl TableName {
    /// The longest name, in characters. `PostgreSQL` cuts identifiers at 63, and the name of an
    /// index is longer than the table's.
    pub const MAX_LEN: usize = 50;

    /// Checks the name of a table.
    ///
    /// # Errors
    ///
    /// If the name does not have the form that the type describes.
    pub fn new(table: &str) -> Result<Self, ConfigError> {
        Self::of_setting("SESSION_SQL_TABLE", table)
    }

    /// As [`new`](Self::new), with the setting that errors name.
    pub(crate) fn of_setting(setting: &str, table: &str) -> Result<Self, ConfigError> {
        let (schema, table) = (None, checked(setting, table)?);
        Ok(Self { schema, table })
    }

    /// The same table in `schema`: a schema of `PostgreSQL`, a database of `MySQL` and `MariaDB`,
    /// or an attached file of `SQLite`.
    ///
    /// # Errors
    ///
    /// If the name does not have the form that the type describes.
    pub fn in_schema(self, schema: &str) -> Result<Self, ConfigError> {
        self.in_schema_of_setting("SESSION_SQL_SCHEMA", schema)
    }

    /// As [`in_schema`](Self::in_schema), with the setting that errors name.
    pub(crate) fn in_schema_of_setting(
        self,
        setting: &str,
        schema: &str,
    ) -> Result<Self, ConfigError> {
        let schema = Some(checked(setting, schema)?);
        Ok(Self { schema, ..self })
    }

    /// The name of the table without its schema.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The schema, or `None` for the connection's.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }
}

impl Default for TableName {
    fn default() -> Self {
        Self {
            schema: None,
            table: "sessions".into(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

fn checked(setting: &str, name: &str) -> Result<Box<str>, ConfigError> {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let valid_first = name.bytes().next().is_some_and(letter);
    let valid = name.bytes().all(|b| letter(b) || b.is_ascii_digit());
    if valid_first && valid && name.len() <= TableName::MAX_LEN {
        return Ok(name.into());
    }
    Err(ConfigError::new(
        setting,
        "must have 1 to 50 letters, digits and underscores, and must not begin with a digit",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_identifier() {
        let long = "x".repeat(51);
        for bad in [
            "", "1a", "a b", "a\"", "a`b", "a;drop", "a.b", "é", "a\0", "a-b", &long,
        ] {
            assert!(TableName::new(bad).is_err(), "{bad:?}");
            assert!(TableName::default().in_schema(bad).is_err(), "{bad:?}");
        }
        for good in ["sessions", "_s", "S1", &"x".repeat(50)] {
            assert!(TableName::new(good).is_ok(), "{good:?}");
        }
    }
}
