//! Twenty processes that migrate one table at once, as the instances of an application that starts.

use std::{env, time::Duration};

use session_core::config::Env;
use session_sql::TableName;
use session_tests::assert_in_time;
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    availability::recovers_soon,
    databases::{Handle, TestDatabase, each_database, unique_table},
    processes::Worker,
    records::{error_chain, insert, key, load, record},
};

each_database!(twenty_processes_that_migrate_at_once_create_the_table_or_say_what_it_lacks);

const PROCESSES: usize = 20;
/// The test that each process runs. The environment names the database.
const WORKER_TEST: &str = "migrating_processes::sqlite::\
    twenty_processes_that_migrate_at_once_create_the_table_or_say_what_it_lacks";
/// The variable with the port at which a process waits for the others, and after a space what its
/// migration is refused for, if it is.
const ORDER: &str = "MIGRATION_ORDER";

async fn twenty_processes_that_migrate_at_once_create_the_table_or_say_what_it_lacks<
    D: TestDatabase,
>() {
    if let Ok(order) = env::var(ORDER) {
        return migrate(&order).await;
    }
    let (database, table, key) = (D::open().await, unique_table(), key());
    all_processes_migrate(&database, &table, "").await;
    for index in ["sweep_at", "owner", "provider_session"] {
        assert!(database.has_index(&table, index).await, "{index}");
    }
    let store = database.store(&table);
    // The server is slow to answer while it ends the connections of the processes.
    recovers_soon(&store).await;
    insert(&store, &key, &record(b"kept")).await;
    let drop = D::DROP_INDEX.replace("{table}", table.table());
    database.execute(&drop.replace("{index}", "owner")).await;
    all_processes_migrate(
        &database,
        &table,
        "lacks the index on owner, without which every row is read: create it by ",
    )
    .await;
    assert!(!database.has_index(&table, "owner").await);
    let drop = format!("ALTER TABLE {table} DROP COLUMN listed_until");
    database.execute(&drop).await;
    all_processes_migrate(&database, &table, "lacks the column listed_until").await;
    assert_eq!(load(&store, &key).await.unwrap().bytes, "kept");
}

/// Checks what twenty processes get. None begins before all of them are ready.
async fn all_processes_migrate<D: TestDatabase>(
    database: &Handle<D>,
    table: &TableName,
    refusal: &str,
) {
    let ready = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let order = format!("{} {refusal}", ready.local_addr().unwrap().port());
    let processes =
        [(); PROCESSES].map(|()| Worker::start(WORKER_TEST, &database.url, table, ORDER, &order));
    let mut waiting = vec![];
    for _ in &processes {
        let accepted = timeout(Duration::from_secs(20), ready.accept()).await;
        assert_in_time!(accepted.is_ok(), "a process does not begin");
        waiting.push(accepted.unwrap().unwrap());
    }
    drop(waiting);
    for process in processes {
        process.succeeds().await;
    }
}

/// The migration of one process.
async fn migrate(order: &str) {
    let (port, refusal) = order.split_once(' ').expect("a port and a refusal");
    let store = session_sql::from_env(&Env::of_process()).expect("the environment names a store");
    let mut ready = TcpStream::connect(format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    // Nothing is sent: the connection ends when all processes have one.
    assert_eq!(ready.read(&mut [0]).await.unwrap(), 0);
    match store.migrate().await {
        Ok(()) => assert_eq!(refusal, "", "nothing was refused"),
        Err(error) => {
            let error = error_chain(&error);
            assert!(!refusal.is_empty() && error.contains(refusal), "{error}");
        }
    }
}
