//! The connections of one runtime to one node. Only this file uses the driver's experimental
//! module `exp`.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use memcache::exp::{
    AsyncMetaClient, Delete, Error, Get, GetResult, Meta, MutationResult, MutationStatus,
    Operation, Set,
};

use crate::error::CallError;

/// How many connections one runtime may open to a node, and how many it keeps open.
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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    driver: Option<AsyncMetaClient>,
    unreachable_until: Option<Instant>,
}

impl NodeClient {
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

    /// Reads all `keys` in one round trip. The results are in the order of the keys.
    pub(crate) async fn get(&self, keys: &[&str]) -> Vec<Result<Option<Item>, CallError>> {
        let mut results = self.run(keys.iter().map(|key| get(key)).collect()).await;
        // A read is safe to repeat. The connection may have died while it was idle, for example
        // because the node was restarted.
        if results
            .iter()
            .any(|result| matches!(result, Err(CallError::Disconnected(_))))
        {
            results = self.run(keys.iter().map(|key| get(key)).collect()).await;
        }
        results
            .into_iter()
            .map(|result| self.checked(result.and_then(item)))
            .collect()
    }

    /// Stores `value` until the unix time `exptime`. Returns the new CAS number, or `None` if the
    /// condition was not met.
    pub(crate) async fn set(
        &self,
        key: &str,
        value: &[u8],
        exptime: u32,
        condition: Condition,
    ) -> Result<Option<u64>, CallError> {
        let set = Set::new(key, value).ttl_raw(exptime).return_cas();
        let answer = self
            .run_one(match condition {
                Condition::Absent => set.add(),
                Condition::Cas(cas) => set.compare_cas(cas),
            })
            .await?;
        self.checked(was_applied(&answer).and_then(|was_applied| {
            if was_applied {
                cas_number(answer.cas).map(Some)
            } else {
                Ok(None)
            }
        }))
    }

    /// Removes the item if there is one.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), CallError> {
        let answer = self.run_one(Delete::new(key)).await?;
        self.checked(was_applied(&answer)).map(drop)
    }

    async fn run_one<O: Operation>(&self, operation: O) -> Result<O::Output, CallError> {
        let mut results = self.run(vec![operation]).await;
        results.pop().unwrap_or(Err(CallError::Protocol))
    }

    /// Runs the operations as one of the driver's batches, also a single one: only in a batch does
    /// the driver number the commands and compare the numbers in the answers.
    async fn run<O: Operation>(&self, operations: Vec<O>) -> Vec<Result<O::Output, CallError>> {
        let count = operations.len();
        let call = async {
            let driver = self.driver().await?;
            driver.run_many(operations).await.map_err(call_error)
        };
        let results = match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(results)) => results.into_iter().map(|r| r.map_err(call_error)).collect(),
            Ok(Err(error)) => fail_all(count, &error),
            Err(_) => fail_all(count, &CallError::Timeout),
        };
        if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
            self.record_error(error);
        }
        results
    }

    /// The driver's client for this node, created if there is none.
    async fn driver(&self) -> Result<AsyncMetaClient, CallError> {
        {
            let state = self.state();
            if let Some(driver) = &state.driver {
                return Ok(driver.clone());
            }
            if state
                .unreachable_until
                .is_some_and(|until| Instant::now() < until)
            {
                return Err(CallError::Unreachable(None));
            }
        }
        // This resolves the name but does not connect yet.
        let driver = AsyncMetaClient::builder()
            .connect_timeout(Some(self.timeout))
            .io_timeout(Some(self.timeout))
            .max_idle(MAX_CONNECTIONS)
            .max_connections(Some(MAX_CONNECTIONS))
            .connect_async(&*self.address)
            .await
            .map_err(|error| match call_error(error) {
                CallError::Disconnected(source) => CallError::Unreachable(Some(source)),
                other => other,
            })?;
        self.state().driver = Some(driver.clone());
        Ok(driver)
    }

    /// Passes on the content of an answer. Records the error if the answer makes no sense.
    fn checked<T>(&self, content: Result<T, CallError>) -> Result<T, CallError> {
        content.inspect_err(|error| self.record_error(error))
    }

    /// Drops the driver's client and its connections after an error that calls for new ones.
    ///
    /// The driver resolves a name only once, so a node that cannot be reached may have moved. After
    /// a timeout or a wrong answer, a connection may still deliver the answer to an earlier
    /// command.
    fn record_error(&self, error: &CallError) {
        match error {
            CallError::Unreachable(Some(_)) => {
                let mut state = self.state();
                state.driver = None;
                state.unreachable_until = Some(Instant::now() + RECONNECT_DELAY);
            }
            CallError::Timeout | CallError::Protocol => self.state().driver = None,
            CallError::UnknownResult(cause) => self.record_error(cause),
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
        Error::Io(source) if is_unreachable(&source) => CallError::Unreachable(Some(source.into())),
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
