use std::{fmt, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, ProtocolVersion, RedisResult,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterClientBuilder, ClusterConfig},
    io::tcp::TcpSettings,
    sentinel::SentinelClient,
};

use crate::{connection::Connection, failure::within, tls};

// Room for the commands of many requests at once, so that a burst does not wait in line twice.
const COMMANDS_IN_LINE: usize = 512;
// Asking around takes several connections; whoever waits gives up earlier by its own deadline.
const ASK_AROUND_LIMIT: Duration = Duration::from_secs(3);

/// How long to wait for the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) response: Duration,
    pub(crate) connect: Duration,
}

/// Where the sessions are: knows how to connect, and is not connected.
#[derive(Clone)]
pub(crate) enum Server {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinel(Arc<dyn Fn() -> RedisResult<SentinelClient> + Send + Sync>),
}

impl Server {
    /// Nothing is resent by the driver, since it cannot tell a read from a compare-and-set.
    pub(crate) fn cluster(nodes: ClusterClientBuilder) -> RedisResult<Self> {
        let client = nodes
            .retries(0)
            .overall_response_timeout(None)
            .tcp_settings(TcpSettings::default().set_nodelay(true))
            .use_protocol(ProtocolVersion::RESP3)
            .build()?;
        Ok(Self::Cluster(Box::new(client)))
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    pub(crate) async fn open(&self, patience: Patience) -> RedisResult<Connection> {
        match self {
            Self::Single(client) => open_single(client, patience).await,
            Self::Sentinel(make) => {
                tls::ensure_provider();
                let mut sentinels = make()?;
                let primary = within(ASK_AROUND_LIMIT, sentinels.async_get_client()).await?;
                open_single(&primary, patience).await
            }
            Self::Cluster(client) => {
                tls::ensure_provider();
                let config = ClusterConfig::new()
                    .set_connection_timeout(patience.connect)
                    .set_response_timeout(patience.response);
                let open = client.get_async_connection_with_config(config);
                let connection = within(ASK_AROUND_LIMIT, open).await?;
                Ok(Connection::to_cluster(connection, patience.response))
            }
        }
    }
}

async fn open_single(client: &Client, patience: Patience) -> RedisResult<Connection> {
    let info = client.get_connection_info();
    if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        tls::ensure_provider();
    }
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience.connect))
        .set_response_timeout(Some(patience.response))
        .set_pipeline_buffer_size(COMMANDS_IN_LINE);
    // Under protocol 3 the driver's task holds a place for pushed messages, and lets go of it when the connection ends.
    let held = Arc::new(());
    let alive = Arc::downgrade(&held);
    let watched = config.clone().set_push_sender(move |_| {
        let _ = &held;
        Ok::<_, ()>(())
    });
    match connect(client, ProtocolVersion::RESP3, &watched).await {
        Err(error) if error.kind() == ErrorKind::RESP3NotSupported => {
            let connection = connect(client, ProtocolVersion::RESP2, &config).await?;
            Ok(Connection::to_server(connection, None))
        }
        connection => Ok(Connection::to_server(connection?, Some(alive))),
    }
}

async fn connect(
    client: &Client,
    protocol: ProtocolVersion,
    config: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let info = client.get_connection_info().clone();
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    let redis = info.redis_settings().clone().set_protocol(protocol);
    let info = info.set_tcp_settings(tcp).set_redis_settings(redis);
    Client::open(info)?
        .get_multiplexed_async_connection_with_config(config)
        .await
}

impl fmt::Debug for Server {
    /// Where, but not as whom: no user name and no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(client) => {
                let info = client.get_connection_info();
                write!(f, "{}/{}", info.addr(), info.redis_settings().db())
            }
            Self::Cluster(_) => f.write_str("cluster"),
            Self::Sentinel(_) => f.write_str("sentinel"),
        }
    }
}
