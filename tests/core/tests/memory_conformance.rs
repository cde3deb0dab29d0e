//! The memory store keeps the contract, also behind a trait object.

use std::sync::Arc;

use session_core::{
    ExpiredSweep, MemoryStore, OwnerIndex, Scan, SessionStore, conformance::Fixture,
};

mod as_itself {
    use super::*;

    fn open() -> Fixture<MemoryStore> {
        Fixture::new(MemoryStore::new()).with_told_expiry()
    }

    session_core::conformance_tests!(async { open() });
    session_core::owner_index_tests!(async { open() });
    session_core::expired_sweep_tests!(async { open() });
    session_core::scan_tests!(async { open() });
}

mod behind_a_trait_object {
    use super::*;

    fn store() -> Fixture<dyn SessionStore> {
        Fixture::<dyn SessionStore>::of(Arc::new(MemoryStore::new())).with_told_expiry()
    }

    fn index() -> Fixture<dyn OwnerIndex> {
        Fixture::<dyn OwnerIndex>::of(Arc::new(MemoryStore::new())).with_told_expiry()
    }

    fn swept() -> Fixture<dyn ExpiredSweep> {
        Fixture::<dyn ExpiredSweep>::of(Arc::new(MemoryStore::new())).with_told_expiry()
    }

    fn scanned() -> Fixture<dyn Scan> {
        Fixture::<dyn Scan>::of(Arc::new(MemoryStore::new())).with_told_expiry()
    }

    session_core::conformance_tests!(async { store() });
    session_core::owner_index_tests!(async { index() });
    session_core::expired_sweep_tests!(async { swept() });
    session_core::scan_tests!(async { scanned() });
}

mod on_the_move {
    use session_core::Moving;

    use super::*;

    fn open() -> Fixture<Moving> {
        let stores = [MemoryStore::new(), MemoryStore::new()];
        let [new, old] = stores.map(|it| Arc::new(it) as Arc<dyn SessionStore>);
        Fixture::new(Moving::new(new, old)).with_told_expiry()
    }

    session_core::conformance_tests!(async { open() });
    session_core::owner_index_tests!(async { open() });
    session_core::scan_tests!(async { open() });
}
