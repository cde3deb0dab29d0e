use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redis::{Cmd, ErrorKind, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use tokio::sync::oneshot;

/// Makes a request's command, each time that it is sent.
pub(crate) type Command<'c> = &'c (dyn Fn() -> Cmd + Send + Sync);

/// A command of these words, made in its size: growing would copy a record several times.
pub(crate) fn command(words: &[&[u8]]) -> Cmd {
    let size = words.iter().map(|word| word.len()).sum();
    let mut command = Cmd::with_capacity(words.len(), size);
    command.arg(words);
    command
}

// With more, the first of a batch would wait for the replies to the last.
const MOST: usize = 16;

/// What the requests of one thread ask of a connection at the same time, in one call of the driver.
///
/// The driver pipelines single calls too, but its share in them costs more than Redis's own; shared by those that a
/// busy thread makes at once, it is small. A thread with one request waits for nobody.
#[derive(Clone, Default)]
pub(crate) struct Batch(Arc<Mutex<Pending>>);

struct Pending {
    commands: Pipeline,
    /// Who waits for the reply to each.
    waiting: Vec<oneshot::Sender<RedisResult<Value>>>,
}

impl Batch {
    /// Sends the command with those of whoever asks meanwhile, and waits for its reply.
    pub(crate) async fn ask(
        &self,
        connection: &MultiplexedConnection,
        command: Command<'_>,
    ) -> RedisResult<Value> {
        let reply = self.join(connection, command).await;
        // Whoever would have answered is gone with its runtime.
        reply.unwrap_or_else(|_| Err((ErrorKind::Io, "the connection's task is gone").into()))
    }

    fn join(
        &self,
        connection: &MultiplexedConnection,
        command: Command<'_>,
    ) -> oneshot::Receiver<RedisResult<Value>> {
        let (answer, receiver) = oneshot::channel();
        let mut pending = self.pending();
        pending.commands.add_command(command());
        pending.waiting.push(answer);
        match pending.waiting.len() {
            // A task, so that nobody else's answer is lost with a request that is dropped; it runs after the requests
            // that are ready by now, which ask for theirs first.
            1 => {
                let (batch, connection) = (self.clone(), connection.clone());
                tokio::spawn(async move { batch.take().send(connection).await });
            }
            MOST => {
                let full = mem::take(&mut *pending);
                tokio::spawn(full.send(connection.clone()));
            }
            _ => {}
        }
        receiver
    }

    fn take(&self) -> Pending {
        mem::take(&mut *self.pending())
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            commands: Pipeline::with_capacity(MOST),
            waiting: Vec::with_capacity(MOST),
        }
    }
}

impl Pending {
    async fn send(self, mut connection: MultiplexedConnection) {
        let count = self.commands.len();
        if count == 0 {
            return;
        }
        let replies = connection.send_packed_commands(&self.commands, 0, count);
        match replies.await {
            Ok(replies) => {
                for (waiting, reply) in self.waiting.into_iter().zip(replies) {
                    let _ = waiting.send(reply.extract_error());
                }
            }
            Err(error) => {
                for waiting in self.waiting {
                    let _ = waiting.send(Err(error.clone()));
                }
            }
        }
    }
}
