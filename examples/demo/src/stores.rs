use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use session_actix::session_core::{
    ExpiredSweep, MemoryStore, OwnerIndex, Result, SessionStore,
    config::{ConfigError, Env},
};
use session_fs::FileStore;
use session_memcached::MemcachedStore;
use session_mongo::MongoStore;
use session_redis::RedisStore;

/// What `SESSION_TYPE` may be.
pub(crate) const TYPES: &str = "filesystem|redis|memcached|mongodb|sql|memory";

type Step = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<()>>>>>;

/// A store, and what it can do.
pub(crate) struct Opened {
    pub(crate) name: &'static str,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) swept: Option<Arc<dyn ExpiredSweep>>,
    /// What makes its table or its indexes.
    preparation: Option<Step>,
}

/// The store that the environment names.
pub(crate) async fn open(env: &Env) -> Result<Opened, ConfigError> {
    Ok(match env.get("SESSION_TYPE").unwrap_or("filesystem") {
        "filesystem" => embedded("filesystem", FileStore::from_env(env)?),
        "memory" => embedded("memory", MemoryStore::new()),
        "redis" => {
            let store = Arc::new(RedisStore::from_env(env)?);
            Opened {
                name: "redis",
                store,
                swept: None,
                preparation: None,
            }
        }
        "memcached" => {
            let store = Arc::new(MemcachedStore::from_env(env)?);
            Opened {
                name: "memcached",
                store,
                swept: None,
                preparation: None,
            }
        }
        "mongodb" => {
            let store = Arc::new(MongoStore::from_env(env).await?);
            let indexed = store.clone();
            let preparation: Step = Box::new(move || {
                let store = indexed.clone();
                Box::pin(async move { store.ensure_indexes().await })
            });
            Opened {
                name: "mongodb",
                store,
                swept: None,
                preparation: Some(preparation),
            }
        }
        "sql" | "sqlalchemy" => {
            let store = session_sql::from_env(env)?;
            let migrated = store.clone();
            let preparation: Step = Box::new(move || {
                let store = migrated.clone();
                Box::pin(async move { store.migrate().await })
            });
            Opened {
                name: "sql",
                swept: Some(store.clone()),
                store,
                preparation: Some(preparation),
            }
        }
        _ => {
            return Err(ConfigError::new(
                "SESSION_TYPE",
                format!("must be one of {TYPES}"),
            ));
        }
    })
}

fn embedded<S: OwnerIndex + ExpiredSweep>(name: &'static str, store: S) -> Opened {
    let store = Arc::new(store);
    Opened {
        name,
        swept: Some(store.clone()),
        store,
        preparation: None,
    }
}

impl Opened {
    /// Makes the store's table or indexes; while the store is down it tries again, and the demo
    /// serves meanwhile.
    pub(crate) async fn prepare(&mut self) {
        let Some(preparation) = self.preparation.take() else {
            return;
        };
        if let Err(error) = preparation().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the store is not prepared yet"
            );
            actix_web::rt::spawn(async move {
                while preparation().await.is_err() {
                    actix_web::rt::time::sleep(Duration::from_secs(1)).await;
                }
            });
        }
    }
}
