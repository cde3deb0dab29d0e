use std::sync::Arc;

use session_actix::session_core::{ExpiredSweep, SessionStore, config::ConfigError};
use session_fs::CachelibStore;
use session_memcached::MemcachedStore;
use session_mongo::MongoStore;
use session_redis::RedisStore;

use crate::environment::Environment;

/// What `STORE` may be.
pub(crate) const ALL: &str = "redis, memcached, cachelib, mongodb";

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
        "memcached" => {
            unswept(MemcachedStore::connect(url("127.0.0.1:11211"))?.with_flask_layout())
        }
        "cachelib" => {
            let store = CachelibStore::new(url("flask_session"));
            store.check()?;
            swept(store)
        }
        "mongodb" => {
            let store = MongoStore::connect(url("mongodb://localhost:27017")).await?;
            let store = store.with_flask_layout();
            if let Err(error) = store.ensure_indexes().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the indexes are not there yet"
                );
            }
            unswept(store)
        }
        _ => return Err(ConfigError::new("STORE", format!("must be one of {ALL}"))),
    })
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
