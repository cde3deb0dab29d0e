//! Sends the commands that the requests of one thread issue at the same time in one pipeline.

use std::{
    hash::{BuildHasher, RandomState},
    iter,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use redis::{Cmd, ErrorKind, Pipeline, RedisResult, Value, aio::MultiplexedConnection};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{mpsc, oneshot},
    task::yield_now,
};

// All commands of a batch wait for the reply to the last one.
const MAX_COMMANDS: usize = 16;
// The bytes of a command that still shares a batch. What a batch saves is the same for each command. Its buffers hold
// all of them, and if these are long, the allocator gets them from the system and gives them back each time: with 8
// visitors, changes of 30 KB whose commands had the old record too took 1.7 times the processor time.
const MAX_SIZE: usize = 32 * 1024;

/// The channel for a reply.
type Sender = oneshot::Sender<RedisResult<Value>>;

/// Counts the silences that a store met: commands without an answer in time. What makes one
/// connection silent, such as a server or a path that is gone, has often silenced the others too,
/// so a silence ends the use of all connections that were open then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silences(Arc<AtomicUsize>);

/// Collects commands for one connection and passes them to the driver in one call.
///
/// The driver pipelines single calls too, but its overhead for each is larger than Redis's own
/// work. A batch shares the overhead among the commands that a busy thread issues at once. A
/// command that is alone, or large, is passed to the driver at once, without a task in between.
pub(crate) struct Batch {
    line: Arc<Line>,
    calls: mpsc::UnboundedSender<(Cmd, Sender)>,
    /// How many callers wait for a reply.
    waiting: Arc<AtomicUsize>,
    /// Whether the last batch had several commands. Then the next one probably has, too, and
    /// nothing is gained if its first command goes ahead.
    was_shared: Arc<AtomicBool>,
}

impl Batch {
    pub(crate) fn spawn(connection: MultiplexedConnection, silences: &Silences) -> Self {
        let (sender, mut calls) = mpsc::unbounded_channel();
        let line = Arc::new(Line {
            connection,
            silences: silences.clone(),
            before: silences.0.load(Relaxed),
            number: AtomicU64::new(RandomState::new().hash_one(0)),
        });
        let batch = Self {
            line: Arc::clone(&line),
            calls: sender,
            waiting: Arc::default(),
            was_shared: Arc::default(),
        };
        let was_shared = Arc::clone(&batch.was_shared);
        let waiting = Arc::clone(&batch.waiting);
        // The task runs after the requests that are ready now, so their commands are in the queue
        // by then. It ends when the batch is dropped.
        tokio::spawn(async move {
            let runs_next = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
            while let Some(first) = calls.recv().await {
                if runs_next {
                    // There a task that was woken runs before those that were ready already.
                    yield_now().await;
                }
                // Two batches at least, so that Redis and this thread have work at the same time.
                let most = waiting.load(Relaxed).div_ceil(2).clamp(1, MAX_COMMANDS);
                let rest = iter::from_fn(|| calls.try_recv().ok()).take(most - 1);
                // Room for the command that ends it, too.
                let mut pipeline = Pipeline::with_capacity(most + 1);
                let mut senders = Vec::with_capacity(most);
                for (command, sender) in iter::once(first).chain(rest) {
                    pipeline.add_command(command);
                    senders.push(sender);
                }
                was_shared.store(senders.len() > 1, Relaxed);
                tokio::spawn(Arc::clone(&line).send_batch(pipeline, senders));
            }
        });
        batch
    }

    /// Whether no silence was met since the connection was opened.
    pub(crate) fn is_trusted(&self) -> bool {
        self.line.silences.0.load(Relaxed) == self.line.before
    }

    /// Sends the command, of `size` bytes, with those that are issued at the same time, and waits for its reply.
    pub(crate) async fn send(&self, command: Cmd, size: usize) -> RedisResult<Value> {
        let waiting = Waiting::new(&self.waiting);
        if size > MAX_SIZE || waiting.is_alone && !self.was_shared.load(Relaxed) {
            return RunToEnd(Some(Box::pin(Arc::clone(&self.line).send_alone(command)))).await;
        }
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

/// Counts a caller as long as it waits.
struct Waiting<'b> {
    count: &'b AtomicUsize,
    is_alone: bool,
}

impl<'b> Waiting<'b> {
    fn new(count: &'b AtomicUsize) -> Self {
        let is_alone = count.fetch_add(1, Relaxed) == 0;
        Self { count, is_alone }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

/// An exchange that goes on in a task of its own if its caller is dropped, because callers may be
/// dropped before a silence is long enough to be one.
struct RunToEnd(Option<Pin<Box<dyn Future<Output = RedisResult<Value>> + Send>>>);

impl Future for RunToEnd {
    type Output = RedisResult<Value>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let exchange = self.0.as_mut().expect("it has not ended");
        let reply = ready!(exchange.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(reply)
    }
}

impl Drop for RunToEnd {
    fn drop(&mut self) {
        // Without a runtime the driver's task has ended, too.
        if let (Some(exchange), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(exchange);
        }
    }
}

/// The driver's connection, and what tells whether it can still be used.
struct Line {
    connection: MultiplexedConnection,
    silences: Silences,
    /// How many there had been when the connection was opened.
    before: usize,
    /// What the next `ECHO` says. It begins at random, so that no record can contain it.
    number: AtomicU64,
}

impl Line {
    async fn send_batch(self: Arc<Self>, pipeline: Pipeline, senders: Vec<Sender>) {
        match self.exchange(pipeline, senders.len()).await {
            Ok(replies) => {
                for (sender, reply) in senders.into_iter().zip(replies) {
                    let _ = sender.send(reply);
                }
            }
            Err(error) => {
                for sender in senders {
                    let _ = sender.send(Err(error.clone()));
                }
            }
        }
    }

    async fn send_alone(self: Arc<Self>, command: Cmd) -> RedisResult<Value> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(command);
        let mut replies = self.exchange(pipeline, 1).await?;
        replies.pop().expect("there is a reply to each command")
    }

    /// Sends the commands, `count` of them, and returns their replies.
    ///
    /// Redis does not number its replies. If a part of them is missing, or if a length lacks a
    /// digit and a record is read as replies, all replies from there on are those to other
    /// commands. So the last command echoes a number, and if its reply is not this number, none of
    /// the replies is used.
    async fn exchange(
        &self,
        mut pipeline: Pipeline,
        count: usize,
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        let number = self.number.fetch_add(1, Relaxed);
        pipeline.cmd("ECHO").arg(number);
        let mut connection = self.connection.clone();
        let replies = connection.send_packed_commands(&pipeline, 0, count + 1);
        let (result, is_unusable) = match replies.await {
            Ok(replies) => {
                let result = with_last(replies, number);
                let is_unusable = result.is_err();
                (result, is_unusable)
            }
            Err(error) => {
                let is_silent = error.is_timeout();
                (Err(error), is_silent)
            }
        };
        if is_unusable {
            // Once for all connections that the same silence concerns.
            let (before, silences) = (self.before, &self.silences.0);
            let _ = silences.compare_exchange(before, before + 1, Relaxed, Relaxed);
        }
        result
    }
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
