//! The public type `RedisStore`: its constructors and options.

use std::{fmt, sync::Arc, time::Duration};

use redis::Client;
#[cfg(any(feature = "cluster", feature = "sentinel"))]
use redis::RedisResult;
#[cfg(feature = "cluster")]
use redis::cluster::ClusterClientBuilder;
#[cfg(feature = "sentinel")]
use redis::sentinel::SentinelClient;
use session_core::config::ConfigError;

#[cfg(feature = "cluster")]
use crate::cluster;
#[cfg(feature = "sentinel")]
use crate::sentinels::{NewClient, Sentinels};
use crate::{
    address::Address, batch::Silences, server::Server, worker_connections::WorkerConnections,
};

/// Stores sessions in Redis or Valkey: on one server, on a cluster, or on the primary that
/// Sentinels name.
///
/// Clones share their connections and see the same sessions. Constructors do no I/O. The first call
/// connects, and so does the first call after a connection ended. All methods must be called within
/// a Tokio runtime.
#[derive(Clone)]
pub struct RedisStore {
    pub(crate) server: Arc<Server>,
    pub(crate) connections: Arc<WorkerConnections>,
    pub(crate) limit: usize,
}

impl RedisStore {
    /// The default of [`with_limit`](Self::with_limit): 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1 << 20;
    /// The default of [`with_response_timeout`](Self::with_response_timeout).
    pub const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
    /// The default of [`with_connect_timeout`](Self::with_connect_timeout).
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

    /// Creates a store on one server, over TCP, TLS or a Unix socket.
    ///
    /// The store sets `TCP_NODELAY`, and uses RESP3 if the server supports it. It takes all other
    /// settings from the client.
    ///
    /// Over TLS, the application enables the feature `tls` of this crate, or the TLS of the driver
    /// that it prefers.
    pub fn new(client: Client) -> Self {
        Self::on(Address::Single(Box::new(client)))
    }

    /// Creates a store on a cluster.
    ///
    /// Takes the driver's builder, because the store must turn the driver's retries off: the driver
    /// cannot tell a read from a write. The store also sets the protocol and the TCP settings. Do
    /// not enable reading from replicas: a replica that lags behind returns sessions that have
    /// ended.
    ///
    /// # Errors
    ///
    /// If there are no nodes, or if their addresses do not fit together.
    #[cfg(feature = "cluster")]
    pub fn cluster(nodes: ClusterClientBuilder) -> RedisResult<Self> {
        let client = Box::new(cluster::client(nodes)?);
        Ok(Self::on(Address::Cluster(client, String::new())))
    }

    /// Creates a store on the primary that most of the Sentinels name. The store asks all of them
    /// whenever it opens a connection, and once a second.
    ///
    /// Each function returns the driver's client of *one* Sentinel, with the server type `Master`.
    /// A client of several would wait for those that do not answer. The store calls the functions
    /// each time it asks, because such a client cannot be cloned.
    #[cfg(feature = "sentinel")]
    pub fn sentinel<F>(clients: impl IntoIterator<Item = F>) -> Self
    where
        F: Fn() -> RedisResult<SentinelClient> + Send + Sync + 'static,
    {
        let clients = clients.into_iter();
        let clients = clients.map(|it| Box::new(it) as Box<NewClient>);
        Self::on(Address::Sentinel(Sentinels::new(clients), String::new()))
    }

    /// Creates a store at an address. Does no I/O.
    ///
    /// The address has one of these forms:
    ///
    /// - `redis://[user[:password]@]host[:port][/db]`
    /// - `rediss://…`, the same over TLS, with the feature `tls`
    /// - `redis+unix:///path/to/socket[?db=1]`
    /// - several of the first two, separated by commas, for a cluster, with the feature `cluster`
    /// - `redis+sentinel://[user[:password]@]host:port,host:port/name[/db]` for Sentinels, with the feature
    ///   `sentinel`
    /// - `rediss+sentinel://…`, the same over TLS
    ///
    /// # Errors
    ///
    /// If the address has none of these forms, or needs a feature that is not enabled. The message
    /// names the feature.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        Address::parse(url).map(Self::on)
    }

    /// Sets the time limit of one answer, counted from the start of the call. The default is 500
    /// ms.
    ///
    /// If a write is not answered in time, it may or may not have been carried out.
    #[must_use]
    pub fn with_response_timeout(self, timeout: Duration) -> Self {
        self.with_server(|server| server.response_timeout = timeout)
    }

    /// Sets the time limit of opening a connection, including TLS and authentication. The default
    /// is 500 ms.
    #[must_use]
    pub fn with_connect_timeout(self, timeout: Duration) -> Self {
        self.with_server(|server| server.connect_timeout = timeout)
    }

    /// Sets the size limit of a record, in bytes. The default is 1 MiB. Redis accepts up to 512
    /// MiB.
    #[must_use]
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    fn on(address: Address) -> Self {
        Self {
            server: Arc::new(Server {
                address,
                response_timeout: Self::DEFAULT_RESPONSE_TIMEOUT,
                connect_timeout: Self::DEFAULT_CONNECT_TIMEOUT,
                #[cfg(feature = "sentinel")]
                primary: Arc::default(),
                silences: Silences::default(),
            }),
            connections: Arc::default(),
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// Changes the server's settings. Starts without connections: those that are open have the old
    /// settings and belong to the other clones.
    fn with_server(mut self, change: impl FnOnce(&mut Server)) -> Self {
        change(Arc::make_mut(&mut self.server));
        self.connections = Arc::default();
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
