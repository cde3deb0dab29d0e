//! Reads environment variables by name and type.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::ConfigError;

/// A snapshot of environment variables, read by name and type.
///
/// An empty value counts as unset. The exception is `SESSION_KEY_PREFIX`, where Flask uses an empty
/// prefix. `Debug` does not show values, because some are secrets.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The variables of this process. Variables that are not UTF-8 are omitted.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The same variables, and `value` for `name` if that is unset or empty.
    #[must_use]
    pub fn or(mut self, name: &str, value: &str) -> Self {
        if self.get(name).is_none() {
            self.0.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    /// The value of `name`, unless it is unset or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of `name`, unless it is unset.
    pub(super) fn allowing_empty(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value under the first of `names` that is set: a name and its aliases.
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// The value of `name` as a `T`.
    ///
    /// # Errors
    ///
    /// If it is set and is not a `T`. `expected` says what it must be, such as
    /// `a whole number of seconds`.
    pub fn parse<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, ConfigError> {
        self.get(name)
            .map(|value| {
                value
                    .trim()
                    .parse()
                    .map_err(|_| ConfigError::new(name, format!("must be {expected}")))
            })
            .transpose()
    }

    /// The value of `name` as a truth value: `true`, `1`, `yes`, `on`, or `false`, `0`, `no`,
    /// `off`.
    ///
    /// # Errors
    ///
    /// If it is set and is none of these.
    pub fn bool(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        self.get(name)
            .map(|value| match value.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(ConfigError::new(name, "must be true or false")),
            })
            .transpose()
    }

    /// The names that are set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
