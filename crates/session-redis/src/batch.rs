use std::{
    mem,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redis::{
    ErrorKind, FromRedisValue, Pipeline, RedisResult, Value, aio::MultiplexedConnection,
    from_redis_value,
};
use tokio::sync::oneshot;

/// Adds the commands of one request to a pipeline.
pub(crate) type Commands<'c> = &'c (dyn Fn(&mut Pipeline) + Send + Sync);

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
    waiting: Vec<Waiting>,
}

struct Waiting {
    /// Which of the batch's replies are its own.
    replies: Range<usize>,
    answer: oneshot::Sender<RedisResult<Vec<Value>>>,
}

impl Batch {
    /// Sends the commands with those of whoever asks meanwhile, and waits for their replies.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        connection: &MultiplexedConnection,
        commands: Commands<'_>,
    ) -> RedisResult<T> {
        let answer = self.join(connection, commands).await;
        // Whoever would have answered is gone with its runtime.
        answer.map_or_else(|_| Err(closed()), decode)
    }

    fn join(
        &self,
        connection: &MultiplexedConnection,
        commands: Commands<'_>,
    ) -> oneshot::Receiver<RedisResult<Vec<Value>>> {
        let (answer, receiver) = oneshot::channel();
        let mut pending = self.pending();
        let before = pending.commands.len();
        commands(&mut pending.commands);
        let replies = before..pending.commands.len();
        pending.waiting.push(Waiting { replies, answer });
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
        let answer = connection.send_packed_commands(&self.commands, 0, count);
        match answer.await {
            Ok(mut replies) => {
                for waiting in self.waiting {
                    let own = replies.get_mut(waiting.replies).unwrap_or_default();
                    let own = own.iter_mut().map(|it| mem::replace(it, Value::Nil));
                    let _ = waiting.answer.send(Ok(own.collect()));
                }
            }
            Err(error) => {
                for waiting in self.waiting {
                    let _ = waiting.answer.send(Err(error.clone()));
                }
            }
        }
    }
}

/// What the replies to one request's commands say, unless one of them is an error.
pub(crate) fn decode<T: FromRedisValue>(replies: RedisResult<Vec<Value>>) -> RedisResult<T> {
    let replies: RedisResult<Vec<_>> = replies?.into_iter().map(Value::extract_error).collect();
    Ok(from_redis_value(Value::Array(replies?))?)
}

fn closed() -> redis::RedisError {
    (ErrorKind::Io, "the connection's task is gone").into()
}
