//! The driver's experimental module `exp` is named in this file and nowhere else.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use memcache::exp::{
    AsyncMetaClient, Delete, Error, Get, GetResult, Meta, MutationResult, MutationStatus,
    Operation, Set,
};

use crate::failure::Failure;

/// Connections to a node that one runtime keeps open and may have open.
const MAX_CONNECTIONS: usize = 32;
/// How long a node that could not be reached is left in peace.
const PAUSE: Duration = Duration::from_millis(100);

/// An item as it was found.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) value: Vec<u8>,
    pub(crate) cas: u64,
}

/// What must hold for a value to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    Absent,
    Cas(u64),
}

/// The connections of one runtime to one node; opens them when they are needed.
pub(crate) struct Client {
    address: Box<str>,
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<AsyncMetaClient>,
    unreachable_until: Option<Instant>,
}

impl Client {
    pub(crate) fn new(address: &str, timeout: Duration) -> Self {
        Self {
            address: address.into(),
            timeout,
            state: Mutex::default(),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Reads all `keys` in one round trip; the answers are in their order.
    pub(crate) async fn get(&self, keys: &[&str]) -> Vec<Result<Option<Item>, Failure>> {
        let mut answers = self.run(keys.iter().map(|key| get(key)).collect()).await;
        // A read may be sent twice: the connection had died while it was idle, or the node was restarted.
        if answers
            .iter()
            .any(|answer| matches!(answer, Err(Failure::Lost(_))))
        {
            answers = self.run(keys.iter().map(|key| get(key)).collect()).await;
        }
        answers
            .into_iter()
            .map(|answer| self.believed(answer.and_then(item)))
            .collect()
    }

    /// Stores `value` until the unix time `exptime`; the answer is the new CAS number, `None` if the condition failed.
    pub(crate) async fn set(
        &self,
        key: &str,
        value: &[u8],
        exptime: u32,
        condition: Condition,
    ) -> Result<Option<u64>, Failure> {
        let set = Set::new(key, value).ttl_raw(exptime).return_cas();
        let answer = self
            .run_one(match condition {
                Condition::Absent => set.add(),
                Condition::Cas(cas) => set.compare_cas(cas),
            })
            .await?;
        self.believed(applied(&answer).and_then(|applied| {
            if applied {
                number(answer.cas).map(Some)
            } else {
                Ok(None)
            }
        }))
    }

    /// Removes the item if there is one.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), Failure> {
        let answer = self.run_one(Delete::new(key)).await?;
        self.believed(applied(&answer)).map(drop)
    }

    async fn run_one<O: Operation>(&self, operation: O) -> Result<O::Output, Failure> {
        let mut answers = self.run(vec![operation]).await;
        answers.pop().unwrap_or(Err(Failure::Protocol))
    }

    /// As a batch even if it is one: then the driver numbers the commands and compares the numbers in the answers.
    async fn run<O: Operation>(&self, operations: Vec<O>) -> Vec<Result<O::Output, Failure>> {
        let count = operations.len();
        let exchange = async {
            let client = self.open().await?;
            client.run_many(operations).await.map_err(failure)
        };
        let answers = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(answers)) => answers.into_iter().map(|a| a.map_err(failure)).collect(),
            Ok(Err(failure)) => vec_of(count, &failure),
            Err(_) => vec_of(count, &Failure::Timeout),
        };
        if let Some(failure) = answers.iter().find_map(|answer| answer.as_ref().err()) {
            self.note(failure);
        }
        answers
    }

    async fn open(&self) -> Result<AsyncMetaClient, Failure> {
        {
            let state = self.state();
            if let Some(client) = &state.open {
                return Ok(client.clone());
            }
            if state
                .unreachable_until
                .is_some_and(|until| Instant::now() < until)
            {
                return Err(Failure::Unreachable(None));
            }
        }
        // Resolves the name and connects to nothing yet.
        let client = AsyncMetaClient::builder()
            .connect_timeout(Some(self.timeout))
            .io_timeout(Some(self.timeout))
            .max_idle(MAX_CONNECTIONS)
            .max_connections(Some(MAX_CONNECTIONS))
            .connect_async(&*self.address)
            .await
            .map_err(|error| match failure(error) {
                Failure::Lost(source) => Failure::Unreachable(Some(source)),
                other => other,
            })?;
        self.state().open = Some(client.clone());
        Ok(client)
    }

    /// What was understood of an answer; after one that makes no sense the connections are not used again.
    fn believed<T>(&self, understood: Result<T, Failure>) -> Result<T, Failure> {
        understood.inspect_err(|failure| self.note(failure))
    }

    /// Gives up the client, and with it its connections, if the node may have moved, since the driver resolves a name
    /// only once, or if a connection may be out of step.
    fn note(&self, failure: &Failure) {
        match failure {
            Failure::Unreachable(Some(_)) => {
                let mut state = self.state();
                state.open = None;
                state.unreachable_until = Some(Instant::now() + PAUSE);
            }
            Failure::Timeout | Failure::Protocol => self.state().open = None,
            Failure::Unanswered(cause) => self.note(cause),
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn get(key: &str) -> Get {
    Get::new(key).meta(Meta::NONE.cas())
}

fn item(found: GetResult) -> Result<Option<Item>, Failure> {
    if !found.hit() {
        return Ok(None);
    }
    Ok(Some(Item {
        value: found.value.ok_or(Failure::Protocol)?,
        cas: number(found.item.cas)?,
    }))
}

/// 0 is no number: sent back, it would mean "without condition".
fn number(cas: Option<u64>) -> Result<u64, Failure> {
    match cas {
        Some(0) => Err(Failure::NoCas),
        Some(cas) => Ok(cas),
        None => Err(Failure::Protocol),
    }
}

fn applied(answer: &MutationResult) -> Result<bool, Failure> {
    match answer.status {
        MutationStatus::Applied => Ok(true),
        MutationStatus::NotFound | MutationStatus::AlreadyExists | MutationStatus::CasMismatch => {
            Ok(false)
        }
        _ => Err(Failure::Protocol),
    }
}

fn vec_of<T>(count: usize, failure: &Failure) -> Vec<Result<T, Failure>> {
    (0..count).map(|_| Err(failure.clone())).collect()
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Io(source) if unreachable(&source) => Failure::Unreachable(Some(source.into())),
        Error::Io(source) => Failure::Lost(source.into()),
        Error::Timeout { .. } => Failure::Timeout,
        Error::Ambiguous { source, .. } => Failure::Unanswered(Box::new(failure(*source))),
        Error::Server(text) => Failure::Server(text.into()),
        Error::Usage(text) => Failure::Usage(text),
        // Their texts quote what was received, which may be part of another session's data.
        _ => Failure::Protocol,
    }
}

fn unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionRefused | HostUnreachable | NetworkUnreachable
    )
}
