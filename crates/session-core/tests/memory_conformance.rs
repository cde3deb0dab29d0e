//! The reference implementation keeps the contract.

use session_core::{MemoryStore, conformance::Fixture};

async fn open() -> Fixture<MemoryStore> {
    Fixture::new(MemoryStore::new(), MemoryStore::DEFAULT_LIMIT)
}

session_core::conformance_tests!(open());
session_core::owner_index_tests!(open());
session_core::expired_sweep_tests!(open());
