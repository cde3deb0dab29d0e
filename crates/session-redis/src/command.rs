//! Sends commands and scripts, and retries those that may be sent again.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, FromRedisValue, RedisError, RedisResult, Value, from_redis_value};
use session_core::{Error, Result};
use tokio::time::Instant;

use crate::{
    RedisStore,
    connection::Connection,
    error::{ErrorClass, has_code, message},
    script::Script,
    timeouts::within,
    worker_connection::WorkerConnection,
};

// The delays before retries on a cluster, when a slot moves or a node was promoted. There is none
// before the first, since the driver has fetched the new slot map by then.
const CLUSTER_RETRY_DELAYS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(100),
];

// A connection that is younger is not replaced unless it broke.
const MIN_AGE_TO_REPLACE: Duration = Duration::from_secs(1);
// Of all nodes, the driver may have asked the one for the slots that is cut off from the others. It
// asks the first in a random order, so each new connection may ask the same one again: in two
// seconds there must be many.
const MIN_AGE_TO_ASK_AGAIN: Duration = Duration::from_millis(200);

/// Whether to send a command again if the connection broke before the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// For a read.
    Once,
    /// For a write: it may have been carried out. It is sent again only if the server answered that
    /// it was not.
    Never,
}

impl RedisStore {
    /// Runs a script. If the server is out of memory, runs the script for that case, if there is
    /// one.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<T> {
        let count = keys.len().to_string();
        let mut command: Vec<&[u8]> = vec![b"EVALSHA", script.digest.as_bytes(), count.as_bytes()];
        command.extend(keys.iter().map(|key| key.as_bytes()));
        command.extend(args);
        let mut answer = self.send(&command, Retry::Never).await;
        if has_code(&answer, "NOSCRIPT") {
            command[0] = b"EVAL";
            command[1] = script.text.as_bytes();
            answer = Box::pin(self.send(&command, Retry::Never)).await;
        }
        match script.on_oom {
            Some(other) if has_code(&answer, "OOM") => Box::pin(self.run(other, keys, args)).await,
            _ => self.parse_answer(answer),
        }
    }

    /// The value in the answer, or the error as this store reports it.
    pub(crate) fn parse_answer<T: FromRedisValue>(&self, answer: RedisResult<Value>) -> Result<T> {
        let value = answer.and_then(|value| Ok(from_redis_value(value)?));
        value.map_err(|error| Error::backend("redis", message(&self.server.address, &error)))
    }

    /// Sends a command that changes nothing.
    pub(crate) async fn read<T: FromRedisValue>(&self, command: &[&[u8]]) -> Result<T> {
        self.parse_answer(self.send(command, Retry::Once).await)
    }

    /// Sends a command, given as its name and arguments, and waits for its reply.
    pub(crate) async fn send(&self, command: &[&[u8]], retry: Retry) -> RedisResult<Value> {
        self.send_by(&self.worker()?, command, retry).await
    }

    /// The connection of the current thread and runtime.
    pub(crate) fn worker(&self) -> RedisResult<Arc<WorkerConnection>> {
        self.connections.of_current_worker(&self.server)
    }

    /// As [`send`](Self::send), by the connection of this worker.
    pub(crate) async fn send_by(
        &self,
        worker: &Arc<WorkerConnection>,
        command: &[&[u8]],
        retry: Retry,
    ) -> RedisResult<Value> {
        let deadline = Instant::now() + self.server.connect_timeout + self.server.response_timeout;
        let mut failed = None;
        // Nearly always this is all. The connection applies the response timeout itself.
        if let Some(connection) = worker.established() {
            match connection.send(command).await {
                Ok(answer) => return Ok(answer),
                Err(error) => failed = Some((connection, error)),
            }
        }
        // Boxed, because it is rare and would enlarge the future of every request.
        Box::pin(connect_and_send(worker, command, retry, deadline, failed)).await
    }
}

#[cfg(feature = "cluster")]
impl RedisStore {
    /// Sends a command that changes nothing to the primary of a cluster that has the slot.
    pub(crate) async fn send_to_slot(&self, slot: u16, command: &[&[u8]]) -> RedisResult<Value> {
        let worker = self.worker()?;
        let connection = within(self.server.connect_timeout, worker.get_or_connect()).await?;
        match connection.send_to_slot(slot, command).await {
            Some(answer) => answer,
            None => connection.send(command).await,
        }
    }
}

/// The driver's command, allocated in its final size: growing would copy a record several times.
pub(crate) fn packed(command: &[&[u8]]) -> Cmd {
    let mut packed = Cmd::with_capacity(command.len(), size(command));
    packed.arg(command);
    packed
}

/// The bytes of a command's name and arguments.
pub(crate) fn size(command: &[&[u8]]) -> usize {
    command.iter().map(|part| part.len()).sum()
}

/// Sends the command until it is answered or must not be sent again. Connects if necessary.
/// `failed` is the first attempt, if there was one.
async fn connect_and_send(
    worker: &Arc<WorkerConnection>,
    command: &[&[u8]],
    mut retry: Retry,
    deadline: Instant,
    mut failed: Option<(Arc<Connection>, RedisError)>,
) -> RedisResult<Value> {
    use ErrorClass::{ClusterDown, Disconnected, Moved, ReadOnly, Refused, Timeout, Unreachable};
    let is_cluster = worker.server.address.is_cluster();
    let mut delays = CLUSTER_RETRY_DELAYS.iter();
    loop {
        if let Some((connection, error)) = failed {
            let class = ErrorClass::of(&error);
            match class {
                // A new connection would probably lead to the same replica.
                ReadOnly if connection.age() <= MIN_AGE_TO_REPLACE => {}
                Timeout | ReadOnly => worker.replace(&connection, MIN_AGE_TO_REPLACE),
                ClusterDown => worker.replace(&connection, MIN_AGE_TO_ASK_AGAIN),
                // The driver reconnects to a single node of a cluster by itself.
                Disconnected if is_cluster => {}
                Disconnected | Unreachable => worker.discard(&connection),
                Refused | Moved => {}
            }
            match class {
                Disconnected if retry == Retry::Once => retry = Retry::Never,
                Refused | Timeout | Disconnected | ClusterDown => return Err(error),
                ReadOnly | Unreachable | Moved => match delays.next() {
                    Some(delay) if is_cluster => tokio::time::sleep(*delay).await,
                    _ => return Err(error),
                },
            }
        }
        let connection = within(deadline - Instant::now(), worker.get_or_connect()).await?;
        match within(deadline - Instant::now(), connection.send(command)).await {
            Ok(answer) => return Ok(answer),
            Err(error) => failed = Some((connection, error)),
        }
    }
}
