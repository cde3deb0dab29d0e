use std::{
    sync::Weak,
    time::{Duration, Instant},
};

use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
    cluster_async::ClusterConnection, cluster_routing::SingleNodeRoutingInfo,
};

use crate::{batch::Batch, failure::within};

// How old a connection must be to be replaced on suspicion alone.
const PROBATION: Duration = Duration::from_secs(1);

/// One connection, or a cluster's one per node; what is sent on it meanwhile is pipelined.
pub(crate) struct Connection {
    opened: Instant,
    link: Link,
}

pub(crate) enum Link {
    Server {
        batch: Batch,
        /// What only the driver's task keeps, as long as it runs, if that can be known.
        alive: Option<Weak<()>>,
    },
    Cluster {
        connection: ClusterConnection,
        /// How long the cluster as a whole may take to answer.
        patience: Duration,
    },
}

impl Connection {
    pub(crate) fn over(link: Link) -> Self {
        Self {
            opened: Instant::now(),
            link,
        }
    }

    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Whether it would not be replaced on suspicion alone.
    pub(crate) fn is_new(&self) -> bool {
        self.age() <= PROBATION
    }

    /// Whether the server has not hung up yet, as far as is known: nothing need be sent to find out.
    pub(crate) fn is_alive(&self) -> bool {
        match &self.link {
            Link::Server {
                alive: Some(alive), ..
            } => alive.strong_count() > 0,
            _ => true,
        }
    }

    /// Sends the command of these words and waits for its reply.
    pub(crate) async fn ask(&self, words: &[&[u8]]) -> RedisResult<Value> {
        match &self.link {
            Link::Server { batch, .. } => batch.ask(command(words)).await,
            Link::Cluster {
                connection,
                patience,
            } => {
                // Larger than the rest, and not to make every request's future so.
                let answer = Box::pin(ask_cluster(connection.clone(), words));
                within(*patience, answer).await
            }
        }
    }
}

/// Made in its size: growing would copy a record several times.
fn command(words: &[&[u8]]) -> Cmd {
    let size = words.iter().map(|word| word.len()).sum();
    let mut command = Cmd::with_capacity(words.len(), size);
    command.arg(words);
    command
}

async fn ask_cluster(mut cluster: ClusterConnection, words: &[&[u8]]) -> RedisResult<Value> {
    let answer = command(words).query_async(&mut cluster).await;
    let Some(importer) = answer.as_ref().err().and_then(importer) else {
        return answer;
    };
    let mut asking = Pipeline::with_capacity(2);
    asking.cmd("ASKING").add_command(command(words));
    let mut replies = cluster.route_pipeline(asking, 0, 2, importer).await?;
    replies.pop().map_or(answer, Value::extract_error)
}

/// The node that is about to take the key over, if the answer is to ask that one.
fn importer(error: &RedisError) -> Option<SingleNodeRoutingInfo> {
    if error.kind() != ErrorKind::Server(ServerErrorKind::Ask) {
        return None;
    }
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    Some(SingleNodeRoutingInfo::ByAddress {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}
