//! Opens connections to a server, to a cluster, or to the primary that Sentinels name.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, ProtocolVersion, RedisResult,
    cluster::ClusterConfig,
};

use crate::{
    address::Address,
    batch::{Batch, Silences},
    connection::{Connection, Kind},
    primary::Primary,
    timeouts::{self, within},
    tls,
};

// Enough for the commands of many requests at once, so that a burst does not wait for the buffer.
const COMMAND_BUFFER: usize = 512;

/// Where the sessions are, and the timeouts for calls. Opens connections but holds none.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) response_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) primary: Arc<Primary>,
    pub(crate) silences: Silences,
    pub(crate) compares: Compares,
}

/// Whether the server may know `SET … IFEQ`: Valkey does since 8.1, Redis since 8.4. It is tried once
/// after each connect, because the address may lead to another server by then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compares(Arc<AtomicBool>);

impl Compares {
    pub(crate) fn is_possible(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(crate) fn set_impossible(&self) {
        self.0.store(false, Relaxed);
    }

    fn set_possible(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Server {
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.address, Address::Cluster(..))
    }

    /// Opens a connection. Returns `current`, which is open, if it leads to the primary that the
    /// Sentinels name, or if they name none.
    pub(crate) async fn open(
        &self,
        current: Option<Arc<Connection>>,
    ) -> RedisResult<Arc<Connection>> {
        let kind = match &self.address {
            Address::Single(client) => self.open_single(client).await?,
            Address::Sentinel(sentinels, _) => {
                tls::install_default_provider();
                let limit = match &current {
                    Some(_) => timeouts::CONFIRMATION,
                    None => timeouts::DISCOVERY,
                };
                let known = current.as_ref().and_then(|it| it.primary());
                let (client, address) = match sentinels.primary(known, limit).await {
                    Ok(named) => named,
                    Err(error) => return self.keep(current).ok_or(error),
                };
                self.primary.named(&address);
                if let Some(current) = current.filter(|it| it.primary() == Some(&address)) {
                    return Ok(current);
                }
                let kind = self.open_single(&client).await?;
                self.compares.set_possible();
                return Ok(Arc::new(Connection::to_primary(kind, address)));
            }
            Address::Cluster(client, _) => {
                tls::install_default_provider();
                let config = ClusterConfig::new()
                    .set_connection_timeout(self.connect_timeout)
                    .set_response_timeout(self.response_timeout);
                let open = client.get_async_connection_with_config(config);
                let connection = within(timeouts::DISCOVERY, open).await?;
                Kind::Cluster(connection, self.response_timeout)
            }
        };
        self.compares.set_possible();
        Ok(Arc::new(Connection::new(kind)))
    }

    /// The connection, if the Sentinels named its server last. They may be out of reach while the
    /// server works.
    fn keep(&self, current: Option<Arc<Connection>>) -> Option<Arc<Connection>> {
        current.filter(|it| it.primary().is_some_and(|it| self.primary.not_named(it)))
    }

    async fn open_single(&self, client: &Client) -> RedisResult<Kind> {
        let addr = client.get_connection_info().addr();
        if matches!(addr, ConnectionAddr::TcpTls { .. }) {
            tls::install_default_provider();
        }
        match self.connect(client, ProtocolVersion::RESP3).await {
            Err(error) if error.kind() == ErrorKind::RESP3NotSupported => {
                self.connect(client, ProtocolVersion::RESP2).await
            }
            result => result,
        }
    }

    async fn connect(&self, client: &Client, protocol: ProtocolVersion) -> RedisResult<Kind> {
        let info = client.get_connection_info().clone();
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let redis = info.redis_settings().clone().set_protocol(protocol);
        let client = Client::open(info.set_tcp_settings(tcp).set_redis_settings(redis))?;
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout))
            .set_pipeline_buffer_size(COMMAND_BUFFER);
        let mut driver_task = None;
        if protocol == ProtocolVersion::RESP3 {
            // The driver's task owns the receiver of pushed messages, and drops it when the
            // connection ends.
            let alive = Arc::new(());
            driver_task = Some(Arc::downgrade(&alive));
            config = config.set_push_sender(move |_| {
                let _ = &alive;
                Ok::<_, ()>(())
            });
        }
        let connect = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Kind::Server {
            batch: Batch::spawn(connect.await?, &self.silences),
            driver_task,
        })
    }
}
