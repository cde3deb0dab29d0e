//! Compare-and-set holds between processes.

use std::process::Stdio;

use session_core::SessionStore as _;
use session_tests::rounds;

use crate::place::{Place, key, record, tell, told};

/// Counts up by compare-and-set, and tells each number that it stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_counts_up() {
    const TASKS: usize = 4;
    let place = Place::given_or_own();
    let (store, key) = (place.store(), key("counter"));
    let _ = store.insert(&key, &record("0")).await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while seen.len() < rounds() {
                    let loaded = store.load(&key).await.unwrap().expect("nobody ends it");
                    let old: usize = str::from_utf8(&loaded.bytes).unwrap().parse().unwrap();
                    let next = record((old + 1).to_string());
                    let answer = store.update(&key, &next, &loaded.revision).await;
                    if answer.unwrap().is_stored() {
                        seen.push(old + 1);
                    }
                }
                seen
            })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await.unwrap());
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), TASKS * rounds(), "a number was stored twice");
    seen.iter().for_each(tell);
}

#[tokio::test]
async fn two_processes_lose_no_step_and_share_none() {
    let place = Place::own();
    let children = [(); 2].map(|()| {
        place
            .process(&[], "two_processes::a_process_counts_up", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    let mut seen: Vec<usize> = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        seen.extend(
            told(&output)
                .iter()
                .map(|word| word.parse::<usize>().unwrap()),
        );
    }
    seen.sort_unstable();
    assert!(
        seen.iter().copied().eq(1..=seen.len()),
        "lost or doubled: {seen:?}"
    );
    assert_eq!(seen.len(), 2 * 4 * rounds());

    let last = place.store().load(&key("counter")).await.unwrap().unwrap();
    assert_eq!(last.bytes, seen.len().to_string().as_bytes());
}
