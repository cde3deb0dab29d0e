//! Each command on each store.

use std::{
    fs,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use session_core::{Finish, Sessions};
use session_tests::{Memcached, RedisServer, assert_in_time};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    doctor::keep_on_disk,
    support::{Failing, Place, Ran, command, found, log_in, run, settings},
};

#[tokio::test(flavor = "multi_thread")]
async fn each_command_works_on_each_store() {
    for store in Place::all().await {
        let sessions = store.sessions();
        let mut cookies = Vec::new();
        for owner in [Some("ada"), Some("ada"), Some("bob"), None, None] {
            cookies.push(log_in(&sessions, owner).await);
        }
        let ended = log_in(&sessions, Some("eve")).await;
        let visit = sessions.begin_request();
        let eve = visit
            .session(&mut [ended.as_bytes()].into_iter())
            .await
            .unwrap();
        eve.log_out();
        let _saved = eve.save().await.unwrap();
        drop(visit);

        let listed = store.run(&["ls", "--json"]).json();
        assert_eq!(listed.len(), 5, "{}", store.url);
        let of_ada = store.run(&["ls", "--json", "--owner", "ada"]).json();
        assert_eq!(of_ada.len(), 2);
        assert_eq!(store.run(&["ls", "--json", "--anonymous"]).json().len(), 2);
        assert_eq!(store.run(&["ls", "--json", "--limit", "1"]).json().len(), 1);
        assert_eq!(
            store
                .run(&["ls", "--json", "--older-than", "1d"])
                .json()
                .len(),
            0
        );
        assert_eq!(
            store
                .run(&["ls", "--json", "--idle-for", "0s"])
                .json()
                .len(),
            5
        );

        let count = &store.run(&["count", "--json"]).json()[0];
        assert_eq!(count["sessions"], 5);
        assert_eq!(
            (&count["owners"], &count["anonymous"]),
            (&2.into(), &2.into())
        );
        assert_eq!(
            (&count["tombstones"], &count["unreadable"]),
            (&1.into(), &0.into())
        );

        let lineage = of_ada[0]["lineage"].as_str().unwrap();
        let shown = &store.run(&["show", lineage, "--json", "--values"]).json()[0];
        assert_eq!(shown["values"]["note"], "a planted note");
        let without = store.run(&["show", lineage]).ok();
        assert!(
            without.contains("ada") && without.contains("Firefox"),
            "{without}"
        );

        let long = "somebody".repeat(20);
        let of_somebody = log_in(&sessions, Some(&long)).await;
        let table = store.run(&["ls"]).ok();
        store.run(&["end", "--owner", &long, "--yes"]).ok();
        assert_eq!(found(&sessions, &of_somebody).await, None);
        assert!(table.contains(lineage), "{table}");
        assert!(table.lines().all(|it| it.chars().count() <= 80), "{table}");
        for printed in [&without, &table, &format!("{listed:?}")] {
            assert!(!printed.contains("planted"), "{printed}");
            for cookie in &cookies {
                let id = cookie
                    .trim_start_matches("session=")
                    .split('.')
                    .next()
                    .unwrap();
                assert!(!printed.contains(id), "{printed}");
            }
        }

        assert_eq!(store.run(&["end", lineage]).code, 2, "it asks first");
        store.run(&["end", lineage, "--yes"]).ok();
        assert_eq!(store.run(&["ls", "--json"]).json().len(), 4);
        assert_eq!(store.run(&["end", lineage, "--yes"]).code, 4);
        store.run(&["end", "--owner", "ada", "--yes"]).ok();
        store.run(&["end", "--anonymous", "--yes"]).ok();
        assert_eq!(store.run(&["ls", "--json"]).json().len(), 1);
        assert_eq!(found(&sessions, &cookies[0]).await, None);
        assert_eq!(
            found(&sessions, &cookies[2]).await,
            Some((Some("bob".into()), 0))
        );
        store.run(&["end", "--all", "--yes"]).ok();
        assert_eq!(found(&sessions, &cookies[2]).await, None);

        store.run(&["sweep"]).ok();
        store.run(&["migrate"]).ok();
        keep_on_disk(&store.url);
        store.run(&["doctor"]).ok();
        let watched = store.run(&["watch", "--every", "1s", "--times", "2"]).ok();
        assert_eq!(watched.lines().count(), 3, "{watched}");
        assert!(
            watched.lines().all(|it| it.chars().count() <= 80),
            "{watched}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_renewal_left_ends_with_its_session() {
    for words in [&["--all"][..], &["--older-than", "0s"], &["LINEAGE"]] {
        let store = Place::files().await;
        let cookie = log_in(&store.sessions(), None).await;
        // The copy is stored, and the record before it stays as it was.
        let failing = Failing {
            store: store.store.clone(),
            inserts: false,
            updates: true,
        };
        let fails = Sessions::new(settings(), Arc::new(failing)).unwrap();
        let request = fails.begin_request();
        let session = request.session(&mut [cookie.as_bytes()].into_iter()).await;
        session.unwrap().renew();
        let Finish::Pending(saving) = request.finish() else {
            panic!("nothing is saved");
        };
        assert!(saving.await.is_err());
        let listed = store.run(&["ls", "--json"]).json();
        assert_eq!(listed.len(), 1);
        let lineage = listed[0]["lineage"].as_str().unwrap();
        let meant: Vec<_> = words
            .iter()
            .map(|it| if *it == "LINEAGE" { lineage } else { *it })
            .collect();
        let ended = store.run(&[&["end", "--yes"], &meant[..]].concat()).ok();
        assert!(ended.starts_with("1 session"), "{ended}");
        let left = store.run(&["count", "--json"]).json();
        assert_eq!(
            (&left[0]["sessions"], &left[0]["tombstones"]),
            (&0.into(), &2.into())
        );
    }
}

/// Whose administrator has turned off what lists are made of.
#[tokio::test(flavor = "multi_thread")]
async fn a_memcached_that_lists_nothing_says_so() {
    let server = Memcached::start(&["-o", "no_lru_crawler"]).await;
    let url = format!("memcached://{}", server.addr());
    let on_server = |word: &str| run(&["--store", &url, word], &[]);
    for word in ["ls", "count"] {
        let ran = on_server(word);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("lru_crawler"), "{}", ran.err);
    }
    for word in ["sweep", "migrate"] {
        on_server(word).ok();
    }
    let doctor = on_server("doctor");
    assert_eq!(doctor.code, 3, "{doctor:?}");
    assert!(doctor.out.contains("lru_crawler"), "{doctor:?}");
}

#[test]
fn what_cannot_be_done_says_what_to_do() {
    let directory = session_tests::scratch_dir();
    let store = format!("file://{}", directory.path().display());
    let none = format!("{store}/none");
    let old = ["--store", &store, "--old", &store];
    for (words, env, expected) in [
        (&["ls"][..], &[][..], "SESSION_TYPE is needed"),
        (
            &[&old[..], &["ls"]].concat(),
            &[],
            "--old is the store itself",
        ),
        (&["--store", "etcd://x", "ls"], &[], "use redis://"),
        (&["--store", &none, "ls"], &[], "does not exist"),
        (&["--store", &store, "show", "x"], &[], "22 characters"),
        (&["ls"], &[("SESSION_TYPE", "memory")], "is memory"),
        (
            &["--store", &store, "--prefix", "a b", "ls"],
            &[],
            "graphic ASCII",
        ),
    ] {
        let Ran { out, err, code } = run(words, env);
        assert_eq!((code, &*out), (2, ""), "{err}");
        assert!(err.contains(expected), "{err}");
    }
    let down = run(&["--store", "redis://127.0.0.1:1", "count"], &[]);
    assert_eq!(down.code, 1);
    assert!(down.err.contains("127.0.0.1:1"), "{}", down.err);
}

#[test]
fn what_may_be_a_secret_is_not_printed() {
    let directory = session_tests::scratch_dir();
    let store = format!("file://{}", directory.path().display());
    let store = ["--store", &*store];
    for words in [
        &["--store", "user:hush@host", "ls"][..],
        &[
            &store[..],
            &["show", "hush-hush-hush-hush-hush-hush-hush-hush-hush"],
        ]
        .concat(),
        &[
            &store[..],
            &[
                "end",
                "--yes",
                "hush-hush-hush-hush-hush-hush-hush-hush-hush",
            ],
        ]
        .concat(),
    ] {
        let Ran { out, err, code } = run(words, &[]);
        assert_eq!((code, &*out), (2, ""), "{err}");
        assert!(!err.contains("hush"), "{err}");
    }
    // A lineage may begin with a hyphen.
    let none = run(
        &[&store[..], &["show", "-AAAAAAAAAAAAAAAAAAAAA"]].concat(),
        &[],
    );
    assert_eq!(none.code, 4);
    assert!(none.err.contains("no live session"), "{}", none.err);
}

#[test]
fn completions_and_the_manual_are_generated() {
    assert!(
        run(&["completions", "bash"], &[])
            .ok()
            .contains("sessionctl")
    );
    assert!(run(&["man"], &[]).ok().contains(".TH sessionctl"));
    let copy = run(&["man", "copy"], &[]).ok();
    assert!(
        copy.contains(".TH sessionctl-copy") && copy.contains("dry\\-run"),
        "{copy}"
    );
    assert_eq!(run(&["man", "nothing"], &[]).code, 2);
    let help = run(&["--help"], &[]).ok();
    assert!(help.lines().all(|it| it.chars().count() <= 100), "{help}");
}

#[test]
fn whoever_wants_to_convert_learns_what_takes_its_place() {
    for words in [&["convert"][..], &["convert", "--from", "flask", "--to=x"]] {
        let ran = run(words, &[]);
        assert_eq!(ran.code, 2);
        for way in ["FlaskSessions::Move", "SECRET_KEY", "sessionctl encrypt"] {
            assert!(ran.err.contains(way), "{}", ran.err);
        }
    }
    assert!(!run(&["help"], &[]).ok().contains("convert"));
}

/// To open a directory or a file of SQLite creates it, as whoever runs the command.
#[test]
fn a_command_that_reads_creates_nothing() {
    let directory = session_tests::scratch_dir();
    let path = directory.path().display();
    for store in [
        format!("file://{path}/none"),
        format!("sqlite://{path}/none.db?mode=rwc"),
    ] {
        for words in [
            &["ls"][..],
            &["doctor"],
            &["sweep"],
            &["end", "--all", "--yes"],
        ] {
            let ran = run(&[&["--store", &store][..], words].concat(), &[]);
            assert!([2, 3].contains(&ran.code), "{ran:?}");
        }
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            0,
            "{store}"
        );
        run(&["--store", &store, "migrate"], &[]).ok();
        run(&["--store", &store, "ls"], &[]).ok();
        for entry in fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path();
            let _is_one = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
    }
}

/// As `sessionctl ls | head` does it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_may_go() {
    let store = Place::files().await;
    let sessions = store.sessions();
    for _ in 0..5 {
        log_in(&sessions, Some("ada")).await;
    }
    let lineage = store.run(&["ls", "--json"]).json()[0]["lineage"].clone();
    for words in [
        &["ls"][..],
        &["ls", "--json"],
        &["count"],
        &["show", lineage.as_str().unwrap()],
        &["watch", "--times", "3", "--every", "1s"],
        &["doctor"],
        &["completions", "bash"],
        &["man"],
        &["end", "--all", "--yes"],
    ] {
        let mut command = command(&[&["--store", &store.url][..], words].concat(), &[]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{words:?}");
    }
    assert_eq!(store.run(&["ls", "--json"]).json().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_session_is_a_command_to_the_terminal() {
    let store = Place::files().await;
    let text = "a\u{9b}2J\u{1b}[2J\u{202e}b";
    let change = |session: &session_core::Session| {
        session.insert(text, &text)?;
        session.set_label(Some(text));
        session.log_in(text)
    };
    store.sessions().cookie_of(change).await.unwrap();
    let listed = &store.run(&["ls", "--json"]).json()[0];
    assert_eq!(
        (&listed["owner"], &listed["label"]),
        (&text.into(), &text.into())
    );
    let lineage = listed["lineage"].as_str().unwrap();
    for words in [
        &["ls"][..],
        &["ls", "--json"],
        &["show", lineage, "--values"],
        &["show", lineage, "--values", "--json"],
    ] {
        let printed = store.run(words).ok();
        let is_command = |it: char| (it.is_control() && it != '\n') || it == '\u{202e}';
        assert!(!printed.contains(is_command), "{printed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_values_cannot_be_read_is_shown_without_them() {
    let store = Place::files().await;
    log_in(
        &store.encrypted("Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ"),
        Some("ada"),
    )
    .await;
    let listed = store.run(&["ls", "--json"]).json();
    let lineage = listed[0]["lineage"].as_str().unwrap();
    let shown = store.run(&["show", lineage, "--values"]);
    assert_eq!(shown.code, 3, "{shown:?}");
    assert!(
        shown.out.contains("ada") && shown.err.contains("SESSION_ENCRYPTION_KEY"),
        "{shown:?}"
    );
}

/// Somebody else's keys begin as ours do, and need not be text.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_text_is_nobodys_session() {
    let redis = RedisServer::start(&[]).await;
    redis.command(r#"SET "session:\xff\xfe" x"#);
    let store = Place::on(redis).await;
    log_in(&store.sessions(), Some("ada")).await;
    assert_eq!(store.run(&["ls", "--json"]).json().len(), 1);

    let store = Place::sqlite().await;
    log_in(&store.sessions(), Some("ada")).await;
    let file = store
        .url
        .trim_start_matches("sqlite://")
        .trim_end_matches("?mode=rwc");
    let insert = "INSERT INTO sessions (store_key, payload, revision, expires_at, sweep_at) \
        SELECT CAST('session:' || X'FFFE' AS BLOB), payload, revision, expires_at, sweep_at FROM sessions";
    let python =
        format!("import sqlite3; c = sqlite3.connect({file:?}); c.execute({insert:?}); c.commit()");
    let ran = std::process::Command::new("python3")
        .args(["-c", &python])
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert_eq!(store.run(&["ls", "--json"]).json().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_after_an_outage_and_ends_when_it_is_told_to() {
    let redis = RedisServer::start(&["--appendonly", "yes"]).await;
    let url = redis.url();
    let words = ["--store", &url, "watch", "--every", "1s", "--times", "5"];
    let child = command(&words, &[]).stdout(Stdio::piped()).spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    redis.kill();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    redis.restart().await;
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{printed}");
    assert!(printed.contains("failed"), "{printed}");
    assert!(
        !printed.lines().last().unwrap().contains("failed"),
        "{printed}"
    );

    // In the middle of a call.
    let words = ["--store", &url, "watch", "--every", "1s"];
    let mut child = command(&words, &[]).stdout(Stdio::null()).spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    redis.freeze();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let interrupt = format!("kill -INT {}", child.id());
    let began = Instant::now();
    std::process::Command::new("sh")
        .args(["-c", &interrupt])
        .status()
        .unwrap();
    assert!([Some(0), Some(3)].contains(&child.wait().unwrap().code()));
    assert_in_time!(began.elapsed() < Duration::from_secs(2));
    redis.thaw();
}

/// Serves a page of metrics whose counters grow with each look.
async fn page_of_metrics(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for look in 1.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /m HTTP/1.0"));
            let body = format!(
                "session_request_count{{outcome=\"done\"}} {}\n\
                 session_request_count{{outcome=\"store\"}} {}\n\
                 session_store_operation_duration_bucket{{operation=\"load\",le=\"0.25\"}} {look}\n\
                 session_store_operation_duration_bucket{{operation=\"load\",le=\"+Inf\"}} {look}\n",
                100 * look,
                10 * look,
            );
            let answer = format!("HTTP/1.0 {status}\r\nContent-Type: text/plain\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}/m")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_shows_what_the_applications_count() {
    let store = Place::files().await;
    let (one, other) = (
        page_of_metrics("200 OK").await,
        page_of_metrics("200 OK").await,
    );
    let words = [
        "watch",
        "--every",
        "1s",
        "--times",
        "2",
        "--metrics",
        &one,
        "--metrics",
        &other,
    ];
    let watched = store.run(&words).ok();
    let last = watched.lines().last().unwrap();
    assert!(last.contains(" requests/s, failed: store "), "{watched}");
    assert!(last.ends_with("slowest: load, 99 % in 0.25 s"), "{watched}");
    assert!(
        watched.lines().all(|it| it.chars().count() <= 80),
        "{watched}"
    );

    let gone = page_of_metrics("503 Service Unavailable").await;
    let ran = store.run(&["watch", "--times", "1", "--metrics", &gone]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.contains("503"), "{ran:?}");
    let wrong = store.run(&["watch", "--times", "1", "--metrics", "https://hush@host/"]);
    assert_eq!((wrong.code, &*wrong.out), (2, ""), "{wrong:?}");
    assert!(!wrong.err.contains("hush"), "{wrong:?}");
}
