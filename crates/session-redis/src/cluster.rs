//! Clusters: the driver's client, one connection per node, and redirected commands.

use std::time::Duration;

use redis::{
    ConnectionInfo, ErrorKind, Pipeline, ProtocolVersion, RedisError, RedisResult, ServerErrorKind,
    Value,
    cluster::{ClusterClient, ClusterClientBuilder, ClusterConfig},
    cluster_async::ClusterConnection,
    cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr},
    io::tcp::TcpSettings,
};
use session_core::config::ConfigError;

use crate::{
    address::{Address, invalid, names},
    command::packed,
    timeouts::{self, within},
};

/// The cluster with these nodes.
pub(crate) fn address(nodes: Vec<ConnectionInfo>) -> Result<Address, ConfigError> {
    let names = names(&nodes);
    let client = client(ClusterClient::builder(nodes)).map_err(|_| {
        invalid(
            "names a cluster: all nodes must be redis:// or all rediss://, with the same user and \
             password and with database 0",
        )
    })?;
    Ok(Address::Cluster(Box::new(client), names))
}

/// Turns the driver's retries off, because the driver cannot tell a read from a compare-and-set.
pub(crate) fn client(nodes: ClusterClientBuilder) -> RedisResult<ClusterClient> {
    nodes
        .retries(0)
        .overall_response_timeout(None)
        .tcp_settings(TcpSettings::default().set_nodelay(true))
        .use_protocol(ProtocolVersion::RESP3)
        .build()
}

/// A connection to each node.
pub(crate) async fn connect(
    client: &ClusterClient,
    connect_timeout: Duration,
    response_timeout: Duration,
) -> RedisResult<ClusterConnection> {
    let config = ClusterConfig::new()
        .set_connection_timeout(connect_timeout)
        .set_response_timeout(response_timeout);
    let open = client.get_async_connection_with_config(config);
    within(timeouts::DISCOVERY, open).await
}

/// Sends a command to the node that has its key.
pub(crate) async fn send(mut cluster: ClusterConnection, command: &[&[u8]]) -> RedisResult<Value> {
    let answer = packed(command).query_async(&mut cluster).await;
    let Some(node) = answer.as_ref().err().and_then(importing_node) else {
        return answer;
    };
    let mut asking = Pipeline::with_capacity(2);
    asking.cmd("ASKING").add_command(packed(command));
    let mut replies = cluster.route_pipeline(asking, 0, 2, node).await?;
    replies.pop().map_or(answer, Value::extract_error)
}

/// Sends a command to the primary that has the slot.
pub(crate) async fn send_to_slot(
    mut cluster: ClusterConnection,
    slot: u16,
    command: &[&[u8]],
) -> RedisResult<Value> {
    let primary = Route::new(slot, SlotAddr::Master);
    let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(primary));
    cluster.route_command(packed(command), routing).await
}

/// The node that imports the key's slot, if the error is the redirection `ASK`.
fn importing_node(error: &RedisError) -> Option<SingleNodeRoutingInfo> {
    if error.kind() != ErrorKind::Server(ServerErrorKind::Ask) {
        return None;
    }
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    Some(SingleNodeRoutingInfo::ByAddress {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}
