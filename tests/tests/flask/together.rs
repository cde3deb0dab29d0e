//! Three applications, in Flask, Actix Web and axum, have one session.
#![expect(clippy::print_stdout, reason = "figures for the guide")]

use futures_util::future::join_all;
use serde_json::json;
use session_tests::rounds;

use crate::{
    JSON, SIGNED,
    neighbours::{Neighbours, Side, Visitor},
    store::Store,
};

/// Clients of each application, one request at a time.
const CLIENTS: usize = 2;

/// What holds for three applications that were started once, on `store`.
pub(crate) async fn live(store: Store) {
    // A Flask that moves the expiry with each request overwrites what it only reads.
    let settings = [SIGNED[0], SIGNED[1], JSON, ("REFRESH", "0")];
    let all = Neighbours::and_axum(store, &settings).await;
    a_visitor_logs_in_here_changes_there_and_logs_out_anywhere(&all).await;
    our_applications_lose_no_change(&all).await;
}

async fn a_visitor_logs_in_here_changes_there_and_logs_out_anywhere(all: &Neighbours) {
    for here in Side::ALL {
        for there in Side::ALL {
            for anywhere in Side::ALL {
                let mut visitor = all.visitor();
                visitor.json(here, "/set?k=cart&v=full").await;
                let planted = visitor.clone();
                visitor.json(here, "/login?user=ann").await;
                visitor.json(there, "/set?k=note&v=mine").await;
                for side in Side::ALL {
                    for (key, value) in [("cart", "full"), ("user", "ann"), ("note", "mine")] {
                        let found = visitor.value(side, key).await;
                        assert_eq!(found, Some(json!(value)), "{here:?} {there:?} {side:?}");
                    }
                }
                let thief = visitor.clone();
                visitor.json(anywhere, "/clear").await;
                assert!(!visitor.has_cookie());
                for side in Side::ALL {
                    for late in [&planted, &thief] {
                        let user = late.clone().value(side, "user").await;
                        assert_eq!(user, None, "{here:?} {anywhere:?} {side:?}");
                    }
                }
                assert_eq!(all.record(thief.sid()).await, None);
            }
        }
    }
}

/// 10,000 requests in a soak. First Flask only reads: then nothing is lost. Then it writes, too.
async fn our_applications_lose_no_change(all: &Neighbours) {
    let each = rounds() * 5 / (Side::ALL.len() * CLIENTS);
    let (kept, answered) = increments_kept(all, "/get?k=hits", each).await;
    // A store with one writer at a time may refuse one beside so many, and then nobody knows.
    let sent = 2 * CLIENTS * each;
    assert!(
        (answered..=sent).contains(&kept),
        "{sent} sent, {answered} answered, {kept} kept"
    );
    let (kept, answered) = increments_kept(all, "/set?v=y&k=theirs", each).await;
    println!(
        "{:?}: while Flask wrote, it overwrote {} of our {answered} changes",
        all.store,
        answered.saturating_sub(kept)
    );
}

/// Each client of the three sends `each` requests at once, on one session. Ours count, Flask gets
/// `path`. Returns how many increments the session has, and how many were answered.
async fn increments_kept(all: &Neighbours, path: &str, each: usize) -> (usize, usize) {
    let mut visitor = all.visitor();
    visitor.json(Side::Flask, "/set?k=hits&v=0&t=int").await;
    let clients = Side::ALL.into_iter().flat_map(|side| {
        let path = if side == Side::Flask {
            path
        } else {
            "/incr?k=hits"
        };
        (0..CLIENTS).map(move |_| (side, path))
    });
    let clients = clients.map(|(side, path)| send(visitor.clone(), side, path, each));
    let answered = join_all(clients).await.into_iter().sum();
    let hits = visitor.value(Side::Axum, "hits").await.unwrap();
    (usize::try_from(hits.as_u64().unwrap()).unwrap(), answered)
}

/// How many increments were answered with success.
async fn send(mut visitor: Visitor<'_>, side: Side, path: &str, requests: usize) -> usize {
    let mut answered = 0;
    for _ in 0..requests {
        let response = visitor.get(side, path).await;
        let log = || response.text();
        assert!(matches!(response.status, 200 | 503), "{}", log());
        answered += usize::from(response.status == 200 && side != Side::Flask);
    }
    answered
}
