//! The connections of one runtime to one node. Only this file uses the driver's experimental
//! module `exp`.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use memcache::exp::{
    AsyncMetaClient, Delete, Error, Get, GetResult, Meta, MutationResult, MutationStatus,
    Operation, Set,
};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::error::CallError;

/// How many calls of one runtime to a node may be under way. Each has a connection of its own. As
/// many connections are kept open.
const MAX_CONNECTIONS: usize = 32;
/// How long a node that could not be reached is not tried again.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// An item that was loaded.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) value: Vec<u8>,
    pub(crate) cas: u64,
}

/// The condition under which a value is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    /// There is no item under the key.
    Absent,
    /// The item has this CAS number.
    Cas(u64),
}

/// The connections of one runtime to one node. Opens them when they are needed.
pub(crate) struct NodeClient {
    address: Box<str>,
    timeout: Duration,
    /// A permit is held while a call is under way. The driver would count the connections of one
    /// client, but those of the client before it may still be in use.
    calls: Semaphore,
    state: Mutex<State>,
}

/// The driver's client for the node: its addresses, and the connections to them.
#[derive(Default)]
enum State {
    /// There is none. The next call opens one.
    #[default]
    Closed,
    /// One is being opened. The callers wait for it.
    Opening(Attempt),
    /// All calls use it.
    Open(Arc<AsyncMetaClient>),
    /// The node could not be reached. Until then, calls fail with this error and it is not tried.
    Failed { error: CallError, until: Instant },
}

type Opened = Result<Arc<AsyncMetaClient>, CallError>;
/// An attempt to open a client. The sender is dropped without a result if the runtime is shut down.
type Attempt = watch::Receiver<Option<Opened>>;

impl NodeClient {
    pub(crate) fn new(address: &str, timeout: Duration) -> Self {
        Self {
            address: address.into(),
            timeout,
            calls: Semaphore::new(MAX_CONNECTIONS),
            state: Mutex::default(),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Reads all `keys` in one round trip. The results are in the order of the keys.
    pub(crate) async fn get(
        self: &Arc<Self>,
        keys: &[&str],
    ) -> Vec<Result<Option<Item>, CallError>> {
        let operations = || keys.iter().map(|key| get(key)).collect();
        let results = self.run(operations(), item).await;
        // A read is safe to repeat. The connection may have died while it was idle, for example
        // because the node was restarted.
        if results
            .iter()
            .any(|result| matches!(result, Err(CallError::Disconnected(_))))
        {
            return self.run(operations(), item).await;
        }
        results
    }

    /// Stores `value` until the unix time `exptime`. Returns the new CAS number, or `None` if the
    /// condition was not met.
    pub(crate) async fn set(
        self: &Arc<Self>,
        key: &str,
        value: &[u8],
        exptime: u32,
        condition: Condition,
    ) -> Result<Option<u64>, CallError> {
        let set = Set::new(key, value).ttl_raw(exptime).return_cas();
        let set = match condition {
            Condition::Absent => set.add(),
            Condition::Cas(cas) => set.compare_cas(cas),
        };
        self.run_one(set, |answer| {
            if was_applied(&answer)? {
                cas_number(answer.cas).map(Some)
            } else {
                Ok(None)
            }
        })
        .await
    }

    /// Removes the item if there is one.
    pub(crate) async fn delete(self: &Arc<Self>, key: &str) -> Result<(), CallError> {
        self.run_one(Delete::new(key), |answer| was_applied(&answer).map(drop))
            .await
    }

    async fn run_one<O: Operation, T>(
        self: &Arc<Self>,
        operation: O,
        content: impl Fn(O::Output) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let mut results = self.run(vec![operation], content).await;
        results.pop().unwrap_or(Err(CallError::Protocol))
    }

    /// Runs the operations as one of the driver's batches, also a single one: only in a batch does
    /// the driver number the commands and compare the numbers in the answers. `content` reads an
    /// answer.
    async fn run<O: Operation, T>(
        self: &Arc<Self>,
        operations: Vec<O>,
        content: impl Fn(O::Output) -> Result<T, CallError>,
    ) -> Vec<Result<T, CallError>> {
        let count = operations.len();
        let mut used = None;
        let call = async {
            // Before the client is looked at: it may be given up while this call waits.
            let _permit = self.calls.acquire().await;
            let client = self.client().await?;
            let (client, _) = used.insert((client, Instant::now()));
            client.run_many(operations).await.map_err(call_error)
        };
        let results = match timeout(self.timeout, call).await {
            Ok(Ok(results)) => results
                .into_iter()
                .map(|answer| answer.map_err(call_error).and_then(&content))
                .collect(),
            Ok(Err(error)) => fail_all(count, &error),
            Err(_) => fail_all(count, &CallError::Timeout),
        };
        // A call that got no client says nothing about one.
        if let Some((client, since)) = used {
            // Nor does one that waited so long for it that the node had little time to answer.
            let had_time = since.elapsed() >= self.timeout / 2;
            for error in results.iter().filter_map(|result| result.as_ref().err()) {
                if had_time || !matches!(error, CallError::Timeout) {
                    self.give_up(&client, error);
                }
            }
        }
        results
    }

    /// The driver's client for this node, opened if there is none.
    async fn client(self: &Arc<Self>) -> Opened {
        let mut attempt = {
            let mut state = self.state();
            match &*state {
                State::Open(client) => return Ok(Arc::clone(client)),
                State::Failed { error, until } if Instant::now() < *until => {
                    return Err(error.clone());
                }
                State::Opening(attempt) if attempt.has_changed().is_ok() => attempt.clone(),
                _ => {
                    let attempt = self.attempt();
                    *state = State::Opening(attempt.clone());
                    attempt
                }
            }
        };
        let ended = attempt.wait_for(Option::is_some).await;
        let opened = ended.ok().and_then(|opened| opened.clone());
        opened.unwrap_or(Err(CallError::RuntimeClosed))
    }

    /// Starts to open a client, in a task of its own, so that it continues for the other callers if
    /// one of them is dropped or out of time. The look-up of a name in particular cannot be ended:
    /// each keeps a thread of the runtime until the system's resolver answers, so there must not be
    /// a second one beside it.
    fn attempt(self: &Arc<Self>) -> Attempt {
        let (ended, attempt) = watch::channel(None);
        let node = Arc::downgrade(self);
        let (address, timeout) = (self.address.clone(), self.timeout);
        tokio::spawn(async move {
            let mut opened = open(&address, timeout).await;
            // The node may have closed the connection because it was about to restart.
            if matches!(opened, Err(CallError::Disconnected(_))) {
                opened = open(&address, timeout).await;
            }
            let opened = opened.map(Arc::new);
            if let Some(node) = node.upgrade() {
                *node.state() = match &opened {
                    Ok(client) => State::Open(Arc::clone(client)),
                    // It has taken long enough.
                    Err(CallError::Timeout) => State::Closed,
                    Err(error) => State::failed(error),
                };
            }
            ended.send_replace(Some(opened));
        });
        attempt
    }

    /// Drops the driver's client and its connections after an error that calls for new ones.
    ///
    /// The driver resolves a name only once, so a node that cannot be reached may have moved. After
    /// a timeout, the other connections may lead nowhere either, and each would cost a call its
    /// time. After a wrong answer, they may be wrong, too.
    ///
    /// A timeout is no error of other calls: they wait until the next client has been answered
    /// once. If only one answer was late, that takes a round trip. A node that stays silent gets
    /// one new connection per timeout, and not one from each call.
    fn give_up(&self, client: &Arc<AsyncMetaClient>, error: &CallError) {
        let next = match error {
            CallError::UnknownResult(cause) => return self.give_up(client, cause),
            CallError::Unreachable(_) => State::failed(error),
            CallError::Timeout | CallError::Protocol => State::Closed,
            _ => return,
        };
        let mut state = self.state();
        // Of many calls that fail together, only the first finds the client that they used.
        if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, client)) {
            *state = next;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn failed(error: &CallError) -> Self {
        Self::Failed {
            error: error.clone(),
            until: Instant::now() + RECONNECT_DELAY,
        }
    }
}

/// Resolves the address, opens a connection and waits for one answer. The look-up has no time
/// limit.
async fn open(address: &str, limit: Duration) -> Result<AsyncMetaClient, CallError> {
    let client = AsyncMetaClient::builder()
        .connect_timeout(Some(limit))
        .io_timeout(Some(limit))
        .max_idle(MAX_CONNECTIONS)
        .connect_async(address)
        .await
        .map_err(|error| match call_error(error) {
            CallError::Disconnected(source) => CallError::Unreachable(source),
            other => other,
        })?;
    match timeout(limit, client.noop()).await {
        Ok(answer) => answer.map(|()| client).map_err(call_error),
        Err(_) => Err(CallError::Timeout),
    }
}

fn get(key: &str) -> Get {
    Get::new(key).meta(Meta::NONE.cas())
}

fn item(answer: GetResult) -> Result<Option<Item>, CallError> {
    if !answer.hit() {
        return Ok(None);
    }
    Ok(Some(Item {
        value: answer.value.ok_or(CallError::Protocol)?,
        cas: cas_number(answer.item.cas)?,
    }))
}

/// The CAS number in an answer. 0 is an error: an update with 0 would be carried out without a
/// condition.
fn cas_number(cas: Option<u64>) -> Result<u64, CallError> {
    match cas {
        Some(0) => Err(CallError::CasDisabled),
        Some(cas) => Ok(cas),
        None => Err(CallError::Protocol),
    }
}

fn was_applied(answer: &MutationResult) -> Result<bool, CallError> {
    match answer.status {
        MutationStatus::Applied => Ok(true),
        MutationStatus::NotFound | MutationStatus::AlreadyExists | MutationStatus::CasMismatch => {
            Ok(false)
        }
        _ => Err(CallError::Protocol),
    }
}

fn fail_all<T>(count: usize, error: &CallError) -> Vec<Result<T, CallError>> {
    (0..count).map(|_| Err(error.clone())).collect()
}

fn call_error(error: Error) -> CallError {
    match error {
        Error::Io(source) if is_unreachable(&source) => CallError::Unreachable(source.into()),
        Error::Io(source) => CallError::Disconnected(source.into()),
        Error::Timeout { .. } => CallError::Timeout,
        Error::Ambiguous { source, .. } => CallError::UnknownResult(Box::new(call_error(*source))),
        Error::Server(text) => CallError::Server(text.into()),
        Error::Usage(text) => CallError::Usage(text),
        // Their texts quote what was received, which may be part of another session's data.
        _ => CallError::Protocol,
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionRefused | HostUnreachable | NetworkUnreachable
    )
}
