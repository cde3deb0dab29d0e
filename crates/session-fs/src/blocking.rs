//! Runs file operations on tokio's threads for blocking work.

use std::{panic::resume_unwind, sync::Arc};

use tokio::{
    sync::Semaphore,
    task::{AbortHandle, spawn_blocking},
};

use crate::{error::CallError, root::Root};

/// How many operations of a store run at once. While a disk hangs, each holds a thread of its runtime,
/// and the threads that are left do the other work of the program.
const AT_ONCE: usize = 16;

/// The right to run operations, of which a store and its clones have [`AT_ONCE`].
#[derive(Clone, Debug)]
pub(crate) struct Permits(Arc<Semaphore>);

impl Default for Permits {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE).into())
    }
}

/// Runs `operation` on a thread that may block. An error names the path, that of `root` if no other.
///
/// If the caller's future is dropped, an operation that has started still runs to its end, and its
/// result is discarded. One that has not started never runs.
pub(crate) async fn blocking<T: Send + 'static>(
    root: &Root,
    operation: impl FnOnce() -> Result<T, CallError> + Send + 'static,
) -> session_core::Result<T> {
    let permits = Arc::clone(&root.permits.0);
    let permit = permits.acquire_owned().await;
    let task = spawn_blocking(move || {
        // Until it has ended, also if its caller has not waited so long.
        let _permit = permit;
        operation()
    });
    let _unless_started = AbortOnDrop(task.abort_handle());
    let result = task
        .await
        .unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(cancelled) => Err(CallError::Cancelled(cancelled.into())),
        });
    result.map_err(|error| error.at(&root.path).into())
}

/// Takes an operation that has not started out of the queue of its runtime.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
