//! Compare-and-set is safe between processes.

use std::process::Stdio;

use session_core::SessionStore as _;
use session_tests::rounds;

use crate::test_directory::{TestDirectory, key, record, report, reports};

/// Counts up by compare-and-set, and reports each number that it stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_counts_up() {
    const TASKS: usize = 4;
    let dir = TestDirectory::inherited_or_new();
    let (store, key) = (dir.store(), key("counter"));
    let _ = store.insert(&key, &record("0")).await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let mut stored = Vec::new();
                while stored.len() < rounds() {
                    let loaded = store.load(&key).await.unwrap().expect("nothing deletes it");
                    let old: usize = str::from_utf8(&loaded.bytes).unwrap().parse().unwrap();
                    let next = record((old + 1).to_string());
                    let result = store.update(&key, &next, &loaded.revision).await;
                    if result.unwrap().is_stored() {
                        stored.push(old + 1);
                    }
                }
                stored
            })
        })
        .collect();
    let mut stored = Vec::new();
    for task in tasks {
        stored.extend(task.await.unwrap());
    }
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored.len(), TASKS * rounds(), "a number was stored twice");
    stored.iter().for_each(report);
}

#[tokio::test]
async fn two_processes_skip_no_number_and_store_none_twice() {
    let dir = TestDirectory::new();
    let children = [(); 2].map(|()| {
        dir.command(&[], "two_processes::a_process_counts_up", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let mut stored: Vec<usize> = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        stored.extend(
            reports(&output)
                .iter()
                .map(|number| number.parse::<usize>().unwrap()),
        );
    }
    stored.sort_unstable();
    assert!(
        stored.iter().copied().eq(1..=stored.len()),
        "skipped or stored twice: {stored:?}"
    );
    assert_eq!(stored.len(), 2 * 4 * rounds());

    let last = dir.store().load(&key("counter")).await.unwrap().unwrap();
    assert_eq!(last.bytes, stored.len().to_string().as_bytes());
}
