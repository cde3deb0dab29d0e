//! Sends the commands that the requests of one thread issue at the same time in one pipeline.

use std::mem;

use redis::{Cmd, ErrorKind, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use tokio::sync::{mpsc, oneshot};

// All commands of a batch wait for the reply to the last one.
const MAX_COMMANDS: usize = 16;

/// A command, and the channel for its reply.
type Call = (Cmd, oneshot::Sender<RedisResult<Value>>);

/// Collects commands for one connection and passes them to the driver in one call.
///
/// The driver pipelines single calls too, but its overhead for each is larger than Redis's own
/// work. A batch shares the overhead among the commands that a busy thread issues at once. A
/// single command is sent immediately.
pub(crate) struct Batch(mpsc::UnboundedSender<Call>);

impl Batch {
    pub(crate) fn spawn(connection: MultiplexedConnection) -> Self {
        let (sender, mut calls) = mpsc::unbounded_channel();
        // The task runs after the requests that are ready now, so their commands are in the queue
        // by then. It ends when the batch is dropped.
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(MAX_COMMANDS);
            while calls.recv_many(&mut batch, MAX_COMMANDS).await > 0 {
                let batch = mem::replace(&mut batch, Vec::with_capacity(MAX_COMMANDS));
                tokio::spawn(send_batch(connection.clone(), batch));
            }
        });
        Self(sender)
    }

    /// Sends the command with those that are issued at the same time, and waits for its reply.
    pub(crate) async fn send(&self, command: Cmd) -> RedisResult<Value> {
        let (sender, reply) = oneshot::channel();
        // If the runtime of the task was shut down, this drops the sender and so ends the wait.
        let _ = self.0.send((command, sender));
        let ended = (
            ErrorKind::Io,
            "the task that sends to Redis has ended, with its runtime",
        );
        reply.await.unwrap_or_else(|_| Err(ended.into()))
    }
}

async fn send_batch(mut connection: MultiplexedConnection, batch: Vec<Call>) {
    let mut pipeline = Pipeline::with_capacity(batch.len());
    let mut senders = Vec::with_capacity(batch.len());
    for (command, sender) in batch {
        pipeline.add_command(command);
        senders.push(sender);
    }
    let replies = connection.send_packed_commands(&pipeline, 0, senders.len());
    let replies = match replies.await {
        Ok(replies) => replies.into_iter().map(Value::extract_error).collect(),
        Err(error) => vec![Err(error); senders.len()],
    };
    for (sender, reply) in senders.into_iter().zip(replies) {
        let _ = sender.send(reply);
    }
}
