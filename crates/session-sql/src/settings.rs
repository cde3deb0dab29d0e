use std::sync::Arc;

use session_core::config::{ConfigError, Env};

use crate::{
    dialect::Dialect, migrate::SqlSessions, store::SqlStore, table::TableName, url::without_driver,
};

const URL: &str = "SESSION_SQL";
const TABLE: [&str; 2] = ["SESSION_SQL_TABLE", "SESSION_SQLALCHEMY_TABLE"];
const SCHEMA: [&str; 2] = ["SESSION_SQL_SCHEMA", "SESSION_SQLALCHEMY_SCHEMA"];

/// The databases: the feature of this crate that compiles in the driver, whether it is on, and the schemes of URLs.
const DATABASES: [(&str, bool, &[&str]); 3] = [
    ("sqlite", cfg!(feature = "sqlite"), &["sqlite"]),
    (
        "postgres",
        cfg!(feature = "postgres"),
        &["postgres", "postgresql"],
    ),
    ("mysql", cfg!(feature = "mysql"), &["mysql", "mariadb"]),
];

/// What [`from_env`] takes unless `SESSION_SQL` is set.
pub const DEFAULT_URL: &str = "sqlite://demo-sessions.db?mode=rwc";

impl<D: Dialect> SqlStore<D> {
    /// Sessions in the database at `url`, through a pool of the store's own. No I/O: the first use connects.
    ///
    /// The pool is set up so that a request never waits for longer than about a second, and the server ends what a
    /// request no longer waits for within two; a limit that the URL sets itself stays. A driver that `SQLAlchemy` is told
    /// in the scheme, as in `postgresql+psycopg2://`, is passed over.
    ///
    /// # Errors
    ///
    /// If the URL is of another database or cannot be read.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        let url = without_driver(url);
        if !D::URL_SCHEMES.contains(&scheme(&url)) {
            return Err(unknown_scheme(D::URL_SCHEMES));
        }
        D::pool(&url).map(Self::new).map_err(|error| {
            ConfigError::new(URL, format!("cannot be read as a database URL: {error}"))
        })
    }

    /// The store that `SESSION_SQL`, `SESSION_SQL_TABLE` and `SESSION_SQL_SCHEMA` describe.
    ///
    /// `SESSION_SQLALCHEMY_TABLE` and `SESSION_SQLALCHEMY_SCHEMA` are aliases.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self::connect(url(env))?.with_table(table(env)?))
    }
}

/// The store at `url`, whose scheme says which database it is; see [`SqlStore::connect`].
///
/// # Errors
///
/// If the scheme is not of a database that this crate was compiled for, in which case the message names the Cargo
/// feature to switch on, or the URL cannot be read.
pub fn connect(url: &str) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    open(url, &TableName::default())
}

/// The store that the environment describes; see [`SqlStore::from_env`]. `SESSION_SQL` defaults to [`DEFAULT_URL`].
///
/// # Errors
///
/// If the scheme is not of a database that this crate was compiled for, or a setting cannot be used.
pub fn from_env(env: &Env) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    open(url(env), &table(env)?)
}

// Without a database compiled in there is none to open.
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "mysql")),
    expect(unused_variables)
)]
fn open(url: &str, table: &TableName) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    let url = &*without_driver(url);
    match feature(url) {
        #[cfg(feature = "sqlite")]
        Some("sqlite") => open_as::<sqlx::Sqlite>(url, table),
        #[cfg(feature = "postgres")]
        Some("postgres") => open_as::<sqlx::Postgres>(url, table),
        #[cfg(feature = "mysql")]
        Some("mysql") => open_as::<sqlx::MySql>(url, table),
        Some(feature) => Err(uncompiled(url, feature)),
        None => {
            let compiled = DATABASES.iter().filter(|(_, compiled, _)| *compiled);
            let schemes: Vec<_> = compiled.flat_map(|it| it.2).copied().collect();
            Err(unknown_scheme(&schemes))
        }
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn open_as<D: Dialect>(url: &str, table: &TableName) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    let store = SqlStore::<D>::connect(url)?;
    Ok(Arc::new(store.with_table(table.clone())))
}

fn url(env: &Env) -> &str {
    env.get(URL).unwrap_or(DEFAULT_URL)
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

/// The feature that compiles in the driver for the URL's database.
fn feature(url: &str) -> Option<&'static str> {
    let known = DATABASES.iter().find(|it| it.2.contains(&scheme(url)));
    known.map(|(feature, ..)| *feature)
}

fn uncompiled(url: &str, feature: &str) -> ConfigError {
    let scheme = scheme(url);
    ConfigError::new(
        URL,
        format!(
            "begins with {scheme}:, and the driver for that is not compiled in: \
             switch on the feature \"{feature}\" of session-sql in Cargo.toml"
        ),
    )
}

/// Does not repeat the URL, which may hold a password.
fn unknown_scheme(known: &[&str]) -> ConfigError {
    if known.is_empty() {
        return ConfigError::new(
            URL,
            "cannot be used, because no driver is compiled in: switch on the feature \"sqlite\", \"postgres\" or \
             \"mysql\" of session-sql in Cargo.toml",
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
            let error = uncompiled(url, feature).to_string();
            let advice = format!("switch on the feature \"{feature}\" of session-sql");
            assert!(error.contains(&advice), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_url_of_no_database_names_what_there_is() {
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
    fn the_features_know_the_schemes_that_the_drivers_do() {
        fn knows<D: Dialect>(feature: &str) {
            let known = (feature, true, D::URL_SCHEMES);
            assert!(DATABASES.contains(&known), "{feature}");
        }
        knows::<sqlx::Sqlite>("sqlite");
        knows::<sqlx::Postgres>("postgres");
        knows::<sqlx::MySql>("mysql");
    }
}
