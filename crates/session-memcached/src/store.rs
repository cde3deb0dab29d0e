use std::{fmt, sync::Arc, time::Duration};

use session_core::{
    Loaded, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait,
    config::{ConfigError, Env},
};

use crate::{
    driver::Condition,
    exptime::exptime,
    failure::Failure,
    links::{Link, Links},
    nodes::{self, Nodes},
};

const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);
const MAX_KEY: usize = 250;

/// Sessions in memcached, on one node or several.
///
/// A clone is another handle on the same sessions and connections. Connections are opened when they are first needed,
/// on the runtime that needs them, and never used on another; every call must be made inside a Tokio runtime.
#[derive(Clone)]
pub struct MemcachedStore {
    shared: Arc<Shared>,
    limit: usize,
}

struct Shared {
    nodes: Nodes,
    timeout: Duration,
    links: Links,
}

impl MemcachedStore {
    /// The largest record unless [`with_limit`](Self::with_limit) says otherwise, in bytes: memcached's item limit of
    /// 1 MiB, less 384 bytes for the key and what memcached keeps beside the record.
    pub const DEFAULT_LIMIT: usize = (1 << 20) - 384;

    /// A store on `nodes`; does no I/O and spawns nothing.
    pub fn new(nodes: Nodes) -> Self {
        Self {
            shared: Arc::new(Shared::new(nodes, DEFAULT_TIMEOUT)),
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// A store on the nodes of a comma-separated list of `host:port`; does no I/O.
    ///
    /// # Errors
    ///
    /// If the list is empty, names a node twice, or holds what is no address.
    pub fn connect(nodes: &str) -> Result<Self, ConfigError> {
        Ok(Self::new(nodes.parse()?))
    }

    /// A store as the environment describes it: `SESSION_MEMCACHED` is a comma-separated list of `host:port`, by
    /// default `127.0.0.1:11211`.
    ///
    /// # Errors
    ///
    /// If the list holds what is no address.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Self::connect(env.get("SESSION_MEMCACHED").unwrap_or("127.0.0.1:11211"))
    }

    /// The longest time that one round trip may take, connecting included; by default 500 ms.
    ///
    /// An answer that comes later is an error, and the connection is closed.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        let nodes = self.shared.nodes.clone();
        Self {
            shared: Arc::new(Shared::new(nodes, timeout)),
            ..self
        }
    }

    /// The largest record in bytes, for nodes started with another `-I`: what that says, less 384.
    ///
    /// Never more than all nodes take: memcached deletes what is stored under a key when a larger value fails.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// The connections of this runtime, and which of them is the key's.
    fn place(&self, key: &StoreKey) -> Result<(Arc<[Link]>, usize), Failure> {
        let text = key.as_str().as_bytes();
        if text.is_empty() || text.len() > MAX_KEY || !text.iter().all(u8::is_ascii_graphic) {
            return Err(Failure::Key);
        }
        let node = self.shared.nodes.route(nodes::hash(text));
        Ok((self.shared.links.here(&self.shared.nodes)?, node))
    }

    async fn set(&self, key: &StoreKey, record: &Record, condition: Condition) -> Result<Write> {
        let (links, node) = self.place(key)?;
        let exptime = exptime(record.expires_at);
        let client = &links[node].client;
        let stored = client.set(key.as_str(), &record.bytes, exptime, condition);
        let cas = stored.await?;
        Ok(cas.map_or(Write::Refused, |cas| Write::Stored(cas.into())))
    }
}

impl Shared {
    fn new(nodes: Nodes, timeout: Duration) -> Self {
        Self {
            nodes,
            timeout,
            links: Links::new(timeout),
        }
    }
}

#[async_trait]
impl SessionStore for MemcachedStore {
    fn limit(&self) -> usize {
        self.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let (links, node) = self.place(key)?;
        let item = links[node].reads.get(key).await?;
        Ok(item.map(|item| Loaded {
            bytes: item.value.into(),
            revision: item.cas.into(),
            expires_at: None,
        }))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.set(key, record, Condition::Absent).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        match revision.as_u64() {
            // Sent, 0 would mean "without condition".
            None | Some(0) => Ok(Write::Refused),
            Some(cas) => self.set(key, record, Condition::Cas(cas)).await,
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let (links, node) = self.place(key)?;
        Ok(links[node].client.delete(key.as_str()).await?)
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedStore")
            .field("nodes", &self.shared.nodes)
            .field("timeout", &self.shared.timeout)
            .field("limit", &self.limit)
            .finish()
    }
}
