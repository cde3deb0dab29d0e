use std::{
    sync::Weak,
    time::{Duration, Instant},
};

use redis::{
    FromRedisValue, Pipeline, RedisError, RedisResult, Value, aio::MultiplexedConnection,
    cluster_async::ClusterConnection, cluster_routing::SingleNodeRoutingInfo, from_redis_value,
};

use crate::{
    batch::{Batch, Command},
    failure::within,
};

/// One connection, or a cluster's one per node; what is sent on it meanwhile is pipelined.
pub(crate) struct Connection {
    opened: Instant,
    link: Link,
}

enum Link {
    /// The driver's task holds what `alive` points to as long as it runs.
    Server {
        connection: MultiplexedConnection,
        batch: Batch,
        alive: Option<Weak<()>>,
    },
    Cluster {
        connection: ClusterConnection,
        patience: Duration,
    },
}

impl Connection {
    /// `alive`: what only the driver's task keeps, if that can be known.
    pub(crate) fn to_server(connection: MultiplexedConnection, alive: Option<Weak<()>>) -> Self {
        Self::new(Link::Server {
            connection,
            batch: Batch::default(),
            alive,
        })
    }

    /// `patience`: how long the cluster as a whole may take to answer.
    pub(crate) fn to_cluster(connection: ClusterConnection, patience: Duration) -> Self {
        Self::new(Link::Cluster {
            connection,
            patience,
        })
    }

    fn new(link: Link) -> Self {
        Self {
            opened: Instant::now(),
            link,
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }

    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.link, Link::Cluster { .. })
    }

    /// Whether the server has not hung up yet, as far as is known: nothing need be sent to find out.
    pub(crate) fn is_alive(&self) -> bool {
        match &self.link {
            Link::Server { alive, .. } => {
                alive.as_ref().is_none_or(|alive| alive.strong_count() > 0)
            }
            Link::Cluster { .. } => true,
        }
    }

    /// Sends the command and waits for its reply.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: Command<'_>) -> RedisResult<T> {
        match &self.link {
            Link::Server {
                connection, batch, ..
            } => Ok(from_redis_value(batch.ask(connection, command).await?)?),
            Link::Cluster {
                connection,
                patience,
            } => {
                let (mut one, mut connection) = (Pipeline::with_capacity(1), connection.clone());
                one.add_command(command());
                let (reply,) = within(*patience, one.query_async(&mut connection)).await?;
                Ok(reply)
            }
        }
    }

    /// Like [`ask`](Self::ask), of the node that `redirect` names: it is about to take the key over.
    pub(crate) async fn ask_importer<T: FromRedisValue>(
        &self,
        command: Command<'_>,
        redirect: RedisError,
    ) -> RedisResult<T> {
        let node = redirect.redirect_node().and_then(|(node, _)| {
            let (host, port) = node.rsplit_once(':')?;
            Some((host.to_owned(), port.parse().ok()?))
        });
        let (
            Link::Cluster {
                connection,
                patience,
            },
            Some((host, port)),
        ) = (&self.link, node)
        else {
            return Err(redirect);
        };
        let mut asking = Pipeline::with_capacity(2);
        asking.cmd("ASKING").add_command(command());
        let route = SingleNodeRoutingInfo::ByAddress { host, port };
        let mut connection = connection.clone();
        let replies = connection.route_pipeline(asking, 0, 2, route);
        let replies = Value::Array(within(*patience, replies).await?);
        let (_, reply): (Value, T) = from_redis_value(replies.extract_error()?)?;
        Ok(reply)
    }
}
