//! Sends the commands that the requests of one thread issue at the same time in one pipeline.

use std::{
    hash::{BuildHasher, RandomState},
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use redis::{Cmd, ErrorKind, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use tokio::sync::{mpsc, oneshot};

// All commands of a batch wait for the reply to the last one.
const MAX_COMMANDS: usize = 16;

/// A command, and the channel for its reply.
type Call = (Cmd, oneshot::Sender<RedisResult<Value>>);

/// Counts the silences that a store met: commands without an answer in time. What makes one
/// connection silent, such as a server or a path that is gone, has often silenced the others too,
/// so a silence ends the use of all connections that were open then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silences(Arc<AtomicUsize>);

/// Collects commands for one connection and passes them to the driver in one call.
///
/// The driver pipelines single calls too, but its overhead for each is larger than Redis's own
/// work. A batch shares the overhead among the commands that a busy thread issues at once. A
/// single command is sent immediately.
pub(crate) struct Batch {
    calls: mpsc::UnboundedSender<Call>,
    silences: Silences,
    /// How many there had been when the connection was opened.
    before: usize,
}

impl Batch {
    pub(crate) fn spawn(connection: MultiplexedConnection, silences: &Silences) -> Self {
        let (sender, mut calls) = mpsc::unbounded_channel();
        let (silences, before) = (silences.clone(), silences.0.load(Relaxed));
        let batch = Self {
            calls: sender,
            silences: silences.clone(),
            before,
        };
        // The task runs after the requests that are ready now, so their commands are in the queue
        // by then. It ends when the batch is dropped.
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(MAX_COMMANDS);
            // Random, so that no record can contain the number that comes.
            let mut number = RandomState::new().hash_one(0);
            while calls.recv_many(&mut batch, MAX_COMMANDS).await > 0 {
                let batch = mem::replace(&mut batch, Vec::with_capacity(MAX_COMMANDS));
                let (connection, silences) = (connection.clone(), silences.clone());
                number = number.wrapping_add(1);
                // A task also because callers may be dropped before the silence is long enough.
                tokio::spawn(async move {
                    if send_batch(connection, batch, number).await {
                        // Once for all connections that the same silence concerns.
                        let _ = silences
                            .0
                            .compare_exchange(before, before + 1, Relaxed, Relaxed);
                    }
                });
            }
        });
        batch
    }

    /// Whether no silence was met since the connection was opened.
    pub(crate) fn is_trusted(&self) -> bool {
        self.silences.0.load(Relaxed) == self.before
    }

    /// Sends the command with those that are issued at the same time, and waits for its reply.
    pub(crate) async fn send(&self, command: Cmd) -> RedisResult<Value> {
        let (sender, reply) = oneshot::channel();
        // If the runtime of the task was shut down, this drops the sender and so ends the wait.
        let _ = self.calls.send((command, sender));
        let ended = (
            ErrorKind::Io,
            "the task that sends to Redis has ended, with its runtime",
        );
        reply.await.unwrap_or_else(|_| Err(ended.into()))
    }
}

/// Sends the commands and passes on the replies. Whether the connection must not be used any more.
///
/// Redis does not number its replies. If a part of them is missing, or if a length lacks a digit
/// and a record is read as replies, all replies from there on are those to other commands. So the
/// last command echoes a number, and if its reply is not this number, none of the replies is used.
async fn send_batch(mut connection: MultiplexedConnection, batch: Vec<Call>, number: u64) -> bool {
    let mut pipeline = Pipeline::with_capacity(batch.len() + 1);
    let mut senders = Vec::with_capacity(batch.len());
    for (command, sender) in batch {
        pipeline.add_command(command);
        senders.push(sender);
    }
    pipeline.cmd("ECHO").arg(number);
    let replies = connection.send_packed_commands(&pipeline, 0, senders.len() + 1);
    let (replies, is_unusable) = match replies.await {
        Ok(replies) => match with_last(replies, number) {
            Ok(replies) => (replies, false),
            Err(error) => (vec![Err(error); senders.len()], true),
        },
        Err(error) => {
            let is_silent = error.is_timeout();
            (vec![Err(error); senders.len()], is_silent)
        }
    };
    for (sender, reply) in senders.into_iter().zip(replies) {
        let _ = sender.send(reply);
    }
    is_unusable
}

/// The replies before the last, which must be `number`.
fn with_last(mut replies: Vec<Value>, number: u64) -> RedisResult<Vec<RedisResult<Value>>> {
    let last = replies.pop().map(Value::extract_error);
    let replies: Vec<_> = replies.into_iter().map(Value::extract_error).collect();
    match last {
        Some(Ok(Value::BulkString(text))) if text == number.to_string().as_bytes() => Ok(replies),
        // Such as a server that is loading its data: each reply says so. Or the user must not echo.
        Some(Err(error)) => {
            let unchecked = |reply: RedisResult<_>| reply.and(Err(error.clone()));
            Ok(replies.into_iter().map(unchecked).collect())
        }
        _ => Err((
            ErrorKind::Parse,
            "the replies are not those to these commands",
        )
            .into()),
    }
}
