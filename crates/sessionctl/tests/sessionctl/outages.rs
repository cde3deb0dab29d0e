//! Sessions that move while either store, or both, are away: what was acknowledged is there, and what
//! has ended stays ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use session_core::{Finish, Moving, SessionStore, Sessions};
use session_tests::{Postgres, RedisServer, rounds};

use crate::support::{Place, Ran, found, log_in, run, settings};

const VISITORS: usize = 4;
const OF_EACH: usize = 10;

/// What may be true of a session: its counter, or `None` if it has ended. More than one if the outcome
/// of a request is unknown.
type May = Vec<Option<u64>>;

struct Visitor {
    owner: String,
    cookies: Vec<String>,
    may: Vec<May>,
}

impl Visitor {
    async fn new(sessions: &Sessions, number: usize) -> Self {
        let owner = format!("visitor {number}");
        let mut cookies = Vec::new();
        for _ in 0..OF_EACH {
            cookies.push(log_in(sessions, Some(&owner)).await);
        }
        let may = vec![vec![Some(0)]; OF_EACH];
        Self {
            owner,
            cookies,
            may,
        }
    }

    /// One request: it counts, logs out, or logs the user out everywhere and in again.
    async fn request(&mut self, sessions: &Sessions, turn: usize) {
        let at = (turn * 7) % OF_EACH;
        if turn % 97 == 96 {
            let ended = sessions.log_out_everywhere(&self.owner).await.is_ok();
            for may in &mut self.may {
                if ended {
                    may.clear();
                }
                if !may.contains(&None) {
                    may.push(None);
                }
            }
            return;
        }
        let request = sessions.begin_request();
        let cookie = [self.cookies[at].as_bytes()];
        let Ok(session) = request.session(&mut cookie.into_iter()).await else {
            return;
        };
        let count = session.get::<u64>("n").unwrap();
        let may = &mut self.may[at];
        assert!(may.contains(&count), "{count:?} of {may:?}");
        *may = vec![count];
        let Some(count) = count else {
            // Its user logs in again.
            if let Ok(cookie) = sessions
                .cookie_of(|session| {
                    session.insert("n", &0)?;
                    session.log_in(&self.owner)
                })
                .await
            {
                self.cookies[at] = cookie;
                *may = vec![Some(0)];
            }
            return;
        };
        let ends = turn % 13 == 12;
        if ends {
            session.log_out();
        } else {
            session
                .update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
                .unwrap();
        }
        let after = (!ends).then_some(count + 1);
        let saved = match request.finish() {
            Finish::Ready(_) => Ok(()),
            Finish::Pending(saving) => saving.await.map(drop),
        };
        match saved {
            Ok(()) => *may = vec![after],
            Err(_) => may.push(after),
        }
    }
}

struct Visitors {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<(Visitor, usize)>>,
}

impl Visitors {
    /// Each process has its own handle of both stores.
    fn come(visitors: Vec<Visitor>, store: impl Fn() -> Arc<dyn SessionStore>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let come = |mut visitor: Visitor| {
            let (sessions, stop) = (Sessions::new(settings(), store()).unwrap(), stop.clone());
            tokio::spawn(async move {
                let mut turn = 0;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    visitor.request(&sessions, turn).await;
                }
                (visitor, turn)
            })
        };
        let tasks = visitors.into_iter().map(come).collect();
        Self { stop, tasks }
    }

    async fn leave(self) -> Vec<Visitor> {
        self.stop.store(true, Ordering::Relaxed);
        let mut visitors = Vec::new();
        let mut requests = 0;
        for task in self.tasks {
            let (visitor, turns) = task.await.unwrap();
            visitors.push(visitor);
            requests += turns;
        }
        eprintln!("{requests} requests");
        visitors
    }
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Moves what is left until nothing is. A store that has just come back may refuse some.
async fn carried(from: &str, to: &str) {
    let words = ["--store", from, "copy", "--moving", "--to", to];
    let mut ran = run(&words, &[]);
    for _ in 0..10 {
        if ran.code == 0 {
            return;
        }
        pause(200).await;
        ran = run(&words, &[]);
    }
    let Ran { out, err, .. } = ran;
    panic!("{out}{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_and_its_way_back_survive_outages_of_either_store() {
    let redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let postgres = Postgres::start().await;
    let old = Place::of_server(&redis.url()).await;
    let new = Place::of_sql(&postgres.url()).await;
    let mut visitors = Vec::new();
    for number in 0..VISITORS {
        visitors.push(Visitor::new(&old.sessions(), number).await);
    }
    let stores = |from: &Place, to: &Place| (from.store.clone(), to.store.clone());
    for (from, to, round) in [(&old, &new, 0), (&new, &old, 1)] {
        let (one, other) = stores(from, to);
        let both: Arc<dyn Fn() -> Arc<dyn SessionStore>> =
            Arc::new(move || Arc::new(Moving::new(other.clone(), one.clone())));
        for step in 0..(rounds() / 10).max(4) {
            let come = Visitors::come(visitors, || both());
            pause(100).await;
            let carrying = (step % 2 == 1).then(|| {
                let (from, to) = (from.url.clone(), to.url.clone());
                tokio::task::spawn_blocking(move || {
                    run(&["--store", &from, "copy", "--moving", "--to", &to], &[]).code
                })
            });
            match (step + round) % 4 {
                0 => {
                    redis.kill();
                    pause(150).await;
                    redis.restart().await;
                }
                1 => {
                    postgres.kill();
                    pause(150).await;
                    postgres.restart().await;
                }
                2 => {
                    redis.freeze();
                    postgres.freeze();
                    pause(1500).await;
                    redis.thaw();
                    pause(100).await;
                    postgres.thaw();
                }
                _ => {
                    redis.kill();
                    postgres.kill();
                    pause(100).await;
                    redis.restart().await;
                    postgres.restart().await;
                }
            }
            pause(300).await;
            if let Some(carrying) = carrying {
                let status = carrying.await.unwrap();
                assert!([0, 1, 3].contains(&status), "{status}");
            }
            visitors = come.leave().await;
        }
        carried(&from.url, &to.url).await;
        let left = from.run(&["count", "--json"]).json();
        assert_eq!(left[0]["sessions"], 0, "{left:?}");
        for visitor in &mut visitors {
            for (cookie, may) in visitor.cookies.iter().zip(&mut visitor.may) {
                let alone = found(&to.sessions(), cookie).await.map(|(_, count)| count);
                assert!(may.contains(&alone), "{alone:?} of {may:?}");
                *may = vec![alone];
                assert_eq!(found(&from.sessions(), cookie).await, None);
            }
        }
    }
}
