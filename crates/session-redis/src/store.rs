use std::{fmt, sync::Arc, time::Duration};

use redis::{Client, RedisResult, cluster::ClusterClientBuilder, sentinel::SentinelClient};
use session_core::config::{ConfigError, Env};

use crate::{
    address,
    lanes::Lanes,
    server::{Address, Server},
};

/// Sessions in Redis or Valkey: one server, a cluster, or a primary that Sentinels name.
///
/// A handle: clones share their connections, and see the same sessions. Every constructor is free of I/O; the first
/// use connects, and so does the first use after a connection ended.
#[derive(Clone)]
pub struct RedisStore {
    pub(crate) server: Arc<Server>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) limit: usize,
}

impl RedisStore {
    /// The largest record that is accepted unless [`with_limit`](Self::with_limit) says otherwise: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;
    /// How long an answer may take unless [`with_response_timeout`](Self::with_response_timeout) says otherwise.
    pub const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
    /// How long connecting may take unless [`with_connect_timeout`](Self::with_connect_timeout) says otherwise.
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

    /// Sessions on one server, over TCP, TLS or a unix socket.
    ///
    /// `TCP_NODELAY` is set, and protocol 3 is spoken where the server knows it; all else is the client's.
    pub fn new(client: Client) -> Self {
        Self::on(Address::Single(Box::new(client)))
    }

    /// Sessions on a cluster.
    ///
    /// Takes the driver's builder, since what the driver would retry by itself must be turned off: it cannot tell a
    /// read from a write. Its retries, protocol and TCP settings are set here. Leave reading from replicas off:
    /// a replica that lags behind shows sessions that have ended.
    ///
    /// # Errors
    ///
    /// If the nodes are none, or their addresses do not fit together.
    pub fn cluster(nodes: ClusterClientBuilder) -> RedisResult<Self> {
        Address::cluster(nodes, String::new()).map(Self::on)
    }

    /// Sessions on the primary that Sentinels name; they are asked again whenever a connection is opened.
    ///
    /// `make` builds the driver's client, of the server type `Master`: it cannot be cloned, and each worker
    /// thread asks for itself.
    pub fn sentinel(
        make: impl Fn() -> RedisResult<SentinelClient> + Send + Sync + 'static,
    ) -> Self {
        Self::on(Address::Sentinel(Arc::new(make), String::new()))
    }

    /// Sessions at an address, in one line; no I/O happens before the first use.
    ///
    /// `redis://[user[:password]@]host[:port][/db]`, `rediss://` for TLS, `redis+unix:///path/to/socket[?db=1]`,
    /// several of the first two separated by commas for a cluster, and
    /// `redis+sentinel://[user[:password]@]host:port,host:port/name[/db]` for Sentinels, `rediss+sentinel://` with TLS.
    ///
    /// # Errors
    ///
    /// If it is none of these.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        address::parse(url).map(Self::on)
    }

    /// Sessions at the address in `SESSION_REDIS`, by default `redis://127.0.0.1:6379/0`; see [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// If `SESSION_REDIS` is no address.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        Self::connect(env.get(address::SETTING).unwrap_or(address::DEFAULT))
    }

    /// How long an answer may take, counted from the moment it is asked for; defaults to 500 ms.
    ///
    /// Whether a write that got no answer was carried out is unknown.
    #[must_use]
    pub fn with_response_timeout(self, timeout: Duration) -> Self {
        self.changed(|server| server.response_timeout = timeout)
    }

    /// How long opening a connection may take, TLS and log-in included; defaults to 500 ms.
    #[must_use]
    pub fn with_connect_timeout(self, timeout: Duration) -> Self {
        self.changed(|server| server.connect_timeout = timeout)
    }

    /// The largest record that is accepted, in bytes; defaults to 1 MiB. Redis itself takes 512 MiB.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    fn on(address: Address) -> Self {
        let server = Server {
            address,
            response_timeout: Self::DEFAULT_RESPONSE_TIMEOUT,
            connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
        };
        Self {
            server: Arc::new(server),
            lanes: Arc::default(),
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// Connections that were opened with other limits stay with the clones that opened them.
    fn changed(mut self, change: impl FnOnce(&mut Server)) -> Self {
        change(Arc::make_mut(&mut self.server));
        self.lanes = Arc::default();
        self
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("server", &self.server)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
