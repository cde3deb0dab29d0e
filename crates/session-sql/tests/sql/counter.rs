use std::{env, process::Stdio};

use session_core::{StoreKey, config::Env};
use tokio::process::Command;

use crate::{
    databases::{Place, each_database, own_table},
    records::{increment, insert, key, load, record},
};

const PROCESSES: usize = 2;
const TASKS: usize = 2;
const INCREMENTS: usize = 10_000;

each_database!(of_10_000_increments_by_two_processes_none_is_lost);

/// Says to a program started by this test what to increment; it is this program, and runs this test.
const KEY: &str = "COUNTER_KEY";
/// Whichever database the environment names, the other process begins here.
const BEGINNING: &str = "counter::sqlite::of_10_000_increments_by_two_processes_none_is_lost";

async fn of_10_000_increments_by_two_processes_none_is_lost<D: Place>() {
    if let Ok(key) = env::var(KEY) {
        return increments(&StoreKey::from_stored(key)).await;
    }
    let place = D::place().await;
    let table = own_table();
    let store = place.migrated(&table).await;
    let key = key();
    insert(&store, &key, &record(&0_u64.to_be_bytes())).await;
    let workers: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Command::new(env::current_exe().expect("the system names the running program"))
                .args(["--exact", BEGINNING])
                .env("SESSION_SQL", &place.url)
                .env("SESSION_SQL_TABLE", table.table())
                .env(KEY, key.as_str())
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
        // A name that no test has is a success too.
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
    }
    let counted = load(&store, &key).await.expect("it lives").bytes;
    assert_eq!(counted, (INCREMENTS as u64).to_be_bytes()[..]);
}

/// One process's share.
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
