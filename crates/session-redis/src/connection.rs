//! One open connection to a server, or one per node of a cluster.

use std::{
    sync::Weak,
    time::{Duration, Instant},
};

#[cfg(feature = "cluster")]
use redis::cluster_async::ClusterConnection;
use redis::{RedisResult, Value};

use crate::{
    batch::Batch,
    command::{packed, size},
};
#[cfg(feature = "cluster")]
use crate::{cluster, timeouts::within};

/// An open connection. Commands that are sent at the same time are pipelined.
pub(crate) struct Connection {
    opened_at: Instant,
    kind: Kind,
    /// Where the server is, if Sentinels named it.
    #[cfg(feature = "sentinel")]
    primary: Option<String>,
}

pub(crate) enum Kind {
    Server {
        batch: Batch,
        /// Can be upgraded as long as the driver's task runs. `None` if that cannot be observed.
        driver_task: Option<Weak<()>>,
    },
    /// A connection to each node, and the time limit of one answer, including redirections.
    #[cfg(feature = "cluster")]
    Cluster(ClusterConnection, Duration),
}

impl Connection {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            opened_at: Instant::now(),
            kind,
            #[cfg(feature = "sentinel")]
            primary: None,
        }
    }

    /// A connection to the server at `address`, which the Sentinels named.
    #[cfg(feature = "sentinel")]
    pub(crate) fn to_primary(kind: Kind, address: String) -> Self {
        let primary = Some(address);
        Self {
            primary,
            ..Self::new(kind)
        }
    }

    /// Where the server is, if Sentinels named it.
    #[cfg(feature = "sentinel")]
    pub(crate) fn primary(&self) -> Option<&str> {
        self.primary.as_deref()
    }

    pub(crate) fn age(&self) -> Duration {
        self.opened_at.elapsed()
    }

    /// Whether the connection is open and not silent, as far as is known without sending anything.
    pub(crate) fn is_open(&self) -> bool {
        match &self.kind {
            Kind::Server { batch, driver_task } => {
                let task = driver_task.as_ref();
                batch.is_trusted() && task.is_none_or(|task| task.strong_count() > 0)
            }
            #[cfg(feature = "cluster")]
            Kind::Cluster(..) => true,
        }
    }

    /// Sends a command, given as its name and arguments, and waits for its reply.
    pub(crate) async fn send(&self, command: &[&[u8]]) -> RedisResult<Value> {
        match &self.kind {
            Kind::Server { batch, .. } => batch.send(packed(command), size(command)).await,
            #[cfg(feature = "cluster")]
            Kind::Cluster(connection, response_timeout) => {
                // Boxed, because it is large and would enlarge the future of every request.
                let answer = Box::pin(cluster::send(connection.clone(), command));
                within(*response_timeout, answer).await
            }
        }
    }

    /// As [`send`](Self::send), to the primary that has the slot. `None` if this is no connection
    /// to a cluster.
    #[cfg(feature = "cluster")]
    pub(crate) async fn send_to_slot(
        &self,
        slot: u16,
        command: &[&[u8]],
    ) -> Option<RedisResult<Value>> {
        let Kind::Cluster(connection, response_timeout) = &self.kind else {
            return None;
        };
        let answer = cluster::send_to_slot(connection.clone(), slot, command);
        Some(within(*response_timeout, answer).await)
    }
}
