use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

use crate::fault::Fault;

/// Runs `work` on a thread that may block.
///
/// If the caller's future is dropped, work that has begun goes on to its end; its result goes nowhere else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(cancelled) => Err(Fault::Stopped(cancelled.into())),
    })
}
