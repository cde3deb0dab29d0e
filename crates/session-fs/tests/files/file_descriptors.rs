//! A process without free file descriptors answers errors, and recovers when there are some again.

use std::fs::{self, File};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use session_core::{Error, ExpiredSweep as _, SessionStore as _};
use session_fs::FileStore;

use crate::test_directory::{
    TestDirectory, files_below, insert_new, key, one_blocking_thread, record, report, reports,
};

/// Takes all descriptors, tries every call, and releases them.
#[test]
fn a_process_runs_out_of_descriptors() {
    let dir = TestDirectory::inherited_or_new();
    one_blocking_thread().block_on(async {
        let store = dir.store();
        insert_new(&store, &key("it"), &record("x")).await;
        let found = store.load(&key("it")).await.unwrap().unwrap();
        // Only in a process of its own, because the limit applies to the whole process.
        if dir.task("") == "exhaust" {
            let limit = getrlimit(Resource::Nofile);
            for spare in 0..3 {
                let taken = take_descriptors_but(spare);
                assert_calls_fail(&store, spare).await;
                drop(taken);
                setrlimit(Resource::Nofile, limit).unwrap();
            }
        }
        let result = store
            .update(&key("it"), &record("y"), &found.revision)
            .await;
        assert!(
            result.unwrap().is_stored(),
            "the record was changed, or the store does not recover"
        );
        assert!(files_below(dir.path()).len() == 1, "a staged file was left");
        report("recovered");
    });
}

#[test]
fn a_process_without_descriptors_answers_errors_and_recovers() {
    let dir = TestDirectory::new();
    let test = "file_descriptors::a_process_runs_out_of_descriptors";
    let output = dir.command(&[], test, "exhaust").output().unwrap();
    assert_eq!(reports(&output), ["recovered"]);
}

async fn assert_calls_fail(store: &FileStore, spare: u64) {
    let inserted = store.insert(&key("other"), &record("z")).await;
    assert!(
        matches!(inserted, Err(Error::Backend { .. })),
        "{spare} spare: {inserted:?}"
    );
    let loaded = store.load(&key("it")).await;
    assert!(loaded.is_err() || spare >= 2, "{spare} spare: {loaded:?}");
    let swept = store.sweep(10).await;
    assert!(swept.is_err() || spare >= 2, "{spare} spare: {swept:?}");
}

/// Opens files until no more than `spare` can be opened.
fn take_descriptors_but(spare: u64) -> Vec<File> {
    let open = || File::open("/dev/null");
    let mut taken = vec![open().unwrap()];
    let used = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = Rlimit {
        current: Some(used + 20),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    while let Ok(file) = open() {
        taken.push(file);
    }
    taken.truncate(taken.len() - usize::try_from(spare).unwrap());
    taken
}
