//! Two processes change one session at the same time, and no change is lost.

#[macro_use]
mod site;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use session_tests::{assert_in_time, rounds};
use site::{Answer, Backend, Demo, percentile};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

const CONNECTIONS: usize = 32;
const WRITERS: usize = 8;

/// Files are tested with the usual deadline, and MongoDB's protocol with a server in Python: both need the whole
/// machine.
static MACHINE: RwLock<()> = RwLock::const_new(());

enum Turn {
    Alone(#[expect(dead_code, reason = "it is held")] RwLockWriteGuard<'static, ()>),
    BesideOthers(#[expect(dead_code, reason = "it is held")] RwLockReadGuard<'static, ()>),
}

async fn turn(backend: Backend) -> Turn {
    match backend {
        Backend::Filesystem | Backend::Mongo => Turn::Alone(MACHINE.write().await),
        _ => Turn::BesideOthers(MACHINE.read().await),
    }
}

on_shared_stores! { two_processes_lose_no_increment }
async fn two_processes_lose_no_increment(backend: Backend) {
    let _turn = turn(backend).await;
    let soak = rounds() >= 1000;
    let wanted = if soak || backend == Backend::Filesystem {
        10_000
    } else {
        2_000
    };
    let demo = Demo::on(backend).await;
    let other = demo.beside().await;
    let browser = demo.logged_in("anna").await;
    let begin = Instant::now();
    let mut connections = Vec::new();
    for number in 0..CONNECTIONS {
        let url = if number % 2 == 0 {
            demo.url()
        } else {
            other.url()
        };
        let browser = browser.at(url);
        let share = wanted / CONNECTIONS + usize::from(number < wanted % CONNECTIONS);
        connections.push(tokio::spawn(async move {
            let mut answers = Vec::with_capacity(share);
            for _ in 0..share {
                answers.push(
                    browser
                        .send(Method::POST, "/increment/n", String::new())
                        .await,
                );
            }
            answers
        }));
    }
    let mut answers: Vec<Answer> = Vec::new();
    for connection in connections {
        answers.extend(connection.await.expect("it ends"));
    }
    let took = begin.elapsed();

    assert_eq!(answers.len(), wanted);
    let successes: Vec<_> = answers.iter().filter(|it| it.status == 200).collect();
    let values: HashSet<u64> = successes
        .iter()
        .map(|it| it.json()["value"].as_u64().expect("a number"))
        .collect();
    let mut times: Vec<Duration> = answers.iter().map(|it| it.took).collect();
    let p99 = percentile(&mut times, 99);
    let last = browser
        .send(Method::GET, "/data/n", String::new())
        .await
        .json();
    eprintln!(
        "{backend:?}: {} of {wanted} increments in {took:.1?}, p99 {p99:.1?}, final count {last}",
        successes.len()
    );
    assert_eq!(values.len(), successes.len(), "two answers are alike");
    // A 503 says that the outcome is unknown: such an increment may have been made, no other.
    let last = last.as_u64().expect("a number");
    let certain = u64::try_from(successes.len()).expect("a small number");
    let possible = u64::try_from(wanted).expect("a small number");
    assert!(
        (certain..=possible).contains(&last),
        "{last} of {certain} to {possible}"
    );
    for answer in answers.iter().filter(|it| it.status != 200) {
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    // A request that still loses against the others when its store time is over is one of those.
    assert_in_time!(
        successes.len() * 1000 >= wanted * 999,
        "{} of {wanted}; the demo says:\n{}",
        successes.len(),
        demo.output()
    );
}

on_shared_stores! { writers_of_different_keys_all_succeed }
async fn writers_of_different_keys_all_succeed(backend: Backend) {
    let _turn = turn(backend).await;
    let demo = Demo::on(backend).await;
    let other = demo.beside().await;
    let mut browser = demo.logged_in("anna").await;
    for round in 0..rounds() {
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let url = if writer % 2 == 0 {
                demo.url()
            } else {
                other.url()
            };
            let (browser, path) = (browser.at(url), format!("/data/k{writer}"));
            writers.push(tokio::spawn(async move {
                browser
                    .send(Method::PUT, &path, json!(round).to_string())
                    .await
            }));
        }
        for writer in writers {
            let answer = writer.await.expect("it ends");
            assert_eq!(
                answer.status,
                204,
                "round {round}: {}; the demos say:\n{}\n{}",
                answer.text(),
                demo.output(),
                other.output()
            );
        }
        let data = browser.get("/data").await.json();
        for writer in 0..WRITERS {
            assert_eq!(
                data[format!("k{writer}")],
                json!(round),
                "round {round}: {data}"
            );
        }
    }
}
