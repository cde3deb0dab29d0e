//! Sessions that move between stores while they are used: nothing is lost, and nothing comes back.

use std::{
    collections::HashMap,
    env, fs,
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
use session_tests::{RedisServer, rounds, scratch_dir};

use tokio::task::JoinHandle;

use crate::support::{Failing, Place, Ran, command, found, log_in, run, settings};

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

/// What happens beside a move.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    /// How often the program that moves is killed and started again.
    kills: u32,
    /// How long each visitor waits between two requests.
    pause: Option<Duration>,
}

/// What a move cost.
struct Figures {
    /// 99 % of the requests took no longer: without the walk, and beside it.
    p99: [Duration; 2],
    requests: usize,
    took: Duration,
    /// The most memory that the program had, in KiB.
    memory: u64,
    printed: String,
}

impl Figures {
    /// Sessions a second.
    fn rate(&self) -> f64 {
        let moved = self.printed.split(' ').next().unwrap();
        moved.parse::<f64>().unwrap() / self.took.as_secs_f64()
    }
}

/// What a visitor leaves with: what is known of the sessions, and how long each request took.
type Stay = (Vec<(usize, Known)>, Vec<Duration>);

/// Visitors, each with sessions of its own, until they are told to stop. Their requests must find
/// what was acknowledged before. Without a pause between their requests they keep the machine busy.
struct Visitors {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Stay>>,
}

impl Visitors {
    fn come(
        sessions: &Sessions,
        known: &mut HashMap<usize, Known>,
        pause: Option<Duration>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut parts: Vec<Vec<(usize, Known)>> = vec![Vec::new(); VISITORS];
        for (number, it) in known.drain() {
            parts[number % VISITORS].push((number, it));
        }
        let visit = |(visitor, mut own): (usize, Vec<(usize, Known)>)| {
            let (sessions, stop) = (sessions.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut turn, mut times) = (visitor * 7, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    let at = (turn * 31) % own.len();
                    let began = Instant::now();
                    send_request(&sessions, &mut own[at].1, turn).await;
                    times.push(began.elapsed());
                    if let Some(pause) = pause {
                        tokio::time::sleep(pause).await;
                    }
                }
                (own, times)
            })
        };
        let tasks = parts.into_iter().enumerate().map(visit).collect();
        Self { stop, tasks }
    }

    /// They leave. Returns how many requests there were, and within which time 99 % of them.
    async fn leave(self, known: &mut HashMap<usize, Known>) -> (usize, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for task in self.tasks {
            let (own, mut took) = task.await.unwrap();
            known.extend(own);
            times.append(&mut took);
        }
        times.sort_unstable();
        let p99 = times.get(times.len() * 99 / 100).copied();
        (times.len(), p99.unwrap_or_default())
    }
}

/// Moves all sessions from one store to the other, with visitors beside. The program that moves them
/// is killed `kills` times on the way.
async fn move_all(
    from: &Place,
    to: &Place,
    prefix: &str,
    known: &mut HashMap<usize, Known>,
    Beside { kills, pause }: Beside,
) -> Figures {
    let moving = Moving::new(to.store.clone(), from.store.clone());
    let sessions = under(prefix, Arc::new(moving));
    let count = known.len();
    let visitors = Visitors::come(&sessions, known, pause);
    tokio::time::sleep(Duration::from_millis(if kills == 0 { 3000 } else { 20 })).await;
    let (_, alone) = visitors.leave(known).await;
    let visitors = Visitors::come(&sessions, known, pause);
    let directory = scratch_dir();
    let state = directory.path().join("state");
    let words = ["--store", &from.url, "--prefix", prefix, "copy", "--moving"];
    let to_and_state = ["--to", &to.url, "--state", state.to_str().unwrap()];
    let words = [&words[..], &to_and_state].concat();
    // The more there is to move, the later.
    let longer = u32::try_from(count / 2000).unwrap().max(1);
    for kill in 0..kills {
        let child: Child = command(&words, &[]).stdout(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(10 + 15 * u64::from(kill)) * longer).await;
        kill_it(child);
    }
    let began = Instant::now();
    // A busy machine may leave some where they are; the runbook says to run it again.
    let (mut ran, mut memory) = watched(&words).await;
    for _ in 0..3 {
        if ran.code == 3 {
            (ran, memory) = watched(&words).await;
        }
    }
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let took = began.elapsed();
    let (requests, beside) = visitors.leave(known).await;
    Figures {
        p99: [alone, beside],
        requests,
        took,
        memory,
        printed: ran.out.trim().to_owned(),
    }
}

/// Runs the program. Returns the most memory that it had, too, in KiB.
async fn watched(words: &[&str]) -> (Ran, u64) {
    let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
    let run = move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = command(&words, &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut memory = 0;
        while child.try_wait().unwrap().is_none() {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|it| it.trim().trim_end_matches(" kB").parse().ok());
            memory = peak.unwrap_or(memory);
            thread::sleep(Duration::from_millis(5));
        }
        (Ran::of(&child.wait_with_output().unwrap()), memory)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn scheme(store: &Place) -> &str {
    store.url.split(':').next().unwrap_or_default()
}

fn kill_it(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
    thread::yield_now();
}

/// The sessions of this prefix.
fn under(prefix: &str, store: Arc<dyn SessionStore>) -> Sessions {
    let settings = settings().with_key_prefix(KeyPrefix::new(prefix).unwrap());
    Sessions::new(settings, store).unwrap()
}

/// A number of sessions that an environment variable may set.
fn count_of(variable: &str, default: usize) -> usize {
    let set = env::var(variable).ok();
    set.map_or(default, |it| it.parse().expect("it is a number"))
}

/// Moves `count` sessions of a tenth as many users.
async fn moves_between(
    from: &Place,
    to: &Place,
    prefix: &str,
    count: usize,
    beside: Beside,
) -> Figures {
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
    let mut known = stream::iter(created).buffer_unordered(64).collect().await;
    let figures = move_all(from, to, prefix, &mut known, beside).await;
    let Figures { took, memory, .. } = figures;
    let [alone, during] = figures.p99;
    eprintln!(
        "{} to {}: {}; after {} kills {took:.1?}, {:.0} a second, {memory} KiB at most; \
         {} requests beside it, 99 % within {during:.1?}, without it within {alone:.1?}",
        scheme(from),
        scheme(to),
        figures.printed,
        beside.kills,
        figures.rate(),
        figures.requests,
    );
    assert!(memory < 64 * 1024, "{memory} KiB");
    let there = under(prefix, to.store.clone());
    // The new store alone has all of it now, and the old one nothing.
    let looks = known.values().map(|it| {
        let there = &there;
        async move { (it, found(there, &it.cookie).await) }
    });
    let mut looks = stream::iter(looks).buffer_unordered(16);
    while let Some((it, found)) = looks.next().await {
        let expected = (!it.ended).then(|| (it.owner.clone(), it.count));
        assert_eq!(found, expected, "{} {}", from.url, to.url);
    }
    drop(looks);
    let left = from.run(&["--prefix", prefix, "count", "--json"]).json();
    assert_eq!(left[0]["sessions"], 0, "{left:?}");
    for owner in (0..5).map(|it| format!("user {it}")) {
        let live = known
            .values()
            .filter(|it| !it.ended && it.owner.as_deref() == Some(&owner));
        let listed = there.owner_sessions(&owner).await.unwrap();
        assert_eq!(listed.len(), live.count(), "{owner} in {}", to.url);
    }
    figures
}

/// `SESSION_TEST_MOVED` sets how many sessions each of the twelve moves has.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_comes_back_between_any_two_stores_and_on_the_way_back() {
    let count = count_of("SESSION_TEST_MOVED", rounds() * 4);
    let killed = Beside {
        kills: 10,
        ..Beside::default()
    };
    let stores = [
        Place::redis().await,
        Place::postgres().await,
        Place::sqlite().await,
        Place::files().await,
    ];
    for (one, from) in stores.iter().enumerate() {
        for (other, to) in stores.iter().enumerate().skip(one + 1) {
            moves_between(from, to, &format!("{one}{other}:"), count, killed).await;
            moves_between(to, from, &format!("{other}{one}:"), count, killed).await;
        }
    }
}

/// `SESSION_TEST_MOVED_AT_ONCE` sets how many there are. The visitors do not keep the machine busy
/// here, so that the walk is what makes them slower.
#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_move_at_a_rate_and_in_memory_that_are_printed() {
    let count = count_of("SESSION_TEST_MOVED_AT_ONCE", rounds() * 40);
    let (from, to) = (Place::redis().await, Place::postgres().await);
    let beside = Beside {
        kills: 0,
        pause: Some(Duration::from_millis(20)),
    };
    moves_between(&from, &to, "many:", count, beside).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_ended_in_both_stores_while_they_move() {
    let (old, new) = (Place::redis().await, Place::sqlite().await);
    let mut cookies = Vec::new();
    for owner in ["ada", "ada", "ada", "bob"] {
        cookies.push(log_in(&old.sessions(), Some(owner)).await);
    }
    let moving = |new: Arc<dyn SessionStore>| Moving::new(new, old.store.clone());
    let change = async |moving: Moving, cookie: &str| {
        let sessions = under("session:", Arc::new(moving));
        let request = sessions.begin_request();
        let session = request.session(&mut [cookie.as_bytes()].into_iter()).await;
        session.unwrap().insert("n", &1).unwrap();
        match request.finish() {
            Finish::Pending(saving) => saving.await.map(drop),
            Finish::Ready(_) => panic!("nothing is saved"),
        }
    };
    change(moving(new.store.clone()), &cookies[0])
        .await
        .unwrap();
    // A process stops on the way of the second one, and the third one has not moved.
    let store = new.store.clone();
    let failing = Failing {
        store,
        inserts: true,
        updates: false,
    };
    change(moving(Arc::new(failing)), &cookies[1])
        .await
        .unwrap_err();
    let count = old.run(&["count", "--json"]).json();
    assert_eq!(
        (&count[0]["sessions"], &count[0]["unreadable"]),
        (&3.into(), &0.into())
    );
    let both = ["--store", &new.url, "--old", &old.url];
    let on_both = |words: &[&str]| run(&[&both[..], words].concat(), &[]);
    assert_eq!(on_both(&["ls", "--json", "--owner", "ada"]).json().len(), 3);
    assert_eq!(on_both(&["sweep"]).code, 2);
    let ended = on_both(&["end", "--owner", "ada", "--yes"]).ok();
    assert_eq!(ended, "3 session(s) ended\n");
    for cookie in &cookies[..3] {
        for store in [
            old.store.clone(),
            new.store.clone(),
            Arc::new(moving(new.store.clone())),
        ] {
            assert_eq!(found(&under("session:", store), cookie).await, None);
        }
    }
    assert_eq!(on_both(&["count", "--json"]).json()[0]["sessions"], 1);
    let ended = on_both(&["end", "--all", "--yes"]).ok();
    assert_eq!(ended, "1 session(s) ended\n");
    assert_eq!(found(&old.sessions(), &cookies[3]).await, None);
}

/// Both stores are read while sessions move, and the old one twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_counts_once() {
    let redis = RedisServer::start(&[]).await;
    let (old, new) = (Place::of_server(&redis.url()).await, Place::files().await);
    log_in(&old.sessions(), None).await;
    let keys = redis.command("KEYS session:*");
    let damaged = keys.lines().find(|it| it.starts_with("session:")).unwrap();
    redis.command(&format!("SET {damaged} damaged KEEPTTL"));
    log_in(&old.sessions(), None).await;
    let words = ["--store", &new.url, "--old", &old.url, "count", "--json"];
    let ran = run(&words, &[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.out.contains("\"unreadable\":1,") || ran.out.contains("\"unreadable\":1}"),
        "{ran:?}"
    );
    assert!(ran.out.contains("\"sessions\":1"), "{ran:?}");
}
