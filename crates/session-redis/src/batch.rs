use std::mem;

use redis::{Cmd, ErrorKind, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use tokio::sync::{mpsc, oneshot};

// With more, the first of a batch would wait for the replies to the last.
const MOST: usize = 16;

/// A command, and who waits for the reply to it.
type Asked = (Cmd, oneshot::Sender<RedisResult<Value>>);

/// What the requests of one thread ask of a connection at the same time, in one call of the driver.
///
/// The driver pipelines single calls too, but its share in them costs more than Redis's own; shared by those that a
/// busy thread makes at once, it is small. A thread with one request waits for nobody.
pub(crate) struct Batch(mpsc::UnboundedSender<Asked>);

impl Batch {
    pub(crate) fn on(connection: MultiplexedConnection) -> Self {
        let (asks, mut asked) = mpsc::unbounded_channel();
        // It runs after the requests that are ready by now, which ask for theirs first, and ends with this sender.
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(MOST);
            while asked.recv_many(&mut batch, MOST).await > 0 {
                let batch = mem::replace(&mut batch, Vec::with_capacity(MOST));
                tokio::spawn(send(connection.clone(), batch));
            }
        });
        Self(asks)
    }

    /// Sends the command with those of whoever asks meanwhile, and waits for its reply.
    pub(crate) async fn ask(&self, command: Cmd) -> RedisResult<Value> {
        let (answer, reply) = oneshot::channel();
        // If the task is gone with its runtime, the sender of the reply goes here.
        let _ = self.0.send((command, answer));
        let gone = (ErrorKind::Io, "the connection's task is gone");
        reply.await.unwrap_or_else(|_| Err(gone.into()))
    }
}

async fn send(mut connection: MultiplexedConnection, batch: Vec<Asked>) {
    let mut commands = Pipeline::with_capacity(batch.len());
    let mut waiting = Vec::with_capacity(batch.len());
    for (command, answer) in batch {
        commands.add_command(command);
        waiting.push(answer);
    }
    let replies = connection.send_packed_commands(&commands, 0, waiting.len());
    let replies = match replies.await {
        Ok(replies) => replies.into_iter().map(Value::extract_error).collect(),
        Err(error) => vec![Err(error); waiting.len()],
    };
    for (waiting, reply) in waiting.into_iter().zip(replies) {
        let _ = waiting.send(reply);
    }
}
