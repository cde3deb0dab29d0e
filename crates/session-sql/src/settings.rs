//! Stores from a URL or from the `SESSION_SQL*` settings.

use std::sync::Arc;

use session_core::config::{ConfigError, Env};

use crate::{
    connection::Connections, dialect::Dialect, migrate::SqlSessions,
    sqlalchemy_url::without_driver, store::SqlStore, table_name::TableName,
};

const URL: &str = "SESSION_SQL";
const TABLE: [&str; 2] = ["SESSION_SQL_TABLE", "SESSION_SQLALCHEMY_TABLE"];
const SCHEMA: [&str; 2] = ["SESSION_SQL_SCHEMA", "SESSION_SQLALCHEMY_SCHEMA"];

/// The databases: the feature of this crate that compiles the driver, whether it is enabled, and
/// the schemes of URLs.
const DATABASES: [(&str, bool, &[&str]); 3] = [
    ("sqlite", cfg!(feature = "sqlite"), &["sqlite"]),
    (
        "postgres",
        cfg!(feature = "postgres"),
        &["postgres", "postgresql"],
    ),
    ("mysql", cfg!(feature = "mysql"), &["mysql", "mariadb"]),
];

/// The URL that [`from_env`] uses unless `SESSION_SQL` is set.
pub const DEFAULT_URL: &str = "sqlite://demo-sessions.db?mode=rwc";

impl<D: Dialect> SqlStore<D> {
    /// Sessions in the database at `url`, with a pool of the store's own. Does no I/O: the first
    /// call connects.
    ///
    /// The pool makes a request wait for about a second at most. The server ends a statement after
    /// two seconds. A limit that the URL sets is kept. A Python driver in the scheme, as in
    /// `SQLAlchemy`'s `postgresql+psycopg2://`, is ignored.
    ///
    /// # Errors
    ///
    /// If the URL is one of another database, or cannot be parsed.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        let url = without_driver(url);
        if !D::URL_SCHEMES.contains(&scheme(&url)) {
            return Err(unknown_scheme(D::URL_SCHEMES));
        }
        D::pool(&url)
            .map(|pool| Self::on(Connections::own(pool)))
            .map_err(|error| ConfigError::new(URL, format!("is not a valid database URL: {error}")))
    }

    /// The store of the settings `SESSION_SQL`, `SESSION_SQL_TABLE` and `SESSION_SQL_SCHEMA`.
    ///
    /// `SESSION_SQLALCHEMY_TABLE` and `SESSION_SQLALCHEMY_SCHEMA` are aliases of the last two.
    ///
    /// # Errors
    ///
    /// If the value of a setting is not valid. The message names the setting.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let url = env.get(URL).unwrap_or(DEFAULT_URL);
        Ok(Self::connect(url)?.with_table(table(env)?))
    }
}

/// The store at `url`. Its scheme selects the database; see [`SqlStore::connect`].
///
/// # Errors
///
/// If the driver of the database is not compiled in, in which case the message names the Cargo
/// feature to enable, or if the URL cannot be parsed.
pub fn connect(url: &str) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    open(url, &TableName::default())
}

/// The store of the settings in `env`; see [`SqlStore::from_env`]. `SESSION_SQL` defaults to
/// [`DEFAULT_URL`].
///
/// # Errors
///
/// If the driver of the database is not compiled in, or the value of a setting is not valid.
pub fn from_env(env: &Env) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    open(env.get(URL).unwrap_or(DEFAULT_URL), &table(env)?)
}

fn open(url: &str, table: &TableName) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    let url = &*without_driver(url);
    match feature(url) {
        #[cfg(feature = "sqlite")]
        Some("sqlite") => open_as::<sqlx::Sqlite>(url, table),
        #[cfg(feature = "postgres")]
        Some("postgres") => open_as::<sqlx::Postgres>(url, table),
        #[cfg(feature = "mysql")]
        Some("mysql") => open_as::<sqlx::MySql>(url, table),
        Some(feature) => Err(not_compiled_in(url, feature)),
        None => {
            let compiled = DATABASES.iter().filter(|(_, compiled, _)| *compiled);
            let schemes: Vec<_> = compiled.flat_map(|it| it.2).copied().collect();
            Err(unknown_scheme(&schemes))
        }
    }
}

fn open_as<D: Dialect>(url: &str, table: &TableName) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    let store = SqlStore::<D>::connect(url)?;
    Ok(Arc::new(store.with_table(table.clone())))
}

fn table(env: &Env) -> Result<TableName, ConfigError> {
    let table = match env.first(&TABLE) {
        Some(name) => TableName::new(name)?,
        None => TableName::default(),
    };
    match env.first(&SCHEMA) {
        Some(schema) => table.in_schema(schema),
        None => Ok(table),
    }
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

/// The feature that compiles the driver of the URL's database.
fn feature(url: &str) -> Option<&'static str> {
    let known = DATABASES.iter().find(|it| it.2.contains(&scheme(url)));
    known.map(|(feature, ..)| *feature)
}

fn not_compiled_in(url: &str, feature: &str) -> ConfigError {
    let scheme = scheme(url);
    ConfigError::new(
        URL,
        format!(
            "begins with {scheme}:, but the driver for it is not compiled in: \
             enable the feature \"{feature}\" of session-sql in Cargo.toml"
        ),
    )
}

/// The message does not repeat the URL, which may hold a password.
fn unknown_scheme(known: &[&str]) -> ConfigError {
    if known.is_empty() {
        return ConfigError::new(
            URL,
            "cannot be used, because no driver is compiled in: enable the feature \"sqlite\", \
             \"postgres\" or \"mysql\" of session-sql in Cargo.toml",
        );
    }
    let schemes = known.join(":, ");
    ConfigError::new(URL, format!("must begin with one of {schemes}:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_whose_driver_is_not_compiled_in_names_the_feature() {
        for (url, feature) in [
            ("sqlite::memory:", "sqlite"),
            ("postgres://ada:hunter2@h/d", "postgres"),
            ("postgresql://ada:hunter2@h/d", "postgres"),
            ("mysql://ada:hunter2@h/d", "mysql"),
            ("mariadb://ada:hunter2@h/d", "mysql"),
        ] {
            assert_eq!(super::feature(url), Some(feature), "{url}");
            let error = not_compiled_in(url, feature).to_string();
            let advice = format!("enable the feature \"{feature}\" of session-sql");
            assert!(error.contains(&advice), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_url_of_an_unknown_database_names_the_known_schemes() {
        assert!(feature("redis://h").is_none() && feature("hunter2").is_none());
        let error = unknown_scheme(&["mysql", "mariadb"]).to_string();
        assert_eq!(error, "SESSION_SQL must begin with one of mysql:, mariadb:");
        let error = unknown_scheme(&[]).to_string();
        assert!(
            error.contains("\"sqlite\", \"postgres\" or \"mysql\""),
            "{error}"
        );
    }

    #[test]
    fn the_features_have_the_schemes_of_the_drivers() {
        fn check<D: Dialect>(feature: &str) {
            let known = (feature, true, D::URL_SCHEMES);
            assert!(DATABASES.contains(&known), "{feature}");
        }
        check::<sqlx::Sqlite>("sqlite");
        check::<sqlx::Postgres>("postgres");
        check::<sqlx::MySql>("mysql");
    }
}
