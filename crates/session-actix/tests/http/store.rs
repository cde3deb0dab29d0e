//! The store of the HTTP tests here. `tests/tests/http_stores` runs them on all others.

use std::sync::Arc;

use session_core::{MemoryStore, SessionStore};

pub(crate) fn fresh() -> Arc<dyn SessionStore> {
    Arc::new(MemoryStore::new())
}
