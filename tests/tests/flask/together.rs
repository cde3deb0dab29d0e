//! Three applications, in Flask, Actix Web and axum, have one session.
#![expect(clippy::print_stdout, reason = "figures for the guide")]

use std::{collections::HashMap, time::Instant};

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
    let reading = Appends::at_once(all, "/get?k=log", each).await;
    reading.assert_that_ours_overwrote_nothing();
    assert_eq!(reading.lost().count(), 0, "{:?}", all.store);
    let writing = Appends::at_once(all, "/append?k=log", each).await;
    writing.assert_that_ours_overwrote_nothing();
    for lost in writing.lost() {
        let overwritten = writing.of_flask().any(|it| it.overwrites(lost));
        assert!(overwritten, "{:?}: nobody overwrote {lost:?}", all.store);
    }
    println!(
        "{:?}: while Flask wrote, it overwrote {} of our {} changes",
        all.store,
        writing.lost().count(),
        writing.of_ours().count()
    );
}

/// What the three added to one list of one session, at once. Each item has a name of its own, and
/// an application that writes adds one: so a list of n items is the state after the nth of those
/// writes, and tells which write each of them was made on.
struct Appends {
    answered: Vec<Append>,
    left: Vec<String>,
}

/// A write that was answered with success.
#[derive(Debug)]
struct Append {
    side: Side,
    sent: Instant,
    answered: Instant,
    /// The list as it stored it: its own item is the last.
    stored: Vec<String>,
}

impl Appends {
    /// Each client of the three sends `each` requests at once, on one session. Ours append, Flask
    /// gets `path`.
    async fn at_once(all: &Neighbours, path: &str, each: usize) -> Self {
        let mut visitor = all.visitor();
        visitor.json(Side::Flask, "/set?k=log&v=[]&t=json").await;
        let clients = Side::ALL.into_iter().flat_map(|side| {
            let path = match side {
                Side::Flask => path,
                Side::Actix | Side::Axum => "/append?k=log",
            };
            (0..CLIENTS).map(move |client| (side, path, client))
        });
        let sent =
            clients.map(|(side, path, client)| send(visitor.clone(), side, path, client, each));
        let answered = join_all(sent).await.into_iter().flatten().collect();
        let left = visitor.value(Side::Axum, "log").await.unwrap();
        Self {
            answered,
            left: serde_json::from_value(left).unwrap(),
        }
    }

    fn of_ours(&self) -> impl Iterator<Item = &Append> {
        self.answered.iter().filter(|it| it.side != Side::Flask)
    }

    fn of_flask(&self) -> impl Iterator<Item = &Append> {
        self.answered.iter().filter(|it| it.side == Side::Flask)
    }

    /// Our changes that are not in the session, although they were answered.
    fn lost(&self) -> impl Iterator<Item = &Append> {
        self.of_ours().filter(|it| !self.left.contains(it.item()))
    }

    /// Each of our writes is made on what is stored then. So on each state there is one of them at
    /// most: if there were two, the later one would have overwritten the earlier one.
    fn assert_that_ours_overwrote_nothing(&self) {
        let mut ours = HashMap::new();
        let lists = self.answered.iter().map(|it| &it.stored);
        for list in lists.chain([&self.left]) {
            for (at, item) in list.iter().enumerate() {
                if !item.starts_with("Flask") {
                    let first = ours.entry(list[..at].last()).or_insert(item);
                    assert_eq!(*first, item, "both were written on {:?}", list[..at].last());
                }
            }
        }
    }
}

impl Append {
    fn item(&self) -> &String {
        self.stored.last().unwrap()
    }

    /// Whether this may have overwritten `other`: it did not know of it, because both were under
    /// way at the same time.
    fn overwrites(&self, other: &Self) -> bool {
        !self.stored.contains(other.item())
            && self.sent < other.answered
            && other.sent < self.answered
    }
}

/// The writes that were answered with success.
async fn send(
    mut visitor: Visitor<'_>,
    side: Side,
    path: &str,
    client: usize,
    requests: usize,
) -> Vec<Append> {
    let mut answered = Vec::new();
    for n in 0..requests {
        let path = format!("{path}&v={side:?}-{client}-{n}");
        let sent = Instant::now();
        let response = visitor.get(side, &path).await;
        // A store with one writer at a time may refuse one beside so many, and then nobody knows.
        let log = || response.text();
        assert!(matches!(response.status, 200 | 503), "{}", log());
        if response.status == 200 && path.starts_with("/append") {
            answered.push(Append {
                side,
                sent,
                answered: Instant::now(),
                stored: serde_json::from_value(response.json()["value"].clone()).unwrap(),
            });
        }
    }
    answered
}
