//! Stores that fail, hang or come back while a command runs, and commands that are ended.

use std::{
    collections::HashSet,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join_all, stream};
use session_tests::{RedisServer, assert_in_time, scratch_dir};

use crate::support::{Place, Ran, SILENT, command, log_in, run, run_until_silent};

/// What a command says is not as long as the store is large.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_ends_while_sessions_are_ended() {
    const SESSIONS: usize = 3000;
    let redis = RedisServer::start(&["--appendonly", "yes"]).await;
    let url = redis.url();
    let store = Place::of_server(&url).await;
    let sessions = store.sessions();
    for number in 0..SESSIONS {
        log_in(&sessions, Some(&format!("user{}", number % 7))).await;
    }
    let words = ["--store", &*url, "end", "--all", "--yes"];
    let before = commands(&redis);
    let mut end = command(&words, &[]);
    let child = end
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command has ended some sessions by then, and not all: each takes a command at least.
    let began = Instant::now();
    while commands(&redis) < before + SESSIONS / 5 {
        assert_in_time!(
            began.elapsed() < Duration::from_secs(20),
            "nothing is ended"
        );
        thread::sleep(Duration::from_millis(5));
    }
    redis.kill();
    let began = Instant::now();
    let ran = Ran::of(&child.wait_with_output().unwrap());
    assert_in_time!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert!([1, 3].contains(&ran.code), "{ran:?}");
    assert!(ran.err.lines().count() < 12, "{}", ran.err);
    // It says how far it came.
    assert!(ran.out.contains("ended"), "{ran:?}");
    redis.restart().await;
    run(&words, &[]).ok();
    assert_eq!(store.run(&["count", "--json"]).json()[0]["sessions"], 0);
}

/// How many commands the server has been sent, without those that ask for this number.
fn commands(redis: &RedisServer) -> usize {
    let statistics = redis.command("INFO commandstats");
    let calls = |line: &str| {
        let (name, rest) = line.split_once(":calls=")?;
        let number = rest.split(',').next()?.parse::<usize>().ok()?;
        (name != "cmdstat_info").then_some(number)
    };
    statistics.lines().filter_map(calls).sum()
}

/// A server that hangs answers nobody; each command says so in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_ends_each_command_in_time() {
    let redis = RedisServer::start(&["--appendonly", "yes"]).await;
    let url = redis.url();
    let store = Place::of_server(&url).await;
    log_in(&store.sessions(), Some("ada")).await;
    let listed = store.run(&["ls", "--json"]).json();
    let lineage = listed[0]["lineage"].as_str().unwrap();
    let to = scratch_dir();
    let to = format!("file://{}", to.path().display());
    redis.freeze();
    for words in [
        &["ls"][..],
        &["count"],
        &["show", lineage],
        &["end", lineage, "--yes"],
        &["end", "--all", "--yes"],
        &["end", "--owner", "ada", "--yes"],
        &["copy", "--to", &to],
        &["copy", "--to", &to, "--moving"],
        &["doctor"],
        &["watch", "--times", "1"],
    ] {
        let began = Instant::now();
        let ran = store.run(words);
        assert_in_time!(
            began.elapsed() < Duration::from_secs(30),
            "{words:?} {:?}",
            began.elapsed()
        );
        assert!([1, 3].contains(&ran.code), "{words:?}: {ran:?}");
    }
    redis.thaw();
    store.run(&["count"]).ok();
}

/// As behind a pooler whose server hangs, or when a route is lost: at the log-in, after it, and later.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_after_the_log_in_ends_each_command_in_time() {
    // A page of records, and all work on a user's sessions, have 25 s, and a copy of a page follows.
    const LONGEST: Duration = Duration::from_secs(60);
    const AT_ONCE: usize = 16;
    let postgres = session_tests::Postgres::start().await;
    let mariadb = session_tests::MariaDb::start().await;
    let mongo = session_tests::Mongo::start().await;
    // Or the driver asks the server for its address, and goes past the proxy.
    let mongo_url = format!("{}?directConnection=true", mongo.url());
    let servers = [
        (postgres.url(), postgres.port()),
        (mariadb.url(), mariadb.port()),
        (mongo_url, mongo.port()),
    ];
    let of_servers = servers.map(async |server| {
        let url = server.0.clone();
        run(&["--store", &url, "migrate"], &[]).ok();
        let here = Place::files().await;
        log_in(&here.sessions(), Some("ada")).await;
        here.run(&["copy", "--to", &url]).ok();
        let listed = run(&["--store", &url, "ls", "--json"], &[]).json();
        let lineage = listed[0]["lineage"].as_str().unwrap();
        let to = scratch_dir();
        let to = format!("file://{}", to.path().join("sessions").display());
        let on = |words: &[&'static str]| [&["--store", SILENT], words].concat();
        let commands = [
            on(&["ls"]),
            on(&["count"]),
            on(&["sweep"]),
            on(&["migrate"]),
            on(&["watch", "--times", "1"]),
            vec!["--store", SILENT, "show", lineage],
            vec!["--store", SILENT, "copy", "--merge", "--to", &to],
            vec!["--store", &here.url, "copy", "--merge", "--to", SILENT],
            vec!["--store", &here.url, "copy", "--moving", "--to", SILENT],
            vec!["--store", &here.url, "--old", SILENT, "ls"],
            on(&["end", "--owner", "ada", "--yes"]),
            on(&["end", "--all", "--yes"]),
        ];
        let steps = [3, 7, 11, 17];
        let tries = commands
            .iter()
            .flat_map(|words| steps.map(|pieces| (words, pieces)));
        let tries = tries.map(async |(words, pieces)| {
            let ran = run_until_silent(words, server.clone(), pieces, LONGEST).await;
            (words, pieces, ran)
        });
        let mut tries = stream::iter(tries).buffer_unordered(AT_ONCE);
        while let Some((words, pieces, ran)) = tries.next().await {
            assert_in_time!(
                ran.is_some(),
                "{url}: {words:?} after {pieces} pieces: no end"
            );
            let (ran, took) = ran.unwrap();
            eprintln!("{took:.1?}: {words:?} after {pieces} pieces: {}", ran.code);
            // It worked, or the store failed, or all or a part of what it is about is gone.
            assert!([0, 1, 3, 4].contains(&ran.code), "{words:?}: {ran:?}");
        }
    });
    join_all(of_servers).await;
}

/// Ctrl-C in the middle, and on from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_interrupted_goes_on() {
    const SESSIONS: usize = 3000;
    let from = Place::files().await;
    let sessions = from.sessions();
    for _ in 0..SESSIONS {
        log_in(&sessions, None).await;
    }
    // On a busy machine the signal may come after the end.
    for pause in [100, 40, 15, 5, 0] {
        let to = Place::sqlite().await;
        let directory = scratch_dir();
        let state = directory.path().join("state");
        let words = ["copy", "--to", &to.url, "--state", state.to_str().unwrap()];
        let all = [&["--store", &*from.url], &words[..]].concat();
        let child = command(&all, &[])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !state.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(pause));
        std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        let was_interrupted = !child.wait_with_output().unwrap().status.success();
        from.run(&words).ok();
        assert_eq!(to.run(&["count", "--json"]).json()[0]["sessions"], SESSIONS);
        if was_interrupted {
            return;
        }
    }
    panic!("late: each copy ended before the signal");
}

/// The old store is full or a replica: whoever is paged sees and ends the sessions all the same.
#[tokio::test(flavor = "multi_thread")]
async fn both_stores_are_read_although_one_takes_no_writes() {
    let redis = RedisServer::start(&[]).await;
    let url = redis.url();
    let (old, new) = (Place::of_server(&url).await, Place::files().await);
    log_in(&old.sessions(), Some("ada")).await;
    redis.command("CONFIG SET maxmemory 1");
    let both = ["--store", &*new.url, "--old", &*url];
    let on_both = |words: &[&str]| run(&[&both[..], words].concat(), &[]);
    assert_eq!(on_both(&["ls", "--json"]).json().len(), 1);
    assert_eq!(on_both(&["count", "--json"]).json()[0]["sessions"], 1);
    let same = run(&["--store", &*url, "--old", &*url, "ls"], &[]);
    assert_eq!(same.code, 2, "{same:?}");
    let ended = on_both(&["end", "--owner", "ada", "--yes"]).ok();
    assert!(ended.starts_with('1'), "{ended}");
}

/// Sessions that the application renews while they are ended end all the same.
#[tokio::test(flavor = "multi_thread")]
async fn no_renewal_saves_a_session_from_an_end_of_all() {
    const SESSIONS: usize = 2500;
    for store in [
        Place::redis().await,
        Place::sqlite().await,
        Place::files().await,
    ] {
        let sessions = store.sessions();
        let mut cookies = Vec::new();
        for _ in 0..SESSIONS {
            cookies.push(log_in(&sessions, None).await);
        }
        let renewing = tokio::spawn({
            let sessions = sessions.clone();
            async move {
                let mut latest = cookies;
                let mut alive: HashSet<usize> = (0..latest.len()).collect();
                for round in 0.. {
                    for at in alive.clone() {
                        match crate::support::renewed(&sessions, &latest[at]).await {
                            Some(cookie) => latest[at] = cookie,
                            None => drop(alive.remove(&at)),
                        }
                    }
                    if alive.is_empty() || round > 20 {
                        return alive.len();
                    }
                }
                alive.len()
            }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.run(&["end", "--all", "--yes"]).ok();
        let count = store.run(&["count", "--json"]).json();
        assert_eq!(count[0]["sessions"], 0, "{}", store.url);
        assert_eq!(renewing.await.unwrap(), 0);
    }
}
