//! Runs file operations on tokio's threads for blocking work.

use std::{panic::resume_unwind, path::Path};

use tokio::task::spawn_blocking;

use crate::error::CallError;

/// Runs `operation` on a thread that may block. An error names the path, `directory` if no other.
///
/// If the caller's future is dropped, an operation that has started still runs to its end. Its
/// result is discarded.
pub(crate) async fn blocking<T: Send + 'static>(
    directory: &Path,
    operation: impl FnOnce() -> Result<T, CallError> + Send + 'static,
) -> session_core::Result<T> {
    let result = spawn_blocking(operation).await;
    let result = result.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(cancelled) => Err(CallError::Cancelled(cancelled.into())),
    });
    result.map_err(|error| error.at(directory).into())
}
