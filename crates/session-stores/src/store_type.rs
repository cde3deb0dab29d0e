//! The values of `SESSION_TYPE`: the Cargo feature of each, and the settings that belong to it.

use std::path::PathBuf;

use session_core::config::{ConfigError, Env};

pub(crate) const SETTING: &str = "SESSION_TYPE";

/// A store that `SESSION_TYPE` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreType {
    /// Files, one for each session.
    Filesystem,
    /// Redis or Valkey.
    Redis,
    /// memcached.
    Memcached,
    /// `MongoDB`.
    MongoDb,
    /// A table of `SQLite`, `PostgreSQL`, `MySQL` or `MariaDB`.
    Sql,
    /// Files as cachelib writes them, to share with Flask.
    Cachelib,
    /// This process's memory.
    Memory,
}

struct Row {
    store_type: StoreType,
    /// Its name, and the one that Flask-Session has for it if that is another.
    names: &'static [&'static str],
    /// The Cargo features to enable, as the end of a sentence. Memory needs none.
    features: &'static str,
    /// How the names of its own settings begin.
    settings: Option<&'static str>,
}

const TABLE: &[Row] = &[
    Row {
        store_type: StoreType::Filesystem,
        names: &["filesystem"],
        features: "\"filesystem\"",
        settings: Some("SESSION_FILE_"),
    },
    Row {
        store_type: StoreType::Redis,
        names: &["redis"],
        features: "\"redis\"",
        settings: Some("SESSION_REDIS"),
    },
    Row {
        store_type: StoreType::Memcached,
        names: &["memcached"],
        features: "\"memcached\"",
        settings: Some("SESSION_MEMCACHED"),
    },
    Row {
        store_type: StoreType::MongoDb,
        names: &["mongodb"],
        features: "\"mongodb\"",
        settings: Some("SESSION_MONGODB"),
    },
    Row {
        store_type: StoreType::Sql,
        names: &["sql", "sqlalchemy"],
        features: "\"sqlite\", \"postgres\" or \"mysql\"",
        settings: Some("SESSION_SQL"),
    },
    Row {
        store_type: StoreType::Cachelib,
        names: &["cachelib"],
        features: "\"filesystem\" and \"flask\"",
        settings: Some("SESSION_CACHELIB"),
    },
    Row {
        store_type: StoreType::Memory,
        names: &["memory"],
        features: "",
        settings: None,
    },
];

impl StoreType {
    /// The store that `SESSION_TYPE` names, compiled in or not.
    ///
    /// # Errors
    ///
    /// If it is unset or names no store. The message lists the names.
    pub fn of(env: &Env) -> Result<Self, ConfigError> {
        let Some(name) = env.get(SETTING) else {
            return Err(Self::unset(None));
        };
        let row = TABLE.iter().find(|row| row.names.contains(&name));
        row.map(|row| row.store_type)
            .ok_or_else(|| ConfigError::new(SETTING, unknown(name)))
    }

    /// The directory or the file of `SQLite` that [`open`](Self::open) creates if it is not there, by
    /// the settings in `env`.
    #[cfg_attr(
        not(any(feature = "filesystem", feature = "sqlite")),
        expect(unused_variables, reason = "no such store is compiled in")
    )]
    pub fn local_path(self, env: &Env) -> Option<PathBuf> {
        match self {
            #[cfg(feature = "filesystem")]
            Self::Filesystem => {
                let directory = env.get("SESSION_FILE_DIR");
                let directory = directory.unwrap_or(session_fs::FileStore::DEFAULT_DIRECTORY);
                Some(directory.into())
            }
            #[cfg(feature = "sqlite")]
            Self::Sql => session_sql::sqlite_file(env),
            _ => None,
        }
    }

    /// Whether `SESSION_TYPE` is set.
    pub fn is_set(env: &Env) -> bool {
        env.get(SETTING).is_some()
    }

    /// The error of an environment that names no store, and what else is wrong with it.
    pub fn unset(also: Option<ConfigError>) -> ConfigError {
        let also = also.map(|error| format!("; and {error}"));
        let also = also.unwrap_or_default();
        ConfigError::new(SETTING, format!("is needed: {}{also}", known()))
    }

    /// Its name, as `SESSION_TYPE` has it. `sqlalchemy` is `sql` here.
    pub fn name(self) -> &'static str {
        self.row().names[0]
    }

    /// The error of a store whose Cargo feature is not enabled.
    pub(crate) fn not_compiled_in(self) -> ConfigError {
        ConfigError::new(
            SETTING,
            format!(
                "is {}, but this store is not compiled in: enable the Cargo feature {}",
                self.name(),
                self.row().features
            ),
        )
    }

    /// Warns about each setting that is for another store.
    pub fn warn_of_others_settings(self, env: &Env) {
        for (name, other) in self.others_settings(env) {
            tracing::warn!(
                "{name} is for SESSION_TYPE={other} and is ignored, because SESSION_TYPE is {}",
                self.name()
            );
        }
    }

    /// Each setting in `env` that is for another store, and the name of that store.
    fn others_settings(self, env: &Env) -> Vec<(&str, &'static str)> {
        let set = env.names().filter(|name| env.get(name).is_some());
        let of = |name: &str| {
            let mut rows = TABLE.iter();
            rows.find(|row| row.settings.is_some_and(|start| name.starts_with(start)))
        };
        set.filter_map(|name| Some((name, of(name)?)))
            .filter(|(_, row)| row.store_type != self)
            .map(|(name, row)| (name, row.names[0]))
            .collect()
    }

    fn row(self) -> &'static Row {
        let mut rows = TABLE.iter();
        rows.find(|row| row.store_type == self)
            .expect("each store has a row")
    }
}

/// Why `name` is no store. The databases of one store have Cargo features of their own, so their names
/// are easily taken for types.
fn unknown(name: &str) -> String {
    match name {
        "sqlite" | "postgres" | "postgresql" | "mysql" | "mariadb" => {
            format!("must be sql for {name}, with its URL in SESSION_SQL")
        }
        _ => format!("must be {}", known()),
    }
}

/// Every name, as the end of a sentence.
fn known() -> String {
    let names: Vec<_> = TABLE.iter().flat_map(|row| row.names).copied().collect();
    format!("one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Result<StoreType, ConfigError> {
        StoreType::of(&Env::from_iter([("SESSION_TYPE", name)]))
    }

    #[test]
    fn every_type_of_flask_session_that_is_here_has_its_name() {
        for name in ["redis", "memcached", "filesystem", "mongodb", "cachelib"] {
            assert_eq!(of(name).unwrap().name(), name);
        }
        assert_eq!(of("sqlalchemy").unwrap().name(), "sql");
    }

    #[test]
    fn an_unknown_type_lists_those_that_are_known() {
        let error = of("cassandra").unwrap_err().to_string();
        let expected = "SESSION_TYPE must be one of filesystem, redis, memcached, mongodb, sql, \
                        sqlalchemy, cachelib, memory";
        assert_eq!(error, expected);
        let unset = of("").unwrap_err().to_string();
        assert_eq!(unset, expected.replace("must be", "is needed:"));
        let also = StoreType::unset(Some(ConfigError::new("SECRET_KEY", "is needed")));
        assert_eq!(
            also.to_string(),
            format!("{unset}; and SECRET_KEY is needed")
        );
    }

    #[test]
    fn the_name_of_a_database_leads_to_the_type_sql() {
        for name in ["sqlite", "postgres", "mysql"] {
            let error = of(name).unwrap_err().to_string();
            let expected =
                format!("SESSION_TYPE must be sql for {name}, with its URL in SESSION_SQL");
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn a_type_that_is_not_compiled_in_names_its_feature() {
        for (name, features) in [
            ("filesystem", "\"filesystem\""),
            ("redis", "\"redis\""),
            ("memcached", "\"memcached\""),
            ("mongodb", "\"mongodb\""),
            ("sqlalchemy", "\"sqlite\", \"postgres\" or \"mysql\""),
            ("cachelib", "\"filesystem\" and \"flask\""),
        ] {
            let error = of(name).unwrap().not_compiled_in().to_string();
            let advice = format!("enable the Cargo feature {features}");
            assert!(
                error.starts_with("SESSION_TYPE is ") && error.ends_with(&advice),
                "{error}"
            );
        }
    }

    #[test]
    fn settings_of_other_stores_are_found_and_empty_ones_are_not_set() {
        let env = Env::from_iter([
            ("SESSION_FILE_DIR", "sessions"),
            ("SESSION_KEY_PREFIX", "myapp:"),
            ("SESSION_MEMCACHED", ""),
            ("SESSION_MONGODB_COLLECT", "s"),
            ("SESSION_REDIS", "redis://127.0.0.1"),
            ("SESSION_SQLALCHEMY_TABLE", "s"),
        ]);
        let found = StoreType::Filesystem.others_settings(&env);
        let expected = [
            ("SESSION_MONGODB_COLLECT", "mongodb"),
            ("SESSION_REDIS", "redis"),
            ("SESSION_SQLALCHEMY_TABLE", "sql"),
        ];
        assert_eq!(found, expected);
        assert_eq!(StoreType::Memory.others_settings(&env).len(), 4);
    }
}
