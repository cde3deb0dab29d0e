//! No client gets the session of another one, even if clients hang up in the middle of their
//! requests.

#[macro_use]
mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use session_tests::rounds;
use site::{Backend, Browser, Demo, Rude};

const USERS: usize = 16;

/// Sends the head of a request and ends its connection by a reset while the demo works on it.
fn hang_up(url: &str, browser: &Browser, number: usize) {
    let request = ["GET /whoami", "POST /increment/n", "GET /slow?ms=1&write=k"][number % 3];
    let client = Rude::ask(url, browser, request);
    std::thread::sleep(Duration::from_micros(
        u64::try_from(number % 40).expect("small") * 50,
    ));
    client.hang_up();
}

on_stores! { every_answer_names_the_right_user: redis Redis, memcached Memcached }
async fn every_answer_names_the_right_user(backend: Backend) {
    let (resets, checks) = if rounds() >= 1000 {
        (2000, 50_000)
    } else {
        (200, 5000)
    };
    let demo = Demo::on(backend).await;
    let mut browsers = Vec::new();
    for user in 0..USERS {
        browsers.push(demo.logged_in(&format!("user{user}")).await);
    }
    let done = Arc::new(AtomicBool::new(false));
    let checked = Arc::new(AtomicUsize::new(0));
    let checkers: Vec<_> = browsers
        .iter()
        .cloned()
        .enumerate()
        .map(|(user, browser)| {
            let (done, checked) = (Arc::clone(&done), Arc::clone(&checked));
            let expected = json!({ "user": format!("user{user}") });
            tokio::spawn(async move {
                // At least as many as asked for, and for as long as others hang up.
                while !done.load(Relaxed) || checked.load(Relaxed) < checks {
                    let answer = browser.send(Method::GET, "/whoami", String::new()).await;
                    assert_eq!((answer.status, answer.json()), (200, expected.clone()));
                    checked.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let hanging_up = tokio::task::spawn_blocking({
        let url = demo.url();
        move || {
            for number in 0..resets {
                hang_up(&url, &browsers[number % USERS], number);
            }
        }
    });
    hanging_up.await.expect("every reset is sent");
    done.store(true, Relaxed);
    for checker in checkers {
        checker.await.expect("every answer is right");
    }
    eprintln!(
        "{backend:?}: {} identity checks beside {resets} resets",
        checked.load(Relaxed)
    );
}
