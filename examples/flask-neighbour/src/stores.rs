//! Opens the store that the environment names.

use std::sync::Arc;

use session_actix::session_core::{
    Error, ExpiredSweep, SessionStore,
    config::{ConfigError, Env},
};
use session_fs::CachelibStore;
use session_memcached::MemcachedStore;
use session_mongo::MongoStore;
use session_redis::RedisStore;

use crate::environment::Environment;

/// What `STORE` may be.
pub(crate) const ALL: &str = "redis, memcached, cachelib, sqlalchemy, mongodb";

/// A store that Flask-Session can share, and how expired sessions leave it.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn SessionStore>,
    /// Where they must be removed.
    pub(crate) swept: Option<Arc<dyn ExpiredSweep>>,
}

pub(crate) async fn open(environment: &Environment) -> Result<Opened, ConfigError> {
    let url = |default| environment.url.as_deref().unwrap_or(default);
    Ok(match environment.store.as_str() {
        "redis" => unswept(RedisStore::connect(url("redis://localhost:6379"))?),
        "memcached" => unswept(MemcachedStore::connect(url("127.0.0.1:11211"))?),
        "cachelib" => {
            let store = CachelibStore::new(url("flask_session"));
            store.check()?;
            swept(store)
        }
        "sqlalchemy" => {
            let Some(url) = &environment.url else {
                return Err(ConfigError::new(
                    "URL",
                    "must be set: a SQLAlchemy URL such as sqlite:////tmp/sessions.db",
                ));
            };
            let mut settings = vec![("SESSION_SQL", of_sqlalchemy(url))];
            settings.extend(
                environment
                    .table
                    .clone()
                    .map(|it| ("SESSION_SQL_TABLE", it)),
            );
            let store = session_sql::from_env(&settings.into_iter().collect::<Env>())?;
            let store = store.with_flask_layout();
            warn_of(store.migrate().await, "its table");
            Opened {
                swept: Some(store.clone()),
                store,
            }
        }
        "mongodb" => {
            let store = MongoStore::connect(url("mongodb://localhost:27017")).await?;
            let store = store.with_flask_layout();
            warn_of(store.ensure_indexes().await, "its indexes");
            unswept(store)
        }
        _ => return Err(ConfigError::new("STORE", format!("must be one of {ALL}"))),
    })
}

/// SQLAlchemy counts the slashes of a file's path in its own way, which a driver in the scheme
/// tells, and makes the file.
fn of_sqlalchemy(url: &str) -> String {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.contains('?') => format!("sqlite+pysqlite:{path}?mode=rwc"),
        Some(path) => format!("sqlite+pysqlite:{path}"),
        None => url.to_owned(),
    }
}

/// The application starts all the same, and serves what needs no session.
fn warn_of(prepared: Result<(), Error>, what: &str) {
    if let Err(error) = prepared {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the store lacks {what} for now");
    }
}

fn unswept(store: impl SessionStore) -> Opened {
    Opened {
        store: Arc::new(store),
        swept: None,
    }
}

fn swept(store: impl ExpiredSweep) -> Opened {
    let store = Arc::new(store);
    Opened {
        swept: Some(store.clone()),
        store,
    }
}
