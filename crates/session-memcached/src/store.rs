//! The public type `MemcachedStore`: its constructors, its options and its `SessionStore`.

use std::{fmt, sync::Arc, time::Duration};

use session_core::{
    Error, Finding, Loaded, Record, Result, Revision, Scan, SessionStore, StoreKey, Write,
    async_trait, config::ConfigError,
};

use crate::{
    connections::{Connections, NodeConnections},
    error::{CallError, NodeError},
    expiry::exptime,
    node_client::Condition,
    nodes::{self, Nodes},
    scan::Listing,
};

const MAX_KEY: usize = 250;

/// Stores sessions in memcached, on one node or several.
///
/// A clone is another handle to the same sessions and connections. A connection is opened at first
/// use, on the runtime that needs it, and is never used on another runtime. All methods must be
/// called within a Tokio runtime.
#[derive(Clone)]
pub struct MemcachedStore {
    pub(crate) shared: Arc<Shared>,
    limit: usize,
}

pub(crate) struct Shared {
    pub(crate) nodes: Nodes,
    pub(crate) timeout: Duration,
    pub(crate) connections: Connections,
    pub(crate) listing: Listing,
}

impl MemcachedStore {
    /// The default size limit of a record, in bytes: memcached's item limit of 1 MiB, less 384
    /// bytes for the key and for what memcached stores with the item.
    pub const DEFAULT_LIMIT: usize = (1 << 20) - 384;
    /// The default of [`with_timeout`](Self::with_timeout).
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

    /// Creates a store on `nodes`. Does no I/O and spawns no task.
    pub fn new(nodes: Nodes) -> Self {
        Self {
            shared: Arc::new(Shared::new(nodes, Self::DEFAULT_TIMEOUT)),
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// Creates a store on the nodes of a comma-separated list of `host:port`. Does no I/O.
    ///
    /// # Errors
    ///
    /// If the list is empty, contains an invalid address, or names a node twice.
    pub fn connect(nodes: &str) -> Result<Self, ConfigError> {
        Ok(Self::new(nodes.parse()?))
    }

    /// Sets the time limit of one round trip, including connecting. The default is 500 ms.
    ///
    /// A later answer is an error, and its connection is closed.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        let nodes = self.shared.nodes.clone();
        Self {
            shared: Arc::new(Shared::new(nodes, timeout)),
            ..self
        }
    }

    /// Sets the size limit of a record, in bytes. For nodes started with `-I`, use its value less
    /// 384.
    ///
    /// The limit must not exceed what every node accepts: when memcached refuses a value as too
    /// large, it also deletes what is stored under the key.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The connections of the current runtime, and the index of the node that stores the key.
    fn route(&self, key: &StoreKey) -> Result<(Arc<[NodeConnections]>, usize), CallError> {
        let key = key.as_str().as_bytes();
        if key.is_empty() || key.len() > MAX_KEY || !key.iter().all(u8::is_ascii_graphic) {
            return Err(CallError::InvalidKey);
        }
        let Shared {
            nodes, connections, ..
        } = &*self.shared;
        let node = nodes.index_of(nodes::hash(key));
        Ok((connections.of_current_runtime(nodes)?, node))
    }

    /// The error of a call to the node with this index.
    pub(crate) fn failed(&self, node: usize, error: CallError) -> Error {
        let address = self.shared.nodes.addresses().nth(node);
        NodeError {
            address: address.unwrap_or_default().into(),
            error,
        }
        .into()
    }

    async fn set(&self, key: &StoreKey, record: &Record, condition: Condition) -> Result<Write> {
        let (connections, node) = self.route(key)?;
        let exptime = exptime(record.expires_at);
        let client = &connections[node].client;
        let set = client.set(key.as_str(), &record.bytes, exptime, condition);
        let cas = set.await.map_err(|error| self.failed(node, error))?;
        Ok(cas.map_or(Write::Refused, |cas| Write::Stored(cas.into())))
    }
}

impl Shared {
    fn new(nodes: Nodes, timeout: Duration) -> Self {
        Self {
            nodes,
            timeout,
            connections: Connections::new(timeout),
            listing: Listing::default(),
        }
    }
}

#[async_trait]
impl SessionStore for MemcachedStore {
    fn limit(&self) -> usize {
        self.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let (connections, node) = self.route(key)?;
        let item = connections[node].reads.get(key).await;
        let item = item.map_err(|error| self.failed(node, error))?;
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
            // Memcached would carry out an update with the CAS number 0 without a condition.
            None | Some(0) => Ok(Write::Refused),
            Some(cas) => self.set(key, record, Condition::Cas(cas)).await,
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let (connections, node) = self.route(key)?;
        let deleted = connections[node].client.delete(key.as_str()).await;
        deleted.map_err(|error| self.failed(node, error))
    }

    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        Some(self)
    }

    async fn diagnose(&self) -> Result<Vec<Finding>> {
        self.findings().await
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
