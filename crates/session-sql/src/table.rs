use std::fmt;

use session_core::config::ConfigError;

/// The name of the table that holds the sessions, with the schema it lives in where that is not the connection's own.
///
/// Each part has 1 to 50 characters, letters, digits and `_`, and does not begin with a digit: nothing that could end
/// a quoted identifier, and short enough for the names of the indexes to fit every database. Defaults to `sessions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    schema: Option<Box<str>>,
    table: Box<str>,
}

impl TableName {
    /// The longest name, in characters: `PostgreSQL` cuts identifiers at 63, and an index adds to the table's.
    pub const MAX_LEN: usize = 50;

    /// Checks and takes the name of a table.
    ///
    /// # Errors
    ///
    /// If it is not of the form that the type describes.
    pub fn new(table: &str) -> Result<Self, ConfigError> {
        checked("SESSION_SQL_TABLE", table).map(|table| Self {
            schema: None,
            table,
        })
    }

    /// The same table in `schema`: a schema of `PostgreSQL`, a database of `MySQL`, an attached file of `SQLite`.
    ///
    /// # Errors
    ///
    /// If it is not of the form that the type describes.
    pub fn in_schema(self, schema: &str) -> Result<Self, ConfigError> {
        let schema = Some(checked("SESSION_SQL_SCHEMA", schema)?);
        Ok(Self { schema, ..self })
    }

    /// The table's own name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The schema it is in, unless that is left to the connection.
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
    let begins_well = name.bytes().next().is_some_and(letter);
    let goes_on_well = name.bytes().all(|b| letter(b) || b.is_ascii_digit());
    if begins_well && goes_on_well && name.len() <= TableName::MAX_LEN {
        return Ok(name.into());
    }
    Err(ConfigError::new(
        setting,
        "must have 1 to 50 letters, digits and underscores, and not begin with a digit",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_identifier_and_nothing_else() {
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
