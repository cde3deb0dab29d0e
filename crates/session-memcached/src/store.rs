use std::{fmt, sync::Arc, time::Duration};

use session_core::{
    Error, Loaded, Record, Result, Revision, SessionStore, StoreKey, Touch, Write, async_trait,
    config::{ConfigError, Env},
};

use crate::{
    failure::Failure,
    layout::{Layout, Place, Seen, flask, stamped},
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
    layout: Layout,
}

struct Shared {
    nodes: Nodes,
    timeout: Duration,
    links: Links,
    seen: Seen,
}

impl MemcachedStore {
    /// The largest payload unless [`with_limit`](Self::with_limit) says otherwise, in bytes: memcached's item limit of
    /// 1 MiB, less 384 bytes for the key and what memcached and this store keep beside the payload.
    pub const DEFAULT_LIMIT: usize = (1 << 20) - 384;

    /// A store on `nodes`; does no I/O and spawns nothing.
    pub fn new(nodes: Nodes) -> Self {
        Self {
            shared: Arc::new(Shared::new(nodes, DEFAULT_TIMEOUT)),
            limit: Self::DEFAULT_LIMIT,
            layout: Layout::default(),
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

    /// The largest payload in bytes, for nodes started with another `-I`: what that says, less 384.
    ///
    /// Never more than all nodes take: memcached deletes what is stored under a key when a larger value fails.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Stores the payload alone, with flags 0, as Flask-Session does: for an application that shares new sessions with
    /// one in Flask.
    ///
    /// A record's end is then known to the node's clock only: it may come two seconds early or late, and no later than
    /// January 2038. What was stored without this setting cannot be read with it. Without it, what Flask stored is read,
    /// and stays as Flask can read it.
    #[must_use]
    pub fn with_flask_layout(self) -> Self {
        Self {
            layout: Layout::Flask,
            ..self
        }
    }

    fn links(&self) -> Result<Arc<[Link]>> {
        Ok(self.shared.links.here(&self.shared.nodes)?)
    }

    fn place<'a>(&'a self, links: &'a [Link], key: &'a StoreKey) -> Result<Place<'a>> {
        let text = key.as_str().as_bytes();
        if text.is_empty() || text.len() > MAX_KEY || !text.iter().all(u8::is_ascii_graphic) {
            return Err(Failure::Key.into());
        }
        let hash = nodes::hash(text);
        Ok(Place {
            link: &links[self.shared.nodes.route(hash)],
            key,
            hash,
            seen: &self.shared.seen,
        })
    }

    fn check_size(&self, record: &Record) -> Result<()> {
        let (size, limit) = (record.payload.len(), self.limit);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
    }
}

impl Shared {
    fn new(nodes: Nodes, timeout: Duration) -> Self {
        Self {
            nodes,
            timeout,
            links: Links::new(timeout),
            seen: Seen::default(),
        }
    }
}

#[async_trait]
impl SessionStore for MemcachedStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let links = self.links()?;
        let place = self.place(&links, key)?;
        match self.layout {
            Layout::Stamped => stamped::load(&place).await,
            Layout::Flask => flask::load(&place).await,
        }
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.check_size(record)?;
        let links = self.links()?;
        let place = self.place(&links, key)?;
        match self.layout {
            Layout::Stamped => stamped::insert(&place, record).await,
            Layout::Flask => flask::insert(&place, record).await,
        }
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.check_size(record)?;
        let links = self.links()?;
        let place = self.place(&links, key)?;
        match self.layout {
            Layout::Stamped => stamped::update(&place, record, revision).await,
            Layout::Flask => flask::update(&place, record, revision).await,
        }
    }

    async fn touch(&self, key: &StoreKey, expires_at: std::time::SystemTime) -> Result<Touch> {
        let links = self.links()?;
        let place = self.place(&links, key)?;
        match self.layout {
            Layout::Stamped => stamped::touch(&place, expires_at).await,
            Layout::Flask => flask::touch(&place, expires_at).await,
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let links = self.links()?;
        let place = self.place(&links, key)?;
        Ok(place.link.client.delete(key.as_str()).await?)
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedStore")
            .field("nodes", &self.shared.nodes)
            .field("timeout", &self.shared.timeout)
            .field("limit", &self.limit)
            .field("layout", &self.layout)
            .finish()
    }
}
