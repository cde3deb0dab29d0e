//! One open connection to a server, or one per node of a cluster.

use std::{
    sync::Weak,
    time::{Duration, Instant},
};

use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
    cluster_async::ClusterConnection, cluster_routing::SingleNodeRoutingInfo,
};

use crate::{batch::Batch, timeouts::within};

/// An open connection. Commands that are sent at the same time are pipelined.
pub(crate) struct Connection {
    opened_at: Instant,
    kind: Kind,
    /// Where the server is, if Sentinels named it.
    primary: Option<String>,
}

pub(crate) enum Kind {
    Server {
        batch: Batch,
        /// Can be upgraded as long as the driver's task runs. `None` if that cannot be observed.
        driver_task: Option<Weak<()>>,
    },
    /// A connection to each node, and the time limit of one answer, including redirections.
    Cluster(ClusterConnection, Duration),
}

impl Connection {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            opened_at: Instant::now(),
            kind,
            primary: None,
        }
    }

    /// A connection to the server at `address`, which the Sentinels named.
    pub(crate) fn to_primary(kind: Kind, address: String) -> Self {
        let primary = Some(address);
        Self {
            primary,
            ..Self::new(kind)
        }
    }

    /// Where the server is, if Sentinels named it.
    pub(crate) fn primary(&self) -> Option<&str> {
        self.primary.as_deref()
    }

    pub(crate) fn age(&self) -> Duration {
        self.opened_at.elapsed()
    }

    /// Whether the connection is open and not silent, as far as is known without sending anything.
    pub(crate) fn is_open(&self) -> bool {
        let Kind::Server { batch, driver_task } = &self.kind else {
            return true;
        };
        let task = driver_task.as_ref();
        batch.is_trusted() && task.is_none_or(|task| task.strong_count() > 0)
    }

    /// Sends a command, given as its name and arguments, and waits for its reply.
    pub(crate) async fn send(&self, command: &[&[u8]]) -> RedisResult<Value> {
        match &self.kind {
            Kind::Server { batch, .. } => batch.send(packed(command)).await,
            Kind::Cluster(connection, response_timeout) => {
                // Boxed, because it is large and would enlarge the future of every request.
                let answer = Box::pin(send_to_cluster(connection.clone(), command));
                within(*response_timeout, answer).await
            }
        }
    }
}

/// The driver's command, allocated in its final size: growing would copy a record several times.
fn packed(command: &[&[u8]]) -> Cmd {
    let size = command.iter().map(|part| part.len()).sum();
    let mut packed = Cmd::with_capacity(command.len(), size);
    packed.arg(command);
    packed
}

async fn send_to_cluster(mut cluster: ClusterConnection, command: &[&[u8]]) -> RedisResult<Value> {
    let answer = packed(command).query_async(&mut cluster).await;
    let Some(node) = answer.as_ref().err().and_then(importing_node) else {
        return answer;
    };
    let mut asking = Pipeline::with_capacity(2);
    asking.cmd("ASKING").add_command(packed(command));
    let mut replies = cluster.route_pipeline(asking, 0, 2, node).await?;
    replies.pop().map_or(answer, Value::extract_error)
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
