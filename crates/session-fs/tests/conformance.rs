//! The store contract, with two stores on one directory.

use session_core::conformance::Fixture;
use session_fs::FileStore;
use session_tests::scratch_dir;

fn open() -> Fixture<FileStore> {
    let directory = scratch_dir();
    let [store, second] = [(); 2].map(|()| FileStore::new(directory.path().join("sessions")));
    Fixture::new(store)
        .with_second(second.into())
        .keeping(directory)
}

session_core::conformance_tests!(async { open() });
session_core::owner_index_tests!(async { open() });
session_core::expired_sweep_tests!(async { open() });
session_core::scan_tests!(async { open() });

mod durable {
    use session_core::conformance::Fixture;
    use session_fs::FileStore;
    use session_tests::scratch_dir;

    fn open() -> Fixture<FileStore> {
        let directory = scratch_dir();
        let store = FileStore::new(directory.path()).with_durability(true);
        Fixture::new(store).keeping(directory)
    }

    session_core::owner_index_tests!(async { open() });
    session_core::expired_sweep_tests!(async { open() });
}
