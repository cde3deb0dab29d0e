//! Sessions that move between stores while they are used: nothing is lost, and nothing comes back.

use std::{
    collections::HashMap,
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use session_core::{Finish, KeyPrefix, Moving, SessionStore, Sessions};
use session_tests::{rounds, scratch_dir};

use crate::support::{Place, command, found, log_in, run, settings};

/// How many visitors change sessions meanwhile.
const VISITORS: usize = 6;

/// What is known of a session: by whom it was acknowledged.
#[derive(Clone, Debug, Default)]
struct Known {
    cookie: String,
    owner: Option<String>,
    count: u64,
    ended: bool,
}

/// One request: it counts, renews its id, or logs out. Returns the new cookie, if there is one.
async fn send_request(sessions: &Sessions, known: &mut Known, turn: usize) {
    let request = sessions.begin_request();
    let cookie = [known.cookie.as_bytes()];
    let session = request.session(&mut cookie.into_iter()).await.unwrap();
    let count = session.get::<u64>("n").unwrap();
    assert_eq!(count, (!known.ended).then_some(known.count), "{known:?}");
    if known.ended {
        return;
    }
    match turn % 11 {
        0 => session.log_out(),
        1 => session.renew(),
        _ => {}
    }
    let ends = turn.is_multiple_of(11);
    if !ends {
        session
            .update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
            .unwrap();
    }
    let headers = match request.finish() {
        Finish::Ready(headers) => headers,
        Finish::Pending(saving) => saving.await.unwrap(),
    };
    if ends {
        known.ended = true;
        return;
    }
    known.count += 1;
    if let Some(cookie) = headers.set_cookie {
        cookie
            .split(';')
            .next()
            .unwrap()
            .clone_into(&mut known.cookie);
    }
}

/// Moves all sessions from one store to the other, killing the program that moves them, with
/// visitors beside.
async fn move_all(from: &Place, to: &Place, prefix: &str, known: &mut HashMap<usize, Known>) {
    let moving = Moving::new(to.store.clone(), from.store.clone());
    let sessions = under(prefix, Arc::new(moving));
    let stop = Arc::new(AtomicBool::new(false));
    let mut parts: Vec<Vec<(usize, Known)>> = vec![Vec::new(); VISITORS];
    for (number, it) in known.drain() {
        parts[number % VISITORS].push((number, it));
    }
    let visitors: Vec<_> = parts
        .into_iter()
        .enumerate()
        .map(|(visitor, mut own)| {
            let (sessions, stop) = (sessions.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut turn, mut times) = (visitor * 7, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    let at = (turn * 31) % own.len();
                    let began = Instant::now();
                    send_request(&sessions, &mut own[at].1, turn).await;
                    times.push(began.elapsed());
                }
                (own, times)
            })
        })
        .collect();
    let directory = scratch_dir();
    let state = directory.path().join("state");
    let words = ["--store", &from.url, "--prefix", prefix, "copy", "--moving"];
    let to_and_state = ["--to", &to.url, "--state", state.to_str().unwrap()];
    let words = [&words[..], &to_and_state].concat();
    for kill in 0..3 {
        let child: Child = command(&words, &[]).stdout(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(40 + 60 * kill)).await;
        kill_it(child);
    }
    let copied = tokio::task::spawn_blocking({
        let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
        move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            // A busy machine may leave some where they are; the runbook says to run it again.
            let mut ran = run(&words, &[]);
            for _ in 0..3 {
                if ran.code == 3 {
                    ran = run(&words, &[]);
                }
            }
            ran
        }
    });
    let began = Instant::now();
    let copied = copied.await.unwrap();
    assert_eq!(copied.code, 0, "{}{}", copied.out, copied.err);
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for visitor in visitors {
        let (own, mut took) = visitor.await.unwrap();
        known.extend(own);
        times.append(&mut took);
    }
    times.sort_unstable();
    let p99 = times
        .get(times.len() * 99 / 100)
        .copied()
        .unwrap_or_default();
    eprintln!(
        "{} to {}: {} in {took:?}; {} requests beside, 99 % within {p99:?}",
        scheme(from),
        scheme(to),
        copied.out.trim(),
        times.len(),
    );
}

fn scheme(store: &Place) -> &str {
    store.url.split(':').next().unwrap_or_default()
}

fn kill_it(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
    thread::yield_now();
}

/// The sessions of this prefix. What is lost must not depend on how quick the machine is, so they
/// wait long.
fn under(prefix: &str, store: Arc<dyn SessionStore>) -> Sessions {
    let settings = settings()
        .with_key_prefix(KeyPrefix::new(prefix).unwrap())
        .with_store_timeout(Duration::from_secs(20));
    Sessions::new(settings, store).unwrap()
}

async fn moves_between(from: &Place, to: &Place, prefix: &str) {
    let count = rounds() * 4;
    let sessions = under(prefix, from.store.clone());
    let created = (0..count).map(|number| {
        let sessions = sessions.clone();
        async move {
            let owner = (number % 3 > 0).then(|| format!("user {}", number % (count / 10 + 1)));
            let cookie = log_in(&sessions, owner.as_deref()).await;
            let it = Known {
                cookie,
                owner,
                ..Known::default()
            };
            (number, it)
        }
    });
    let mut known = stream::iter(created).buffer_unordered(16).collect().await;
    move_all(from, to, prefix, &mut known).await;
    let there = under(prefix, to.store.clone());
    // The new store alone has all of it now, and the old one nothing.
    for it in known.values() {
        let expected = (!it.ended).then(|| (it.owner.clone(), it.count));
        assert_eq!(
            found(&there, &it.cookie).await,
            expected,
            "{} {}",
            from.url,
            to.url
        );
    }
    let left = from.run(&["--prefix", prefix, "count", "--json"]).json();
    assert_eq!(left[0]["sessions"], 0, "{left:?}");
    for owner in (0..5).map(|it| format!("user {it}")) {
        let live = known
            .values()
            .filter(|it| !it.ended && it.owner.as_deref() == Some(&owner));
        let listed = there.owner_sessions(&owner).await.unwrap();
        assert_eq!(listed.len(), live.count(), "{owner} in {}", to.url);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_comes_back_between_any_two_stores_and_on_the_way_back() {
    let stores = [
        Place::redis().await,
        Place::postgres().await,
        Place::sqlite().await,
        Place::files().await,
    ];
    for (one, from) in stores.iter().enumerate() {
        for (other, to) in stores.iter().enumerate().skip(one + 1) {
            moves_between(from, to, &format!("{one}{other}:")).await;
            moves_between(to, from, &format!("{other}{one}:")).await;
        }
    }
}
