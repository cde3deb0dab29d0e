use std::{fmt, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, ProtocolVersion, RedisResult,
    cluster::{ClusterClient, ClusterClientBuilder, ClusterConfig},
    io::tcp::TcpSettings,
    sentinel::SentinelClient,
};

use crate::{
    batch::Batch,
    connection::{Connection, Link},
    failure::within,
    tls,
};

// Room for the commands of many requests at once, so that a burst does not wait in line twice.
const COMMANDS_IN_LINE: usize = 512;
// Asking around takes several connections; whoever waits gives up earlier by its own deadline.
const ASK_AROUND_LIMIT: Duration = Duration::from_secs(3);

/// Where the sessions are, and how long to wait for an answer from there: knows how to connect, and is not connected.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) response_timeout: Duration,
    pub(crate) connect_timeout: Duration,
}

#[derive(Clone)]
pub(crate) enum Address {
    Single(Box<Client>),
    /// The client, and its nodes as errors name them, if they are known.
    Cluster(Box<ClusterClient>, String),
    /// What makes a client, and the Sentinels as errors name them, if they are known.
    Sentinel(
        Arc<dyn Fn() -> RedisResult<SentinelClient> + Send + Sync>,
        String,
    ),
}

impl Address {
    /// Nothing is resent by the driver, since it cannot tell a read from a compare-and-set.
    pub(crate) fn cluster(nodes: ClusterClientBuilder, names: String) -> RedisResult<Self> {
        let client = nodes
            .retries(0)
            .overall_response_timeout(None)
            .tcp_settings(TcpSettings::default().set_nodelay(true))
            .use_protocol(ProtocolVersion::RESP3)
            .build()?;
        Ok(Self::Cluster(Box::new(client), names))
    }
}

impl Server {
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.address, Address::Cluster(..))
    }

    pub(crate) async fn open(&self) -> RedisResult<Connection> {
        let link = match &self.address {
            Address::Single(client) => self.open_single(client).await?,
            Address::Sentinel(make, _) => {
                tls::ensure_provider();
                let mut sentinels = make()?;
                let primary = within(ASK_AROUND_LIMIT, sentinels.async_get_client()).await?;
                self.open_single(&primary).await?
            }
            Address::Cluster(client, _) => {
                tls::ensure_provider();
                let config = ClusterConfig::new()
                    .set_connection_timeout(self.connect_timeout)
                    .set_response_timeout(self.response_timeout);
                let open = client.get_async_connection_with_config(config);
                Link::Cluster {
                    connection: within(ASK_AROUND_LIMIT, open).await?,
                    patience: self.response_timeout,
                }
            }
        };
        Ok(Connection::over(link))
    }

    async fn open_single(&self, client: &Client) -> RedisResult<Link> {
        let addr = client.get_connection_info().addr();
        if matches!(addr, ConnectionAddr::TcpTls { .. }) {
            tls::ensure_provider();
        }
        match self.connect(client, ProtocolVersion::RESP3).await {
            Err(error) if error.kind() == ErrorKind::RESP3NotSupported => {
                self.connect(client, ProtocolVersion::RESP2).await
            }
            link => link,
        }
    }

    async fn connect(&self, client: &Client, protocol: ProtocolVersion) -> RedisResult<Link> {
        let info = client.get_connection_info().clone();
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let redis = info.redis_settings().clone().set_protocol(protocol);
        let client = Client::open(info.set_tcp_settings(tcp).set_redis_settings(redis))?;
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout))
            .set_pipeline_buffer_size(COMMANDS_IN_LINE);
        let mut alive = None;
        if protocol == ProtocolVersion::RESP3 {
            // The driver's task holds a place for pushed messages, and lets go of it when the connection ends.
            let held = Arc::new(());
            alive = Some(Arc::downgrade(&held));
            config = config.set_push_sender(move |_| {
                let _ = &held;
                Ok::<_, ()>(())
            });
        }
        let connect = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Link::Server {
            batch: Batch::on(connect.await?),
            alive,
        })
    }
}

impl fmt::Debug for Address {
    /// Where, but not as whom: no user name and no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(client) => {
                let info = client.get_connection_info();
                write!(f, "{}/{}", info.addr(), info.redis_settings().db())
            }
            Self::Cluster(_, names) => write!(f, "cluster({names})"),
            Self::Sentinel(_, names) => write!(f, "sentinel({names})"),
        }
    }
}
