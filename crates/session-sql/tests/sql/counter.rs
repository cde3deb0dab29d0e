use std::{env, process::Stdio};

use session_core::StoreKey;
use tokio::process::Command;

use crate::{
    databases::{Place, each_database, own_table},
    records::{increment, insert, key, load, record},
};

const PROCESSES: usize = 2;
const TASKS: usize = 2;
const INCREMENTS: usize = 10_000;

each_database!(of_10_000_increments_by_two_processes_none_is_lost);

async fn of_10_000_increments_by_two_processes_none_is_lost<D: Place>() {
    let place = D::place().await;
    let table = own_table();
    let store = place.migrated(&table).await;
    let key = key();
    insert(&store, &key, &record(&0_u64.to_be_bytes())).await;
    let workers: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Command::new(env::current_exe().expect("the system names the running program"))
                .args(["--exact", "counter::a_process_that_increments", "--ignored"])
                .env("SESSION_SQL", &place.url)
                .env("SESSION_SQL_TABLE", table.table())
                .env("COUNTER_KEY", key.as_str())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .expect("the program can be started again")
        })
        .collect();
    for worker in workers {
        let output = worker.wait_with_output().await.expect("it ends");
        assert!(output.status.success(), "{output:?}");
    }
    let counted = load(&store, &key).await.expect("it lives").payload;
    assert_eq!(counted, (INCREMENTS as u64).to_be_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other half of a test, which starts it as a process"]
async fn a_process_that_increments() {
    let store = session_sql::from_env(&session_core::config::Env::of_process()).unwrap();
    let key = StoreKey::from_stored(env::var("COUNTER_KEY").unwrap());
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
