//! Stores from a URL or from the `SESSION_SQL*` settings.

use std::{borrow::Cow, sync::Arc};

use session_core::config::{ConfigError, Env};

use crate::{
    connection::Connections,
    dialect::Dialect,
    migrate::SqlSessions,
    sqlalchemy_url::{of_sqlalchemy, sqlite_mode, without_driver},
    store::SqlStore,
    table_name::TableName,
};

const URL: &str = "SESSION_SQL";
const SQLALCHEMY_URL: &str = "SESSION_SQLALCHEMY";
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

/// Whether the driver can use TLS: ours, or one that the application says it has enabled.
const HAS_TLS: bool = cfg!(any(feature = "tls", feature = "any-tls"));

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
    /// If the URL is one of another database, asks for TLS without the feature `tls` or `any-tls`, or
    /// cannot be parsed.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        Self::of(&Address::given(url))
    }

    fn of(address: &Address<'_>) -> Result<Self, ConfigError> {
        let Address { setting, url } = address;
        if !D::URL_SCHEMES.contains(&scheme(url)) {
            return Err(unknown_scheme(setting, D::URL_SCHEMES));
        }
        let pool = D::pool(url).map_err(|error| {
            ConfigError::new(*setting, format!("is not a valid database URL: {error}"))
        })?;
        if D::needs_tls(&pool.connect_options()) && !HAS_TLS {
            return Err(ConfigError::new(
                *setting,
                "asks for TLS by its sslmode, but TLS is not compiled in: enable the Cargo feature \
                 \"tls\"",
            ));
        }
        Ok(Self::on(Connections::own(pool)))
    }

    /// The store of the settings `SESSION_SQL`, `SESSION_SQL_TABLE` and `SESSION_SQL_SCHEMA`.
    ///
    /// `SESSION_SQLALCHEMY_TABLE` and `SESSION_SQLALCHEMY_SCHEMA` are aliases of the last two.
    /// `SESSION_SQLALCHEMY` is a URL as `SQLAlchemy` reads it, used if `SESSION_SQL` is unset: three
    /// slashes begin a relative path of `SQLite`, four an absolute one, and the file is created.
    ///
    /// # Errors
    ///
    /// If the value of a setting is not valid. The message names the setting.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Ok(Self::of(&Address::from_env(env))?.with_table(table(env)?))
    }
}

/// The store at `url`. Its scheme selects the database; see [`SqlStore::connect`].
///
/// # Errors
///
/// If the driver of the database, or TLS that the URL asks for, is not compiled in, in which case the
/// message names the Cargo feature to enable, or if the URL cannot be parsed.
pub fn connect(url: &str) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    open(&Address::given(url), &TableName::default())
}

/// The store of the settings in `env`; see [`SqlStore::from_env`]. `SESSION_SQL` defaults to
/// [`DEFAULT_URL`].
///
/// # Errors
///
/// If the driver of the database or TLS is not compiled in, or the value of a setting is not valid.
pub fn from_env(env: &Env) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    open(&Address::from_env(env), &table(env)?)
}

/// The file of `SQLite` that the settings in `env` name, whether it is there or not. `None` if they
/// name another database, or one in memory.
#[cfg(feature = "sqlite")]
pub fn sqlite_file(env: &Env) -> Option<std::path::PathBuf> {
    let Address { url, .. } = Address::from_env(env);
    if feature(&url) != Some("sqlite") || sqlite_mode(&url) == Some("memory") {
        return None;
    }
    let options: sqlx::sqlite::SqliteConnectOptions = url.parse().ok()?;
    Some(options.get_filename().to_owned())
}

/// A URL that the drivers read, and the setting that errors about it name.
struct Address<'a> {
    setting: &'static str,
    url: Cow<'a, str>,
}

impl<'a> Address<'a> {
    fn given(url: &'a str) -> Self {
        let (setting, url) = (URL, without_driver(url));
        Self { setting, url }
    }

    fn from_env(env: &'a Env) -> Self {
        match (env.get(URL), env.get(SQLALCHEMY_URL)) {
            (None, Some(url)) => Self {
                setting: SQLALCHEMY_URL,
                url: of_sqlalchemy(url).into(),
            },
            (url, _) => Self::given(url.unwrap_or(DEFAULT_URL)),
        }
    }
}

fn open(address: &Address<'_>, table: &TableName) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    match feature(&address.url) {
        #[cfg(feature = "sqlite")]
        Some("sqlite") => open_as::<sqlx::Sqlite>(address, table),
        #[cfg(feature = "postgres")]
        Some("postgres") => open_as::<sqlx::Postgres>(address, table),
        #[cfg(feature = "mysql")]
        Some("mysql") => open_as::<sqlx::MySql>(address, table),
        Some(feature) => Err(not_compiled_in(address, feature)),
        None => {
            let compiled = DATABASES.iter().filter(|(_, compiled, _)| *compiled);
            let schemes: Vec<_> = compiled.flat_map(|it| it.2).copied().collect();
            Err(unknown_scheme(address.setting, &schemes))
        }
    }
}

fn open_as<D: Dialect>(
    address: &Address<'_>,
    table: &TableName,
) -> Result<Arc<dyn SqlSessions>, ConfigError> {
    let store = SqlStore::<D>::of(address)?;
    Ok(Arc::new(store.with_table(table.clone())))
}

fn table(env: &Env) -> Result<TableName, ConfigError> {
    let table = match env.first(&TABLE) {
        Some((setting, table)) => TableName::of_setting(setting, table)?,
        None => TableName::default(),
    };
    match env.first(&SCHEMA) {
        Some((setting, schema)) => table.in_schema_of_setting(setting, schema),
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

fn not_compiled_in(address: &Address<'_>, feature: &str) -> ConfigError {
    let scheme = scheme(&address.url);
    ConfigError::new(
        address.setting,
        format!(
            "begins with {scheme}:, but the driver for it is not compiled in: \
             enable the Cargo feature \"{feature}\""
        ),
    )
}

/// The message does not repeat the URL, which may hold a password.
fn unknown_scheme(setting: &'static str, known: &[&str]) -> ConfigError {
    if known.is_empty() {
        return ConfigError::new(
            setting,
            "cannot be used, because no driver is compiled in: enable the Cargo feature \"sqlite\", \
             \"postgres\" or \"mysql\"",
        );
    }
    let schemes = known.join(":, ");
    ConfigError::new(setting, format!("must begin with one of {schemes}:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_cannot_be_used_is_reported_under_the_name_that_was_set() {
        for name in TABLE.into_iter().chain(SCHEMA) {
            let error = table(&Env::from_iter([(name, "a;b")])).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("{name} must ")),
                "{error}"
            );
        }
    }

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
            let error = not_compiled_in(&Address::given(url), feature).to_string();
            let advice = format!("enable the Cargo feature \"{feature}\"");
            assert!(error.contains(&advice), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    /// `cargo test -p session-sql --lib` does not enable the feature.
    #[tokio::test]
    async fn a_url_that_asks_for_tls_which_is_not_compiled_in_names_the_feature() {
        for url in [
            "postgres://ada:hunter2@h/d?sslmode=require",
            "postgresql+psycopg2://ada:hunter2@h/d?sslmode=verify-full",
            "mysql://ada:hunter2@h/d?ssl-mode=REQUIRED",
            "mysql://ada:hunter2@h/d?ssl-mode=VERIFY_CA",
        ] {
            let error = connect(url).err().map(|error| error.to_string());
            if HAS_TLS {
                assert_eq!(error, None, "{url}");
                continue;
            }
            let error = error.unwrap();
            assert!(error.starts_with("SESSION_SQL asks for TLS"), "{error}");
            assert!(
                error.ends_with("enable the Cargo feature \"tls\""),
                "{error}"
            );
        }
        for url in [
            "postgres://h/d?sslmode=prefer",
            "mysql://h/d",
            "sqlite::memory:",
        ] {
            assert!(connect(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_url_of_an_unknown_database_names_the_known_schemes() {
        assert!(feature("redis://h").is_none() && feature("hunter2").is_none());
        let error = unknown_scheme(URL, &["mysql", "mariadb"]).to_string();
        assert_eq!(error, "SESSION_SQL must begin with one of mysql:, mariadb:");
        let error = unknown_scheme(URL, &[]).to_string();
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
