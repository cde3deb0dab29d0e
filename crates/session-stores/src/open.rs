//! Opens the store of each `SESSION_TYPE`.

use std::sync::Arc;
#[cfg(any(feature = "redis", feature = "memcached"))]
use std::time::Duration;

use session_core::{
    ExpiredSweep, MemoryStore, SessionStore, Settings,
    config::{ConfigError, Env},
};

use crate::{preparation::Preparation, store_type::StoreType};

/// A store, and what it needs from the application.
#[derive(Debug)]
pub struct OpenStore {
    /// The store itself.
    pub store: Arc<dyn SessionStore>,
    /// Where expired records must be removed.
    pub swept: Option<Arc<dyn ExpiredSweep>>,
    /// What creates its table or its indexes.
    pub preparation: Option<Preparation>,
}

impl StoreType {
    /// Opens the store of this type, as `env` describes it, in the layout that `settings` need.
    ///
    /// Redis, memcached and files need not be there yet, nor need SQL and MongoDB: the first call
    /// connects.
    ///
    /// The drivers of Redis and memcached wait for half of the store time of `settings` for an answer
    /// and, Redis's, as long for a connection; but never less than by default, which is 500 ms.
    ///
    /// # Errors
    ///
    /// If a setting is missing or cannot be used, or if the store is not compiled in. The message says
    /// what to do.
    #[cfg_attr(
        not(any(
            feature = "redis",
            feature = "memcached",
            all(
                feature = "flask",
                any(
                    feature = "mongodb-any-tls",
                    feature = "sqlite",
                    feature = "postgres",
                    feature = "mysql"
                )
            )
        )),
        expect(
            unused_variables,
            reason = "the other stores have one layout and their own limits"
        )
    )]
    #[cfg_attr(
        not(feature = "mongodb-any-tls"),
        expect(clippy::unused_async, reason = "only MongoDB's client waits")
    )]
    pub async fn open(self, settings: &Settings, env: &Env) -> Result<OpenStore, ConfigError> {
        #[cfg_attr(
            all(
                feature = "filesystem",
                feature = "flask",
                feature = "memcached",
                feature = "mongodb-any-tls",
                feature = "redis",
                any(feature = "sqlite", feature = "postgres", feature = "mysql")
            ),
            expect(unreachable_patterns, reason = "each store is compiled in")
        )]
        Ok(match self {
            StoreType::Memory => swept(Arc::new(MemoryStore::new())),
            #[cfg(feature = "filesystem")]
            StoreType::Filesystem => swept(Arc::new(session_fs::FileStore::from_env(env)?)),
            #[cfg(all(feature = "filesystem", feature = "flask"))]
            StoreType::Cachelib => swept(Arc::new(session_fs::CachelibStore::from_env(env)?)),
            #[cfg(feature = "redis")]
            StoreType::Redis => {
                use session_redis::RedisStore;
                let response = call_time(settings, RedisStore::DEFAULT_RESPONSE_TIMEOUT);
                let connect = call_time(settings, RedisStore::DEFAULT_CONNECT_TIMEOUT);
                let store = RedisStore::from_env(env)?;
                unswept(
                    store
                        .with_response_timeout(response)
                        .with_connect_timeout(connect),
                )
            }
            #[cfg(feature = "memcached")]
            StoreType::Memcached => {
                use session_memcached::MemcachedStore;
                let timeout = call_time(settings, MemcachedStore::DEFAULT_TIMEOUT);
                unswept(MemcachedStore::from_env(env)?.with_timeout(timeout))
            }
            #[cfg(feature = "mongodb-any-tls")]
            StoreType::MongoDb => {
                let store = session_mongo::MongoStore::from_env(env).await?;
                #[cfg(feature = "flask")]
                if crate::flask::shares(settings) {
                    let store = store.with_flask_layout();
                    let indexes = Preparation::new(store.clone(), |store| async move {
                        store.ensure_indexes().await
                    });
                    return Ok(unswept(store).prepared_by(indexes));
                }
                let indexes = Preparation::new(store.clone(), |store| async move {
                    store.ensure_indexes().await
                });
                unswept(store).prepared_by(indexes)
            }
            #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
            StoreType::Sql => {
                let store = session_sql::from_env(env)?;
                #[cfg(feature = "flask")]
                if crate::flask::shares(settings) {
                    let store = store.with_flask_layout();
                    let migration =
                        Preparation::new(
                            store.clone(),
                            |store| async move { store.migrate().await },
                        );
                    return Ok(swept(store).prepared_by(migration));
                }
                let migration =
                    Preparation::new(store.clone(), |store| async move { store.migrate().await });
                swept(store).prepared_by(migration)
            }
            other => return Err(other.not_compiled_in()),
        })
    }
}

/// What a driver waits for one step, so that a call which has to connect first can end within the store
/// time. A shorter store time ends the call by itself.
#[cfg(any(feature = "redis", feature = "memcached"))]
fn call_time(settings: &Settings, default: Duration) -> Duration {
    default.max(settings.store_timeout() / 2)
}

fn swept(store: Arc<dyn ExpiredSweep>) -> OpenStore {
    OpenStore {
        swept: Some(store.clone()),
        store,
        preparation: None,
    }
}

#[cfg(any(feature = "redis", feature = "memcached", feature = "mongodb-any-tls"))]
fn unswept(store: impl SessionStore) -> OpenStore {
    OpenStore {
        store: Arc::new(store),
        swept: None,
        preparation: None,
    }
}

#[cfg(any(
    feature = "mongodb-any-tls",
    feature = "sqlite",
    feature = "postgres",
    feature = "mysql"
))]
impl OpenStore {
    fn prepared_by(self, preparation: Preparation) -> Self {
        Self {
            preparation: Some(preparation),
            ..self
        }
    }
}
