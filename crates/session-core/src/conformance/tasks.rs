//! Runs several tasks at the same moment.

use std::{panic::resume_unwind, pin::Pin, sync::Arc};

use tokio::sync::Barrier;

/// One of several concurrent tasks.
pub(super) type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Starts all tasks at the same moment, on several threads if there are any, and waits for all of
/// them.
pub(super) async fn together<T: Send + 'static>(tasks: Vec<Task<T>>) -> Vec<T> {
    let start = Arc::new(Barrier::new(tasks.len()));
    let handles: Vec<_> = tasks
        .into_iter()
        .map(|task| {
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                task.await
            })
        })
        .collect();
    let mut results = Vec::with_capacity(handles.len());
    for handle in handles {
        match handle.await {
            Ok(result) => results.push(result),
            Err(failed) => resume_unwind(failed.into_panic()),
        }
    }
    results
}
