//! A server that tests share.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use tokio::sync::Mutex;

/// A server that concurrent tests share. It ends with the last of them.
///
/// It is made for a `static`. A `static` is never dropped, so it could not stop a server that it
/// owned.
///
/// ```
/// # struct Server;
/// # impl Server { async fn start() -> Self { Server } }
/// # use std::sync::Arc;
/// use session_core::conformance::Shared;
///
/// static SERVER: Shared<Server> = Shared::new();
///
/// async fn server() -> Arc<Server> {
///     SERVER.get_or_start(Server::start).await
/// }
/// # session_core::conformance::run(async { server().await; });
/// ```
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    /// A shared server that is not started yet.
    pub const fn new() -> Self {
        Self(Mutex::const_new(Weak::new()))
    }

    /// The running server, or the one that `start` starts. It runs as long as a returned handle
    /// exists.
    pub async fn get_or_start<F: Future<Output = T>>(&self, start: impl FnOnce() -> F) -> Arc<T> {
        let mut running = self.0.lock().await;
        if let Some(value) = running.upgrade() {
            return value;
        }
        let value = Arc::new(start().await);
        *running = Arc::downgrade(&value);
        value
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_is_running_is_shared_and_ends_with_its_last_user() {
        static SERVER: Shared<usize> = Shared::new();
        static STARTS: AtomicUsize = AtomicUsize::new(0);
        let open = || SERVER.get_or_start(async || STARTS.fetch_add(1, Ordering::Relaxed));

        let (one, other) = (open().await, open().await);
        assert!(Arc::ptr_eq(&one, &other));
        drop(one);
        assert_eq!(*open().await, 0);
        drop(other);
        assert_eq!(*open().await, 1);
    }
}
