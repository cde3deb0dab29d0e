//! Two processes increment one counter, and all increments are counted.

use std::env;

use session_core::{StoreKey, config::Env};

use crate::{
    databases::{TestDatabase, each_database, unique_table},
    processes::Worker,
    records::{increment, insert, key, load, record},
};

const PROCESSES: usize = 2;
const TASKS: usize = 2;
const INCREMENTS: usize = 10_000;

each_database!(ten_thousand_increments_by_two_processes_are_all_counted);

/// The variable that tells a process which key to increment. The process is this test program
/// again, which runs this test.
const KEY: &str = "COUNTER_KEY";
/// The test that each process runs. The environment names the database.
const WORKER_TEST: &str =
    "counter::sqlite::ten_thousand_increments_by_two_processes_are_all_counted";

async fn ten_thousand_increments_by_two_processes_are_all_counted<D: TestDatabase>() {
    if let Ok(key) = env::var(KEY) {
        return increments(&StoreKey::from_stored(key)).await;
    }
    let database = D::open().await;
    let table = unique_table();
    let store = database.migrated(&table).await;
    let key = key();
    insert(&store, &key, &record(&0_u64.to_be_bytes())).await;
    let workers = [(); PROCESSES]
        .map(|()| Worker::start(WORKER_TEST, &database.url, &table, KEY, key.as_str()));
    for worker in workers {
        worker.succeeds().await;
    }
    let counted = load(&store, &key).await.expect("the counter exists").bytes;
    assert_eq!(counted, (INCREMENTS as u64).to_be_bytes()[..]);
}

/// The increments of one process.
async fn increments(key: &StoreKey) {
    let store = session_sql::from_env(&Env::of_process()).expect("the environment names a store");
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                for _ in 0..INCREMENTS / PROCESSES / TASKS {
                    increment(&*store, &key).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("every increment is made");
    }
}
