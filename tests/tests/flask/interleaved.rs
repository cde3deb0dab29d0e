//! Flask and this library change one session at the same time.
#![expect(clippy::print_stdout, reason = "figures for the guide")]

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    JSON,
    monitor::{Monitor, Written},
    neighbours::{Neighbours, Side, Visitor},
    store::Store,
};

/// Requests of each application.
const CHANGES: usize = 500;
/// Clients of each, one request at a time.
const CLIENTS: usize = 4;

/// The changes made here while Flask did something else.
#[derive(Debug)]
struct Concurrent {
    answered: BTreeSet<String>,
    kept: BTreeSet<String>,
    history: Vec<Written>,
}

impl Concurrent {
    /// How many of our changes were overwritten: each by a write of Flask's, for none of ours drops
    /// a key that the record had.
    fn overwritten(&self) -> usize {
        let overwritten: BTreeSet<_> = self.answered.difference(&self.kept).cloned().collect();
        assert!(
            overwritten.is_subset(&self.dropped_by_flask()),
            "{overwritten:?}"
        );
        overwritten.len()
    }

    fn dropped_by_flask(&self) -> BTreeSet<String> {
        let keys = |written: &Written| -> BTreeSet<String> {
            let (Written::Flask(session) | Written::Actix(session)) = written;
            session.keys().cloned().collect()
        };
        let mut dropped = BTreeSet::new();
        for pair in self.history.windows(2) {
            let (before, after) = (keys(&pair[0]), keys(&pair[1]));
            let removed: Vec<_> = before.difference(&after).cloned().collect();
            match &pair[1] {
                Written::Actix(_) => {
                    assert!(removed.is_empty(), "lost to our own request: {removed:?}");
                }
                Written::Flask(_) => {
                    dropped.extend(removed.into_iter().filter(|key| key.starts_with("ours")));
                }
            }
        }
        dropped
    }
}

/// Sends `CHANGES` requests to each at once: ours set keys of their own, Flask's are to `path` and
/// a number.
async fn run_concurrently(both: &Neighbours, path: &str) -> Concurrent {
    let mut visitor = both.visitor();
    visitor.json(Side::Actix, "/set?k=first&v=x").await;
    let monitor = Monitor::of(both.key(visitor.sid())).await;
    let client = |side: Side, number: usize| {
        let mut visitor = visitor.clone();
        async move {
            let mut answered = Vec::new();
            for change in (number..CHANGES).step_by(CLIENTS) {
                let asked = match side {
                    Side::Actix | Side::Axum => format!("/set?k=ours{change}&v=x"),
                    Side::Flask => format!("{path}{change}"),
                };
                if visitor.get(side, &asked).await.status == 200 && side == Side::Actix {
                    answered.push(format!("ours{change}"));
                }
            }
            answered
        }
    };
    let clients: Vec<_> = Side::BOTH
        .into_iter()
        .flat_map(|side| (0..CLIENTS).map(move |number| (side, number)))
        .map(|(side, number)| client(side, number))
        .collect();
    let answered = join_all(clients).await.into_iter().flatten().collect();
    let state = visitor.state(Side::Actix).await;
    let kept = state["session"].as_object().unwrap().keys().cloned();
    Concurrent {
        answered,
        kept: kept.collect(),
        history: monitor.end(),
    }
}

async fn with_refresh(refresh: &str) -> Neighbours {
    Neighbours::on(Store::Redis, &[JSON, ("REFRESH", refresh)]).await
}

#[tokio::test]
async fn no_change_is_lost_beside_a_flask_that_only_reads() {
    let both = with_refresh("0").await;
    let result = run_concurrently(&both, "/get?k=").await;
    assert_eq!(result.answered.len(), CHANGES);
    assert_eq!(result.overwritten(), 0);
    assert_eq!(result.dropped_by_flask(), BTreeSet::new());
}

#[tokio::test]
async fn our_requests_lose_no_change_while_flask_writes() {
    let both = with_refresh("0").await;
    let result = run_concurrently(&both, "/set?v=y&k=theirs").await;
    assert!(result.history.len() > CHANGES, "{}", result.history.len());
    let (answered, overwritten) = (result.answered.len(), result.overwritten());
    println!("Flask writes: {overwritten} of our {answered} changes were overwritten by Flask");
}

/// What Flask's default does, and why the guide asks for another.
#[tokio::test]
async fn a_flask_that_refreshes_each_request_overwrites_what_it_only_reads() {
    let both = with_refresh("1").await;
    let result = run_concurrently(&both, "/get?k=").await;
    let (answered, overwritten) = (result.answered.len(), result.overwritten());
    assert!(overwritten > 0, "then the guide is wrong");
    println!(
        "Flask reads and refreshes: {overwritten} of our {answered} changes were overwritten by Flask"
    );
}

/// Whether a session that was logged out here while Flask's request ran is back when that ends;
/// `path` ends with how long that takes.
async fn comes_back(both: &Neighbours, path: &str, pause: u64) -> bool {
    let mut visitor = both.visitor();
    visitor.json(Side::Actix, "/login?user=ann").await;
    let (mut slow, thief) = (visitor.clone(), visitor.clone());
    let log_out = async {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        visitor.json(Side::Actix, "/clear").await;
    };
    let path = format!("{path}{}", 4 * pause);
    tokio::join!(slow.json(Side::Flask, &path), log_out);
    is_logged_in(thief).await
}

/// The same, tried with longer pauses: on a busy machine one request may be over before the other
/// begins.
async fn comes_back_some_time(both: &Neighbours, path: &str) -> bool {
    for pause in [200, 800, 3200] {
        if comes_back(both, path, pause).await {
            return true;
        }
    }
    false
}

async fn is_logged_in(mut thief: Visitor<'_>) -> bool {
    thief.value(Side::Actix, "user").await == Some(json!("ann"))
}

#[tokio::test]
async fn an_ended_session_is_revived_by_a_flask_that_writes_it_and_by_no_other() {
    let refreshing = with_refresh("1").await;
    assert!(comes_back_some_time(&refreshing, "/slow?ms=").await);
    let quiet = with_refresh("0").await;
    assert!(comes_back_some_time(&quiet, "/slow?k=a&v=x&ms=").await);
    assert!(!comes_back(&quiet, "/slow?ms=", 500).await);
}
