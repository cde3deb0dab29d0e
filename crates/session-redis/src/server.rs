//! Opens connections to a server, to a cluster, or to the primary that Sentinels name.

use std::{sync::Arc, time::Duration};

#[cfg(feature = "tls")]
use redis::ConnectionAddr;
use redis::{AsyncConnectionConfig, Client, ErrorKind, ProtocolVersion, RedisResult};

#[cfg(feature = "cluster")]
use crate::cluster;
#[cfg(feature = "sentinel")]
use crate::primary::Primary;
#[cfg(feature = "tls")]
use crate::tls;
use crate::{
    address::Address,
    batch::{Batch, Silences},
    connection::{Connection, Kind},
};

// Enough for the commands of many requests at once, so that a burst does not wait for the buffer.
const COMMAND_BUFFER: usize = 512;

/// Where the sessions are, and the timeouts for calls. Opens connections but holds none.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) response_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    #[cfg(feature = "sentinel")]
    pub(crate) primary: Arc<Primary>,
    pub(crate) silences: Silences,
}

impl Server {
    /// Opens a connection. Returns `current`, which is open, if it leads to the primary that the
    /// Sentinels name, or if they name none.
    #[cfg_attr(
        not(feature = "sentinel"),
        expect(unused_variables, reason = "only Sentinels can confirm a connection")
    )]
    pub(crate) async fn open(
        &self,
        current: Option<Arc<Connection>>,
    ) -> RedisResult<Arc<Connection>> {
        let kind = match &self.address {
            Address::Single(client) => self.open_single(client).await?,
            #[cfg(feature = "sentinel")]
            Address::Sentinel(sentinels, _) => return self.open_primary(sentinels, current).await,
            #[cfg(feature = "cluster")]
            Address::Cluster(client, _) => {
                #[cfg(feature = "tls")]
                tls::install_default_provider();
                let (connect, response) = (self.connect_timeout, self.response_timeout);
                Kind::Cluster(cluster::connect(client, connect, response).await?, response)
            }
        };
        Ok(Arc::new(Connection::new(kind)))
    }

    pub(crate) async fn open_single(&self, client: &Client) -> RedisResult<Kind> {
        #[cfg(feature = "tls")]
        if let ConnectionAddr::TcpTls { .. } = client.get_connection_info().addr() {
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
