//! Reads environment variables by name and type.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
    str::FromStr,
};

use super::ConfigError;

/// A snapshot of environment variables, read by name and type.
///
/// An empty value counts as unset. The exception is `SESSION_KEY_PREFIX`, where Flask uses an empty
/// prefix. `Debug` does not show values, because some are secrets.
#[derive(Clone, Default)]
pub struct Env {
    values: BTreeMap<String, String>,
    /// The names of variables whose values are not UTF-8.
    not_text: BTreeSet<String>,
}

impl Env {
    /// The variables of this process. A variable that is not UTF-8 counts as unset;
    /// [`Settings::overlaid`](super::Settings::overlaid) refuses it if it is a setting.
    pub fn of_process() -> Self {
        Self::of_os(std::env::vars_os())
    }

    /// These variables.
    pub(super) fn of_os(pairs: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut env = Self::default();
        for (name, value) in pairs {
            let Ok(name) = name.into_string() else {
                continue;
            };
            if let Ok(value) = value.into_string() {
                env.values.insert(name, value);
            } else {
                env.not_text.insert(name);
            }
        }
        env
    }

    /// Refuses a setting whose value is not text: read as unset, it would lose its effect silently.
    pub(super) fn check_text(&self) -> Result<(), ConfigError> {
        let is_setting = |name: &&String| {
            ["SESSION_", "SECRET_KEY", "PERMANENT_SESSION_LIFETIME"]
                .iter()
                .any(|start| name.starts_with(start))
        };
        match self.not_text.iter().find(is_setting) {
            Some(name) => Err(ConfigError::new(&**name, "must be text in UTF-8")),
            None => Ok(()),
        }
    }

    /// The same variables, and `value` for `name` if that is unset or empty.
    #[must_use]
    pub fn or(mut self, name: &str, value: &str) -> Self {
        if self.get(name).is_none() {
            self.values.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    /// The value of `name`, unless it is unset or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of `name`, unless it is unset.
    pub(super) fn allowing_empty(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The first of `names` that is set, and its value: a name and its aliases.
    pub fn first<'a>(&self, names: &[&'a str]) -> Option<(&'a str, &str)> {
        let mut pairs = names.iter().map(|&name| (name, self.get(name)));
        pairs.find_map(|(name, value)| Some((name, value?)))
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
        self.values.keys().map(String::as_str)
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self {
            values: pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            not_text: BTreeSet::new(),
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}
