//! Requests of one process that change one session at the same time take turns.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::{Method, Request, Site, signed};

/// Each gets the record that the one before it stored together with its turn, if that write began
/// while it waited.
#[tokio::test(start_paused = true)]
async fn of_requests_that_wait_for_each_other_only_the_first_load_again() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let mut requests = Vec::new();
    for _ in 0..8 {
        requests.push(site.open(&browser).await);
    }
    for request in &requests {
        let count = |n: Option<u32>| n.unwrap_or(0) + 1;
        request.update("n", count).unwrap();
    }
    site.store.slow(Method::Update, Duration::from_millis(5));
    site.store.calls();
    for answer in join_all(requests.iter().map(Request::answer)).await {
        answer.unwrap();
    }
    let calls = site.store.calls();
    let count = |method| calls.iter().filter(|call| **call == method).count();
    assert_eq!(count(Method::Update), 15);
    assert!(count(Method::Load) <= 2, "{calls:?}");
    assert_eq!(site.value(&browser, "n").await, Some(8));
}

/// What another process stored meanwhile is not lost.
#[tokio::test(start_paused = true)]
async fn a_record_that_came_with_the_turn_may_be_outdated() {
    let site = Site::new(signed());
    let other = site.with_settings(signed());
    let browser = site.visited().await;
    let mut requests = Vec::new();
    for number in 0..16 {
        let site = if number % 4 == 0 { &other } else { &site };
        requests.push(site.open(&browser).await);
    }
    for request in &requests {
        let count = |n: Option<u32>| n.unwrap_or(0) + 1;
        request.update("n", count).unwrap();
    }
    site.store.slow(Method::Update, Duration::from_millis(2));
    for answer in join_all(requests.iter().map(Request::answer)).await {
        answer.unwrap();
    }
    assert_eq!(site.value(&browser, "n").await, Some(16));
}
