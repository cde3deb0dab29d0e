//! Broken set-ups, and what `doctor` says of each.

use std::{
    fs,
    process::Command,
    time::{Duration, SystemTime},
};

use session_core::{Bytes, Record, SessionId};
use session_tests::{RedisCluster, RedisServer};

use crate::support::{Place, log_in, run, settings};

/// Makes the servers of Redis that the URL names, if it names any, keep what they have on disk.
pub(crate) fn keep_on_disk(url: &str) {
    for url in url.split(',').filter(|it| it.starts_with("redis:")) {
        let port: String = url
            .split(':')
            .nth(2)
            .unwrap()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let mut set = Command::new("redis-cli");
        set.args(["-p", &port, "config", "set", "appendonly", "yes"]);
        assert_eq!(set.output().unwrap().stdout, b"OK\n", "{url}");
    }
}

/// The problems that it names.
fn problems(url: &str, env: &[(&str, &str)]) -> Vec<String> {
    let ran = run(&["--store", url, "doctor", "--json"], env);
    let found: Vec<String> = ran
        .out
        .lines()
        .map(|it| serde_json::from_str::<serde_json::Value>(it).unwrap())
        .map(|it| format!("{} {}", it["problem"], it["remedy"]))
        .collect();
    assert_eq!(
        ran.code,
        if found.is_empty() { 0 } else { 3 },
        "{}",
        ran.err
    );
    found
}

#[track_caller]
fn names(found: &[String], expected: &str) {
    assert!(
        found.len() == 1 && found[0].contains(expected),
        "{expected}: {found:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_store_has_no_problem() {
    for store in Place::all().await {
        keep_on_disk(&store.url);
        log_in(&store.sessions(), Some("ada")).await;
        assert_eq!(
            problems(&store.url, &[]),
            Vec::<String>::new(),
            "{}",
            store.url
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_set_up_is_named() {
    names(&problems("redis://127.0.0.1:1", &[]), "cannot be asked");

    let redis = RedisServer::start(&[]).await;
    names(&problems(&redis.url(), &[]), "nothing on disk");
    redis.command("CONFIG SET appendonly yes");
    assert_eq!(problems(&redis.url(), &[]), Vec::<String>::new());
    redis.command("CONFIG SET maxmemory 100mb");
    redis.command("CONFIG SET maxmemory-policy allkeys-lru");
    names(&problems(&redis.url(), &[]), "evicts sessions");

    // One node of three.
    let cluster = RedisCluster::start().await;
    let urls = cluster.urls();
    keep_on_disk(&urls.join(","));
    for url in [&urls[0], &urls[2]] {
        let port = url.split(':').nth(2).unwrap().trim_end_matches('/');
        for (name, value) in [("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")] {
            let mut set = Command::new("redis-cli");
            set.args(["-p", port, "config", "set", name, value]);
            assert_eq!(set.output().unwrap().stdout, b"OK\n");
        }
        names(&problems(&urls.join(","), &[]), "evicts sessions");
    }

    let redis = RedisServer::start(&[]).await;
    redis.command("CONFIG SET appendonly yes");
    redis.command("ACL SETUSER reader on >secret ~* +@read +echo +time +info +scan +ping +hello");
    let reader = redis.url().replace("//", "//reader:secret@");
    names(&problems(&reader, &[]), "cannot be written");

    let redis = RedisServer::start(&[]).await;
    let port = redis.port();
    let store = Place::on(redis).await;
    keep_on_disk(&store.url);
    log_in(&store.sessions(), Some("ada")).await;
    let index = settings().key_prefix().owner_key("ada");
    let mut removed = Command::new("redis-cli");
    removed.args(["-p", &port.to_string(), "del", index.as_str()]);
    assert_eq!(removed.output().unwrap().stdout, b"1\n");
    names(&problems(&store.url, &[]), "not in their owner's index");

    let store = Place::files().await;
    let id = SessionId::random(SessionId::DEFAULT_BYTES);
    let record = Record {
        bytes: Bytes::from_static(b"no record of a session"),
        expires_at: std::time::SystemTime::now() + std::time::Duration::from_secs(3600),
        entry: None,
    };
    let key = settings().key_prefix().hashed_key(&id);
    assert!(store.store.insert(&key, &record).await.unwrap().is_stored());
    names(&problems(&store.url, &[]), "cannot be read");

    // A file was truncated; others expired long ago, and nobody sweeps.
    for damages in [true, false] {
        let store = Place::files().await;
        log_in(&store.sessions(), Some("ada")).await;
        expired(&store).await;
        if damages {
            assert!(truncate(store.url.trim_start_matches("file://").as_ref()) > 0);
        } else {
            names(&problems(&store.url, &[]), "nobody sweeps");
            continue;
        }
        let found = problems(&store.url, &[]);
        assert!(
            found.iter().any(|it| it.contains("truncated")),
            "{found:#?}"
        );
    }
    for store in [Place::sqlite().await, Place::postgres().await] {
        expired(&store).await;
        names(&problems(&store.url, &[]), "nobody sweeps");
    }

    let directory = session_tests::scratch_dir();
    let file = directory.path().join("new.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    names(&problems(&url, &[]), "does not exist");
    fs::write(&file, "").unwrap();
    names(&problems(&url, &[]), "does not exist");

    let server = session_tests::Mongo::start().await;
    let found = problems(&server.url(), &[]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found.iter().all(|it| it.contains("sessionctl migrate")),
        "{found:#?}"
    );

    let store = Place::files().await;
    let plain = ("SESSION_COOKIE_SECURE", "false");
    names(
        &problems(&store.url, &[plain]),
        "needs SESSION_COOKIE_SECURE=true",
    );
    let named = ("SESSION_COOKIE_NAME", "session");
    names(&problems(&store.url, &[plain, named]), "clear text");
    names(
        &problems(&store.url, &[("SESSION_USE_SIGNER", "false")]),
        "SESSION_USE_SIGNER",
    );
    names(
        &problems(&store.url, &[("SESSION_COOKIE_SAMESITE", "None")]),
        "SameSite".to_uppercase().as_str(),
    );
}

/// Writes a record whose time passed two days ago.
async fn expired(store: &Place) {
    let id = SessionId::random(SessionId::DEFAULT_BYTES);
    let record = Record {
        bytes: Bytes::from_static(b"a record of long ago"),
        expires_at: SystemTime::now() - Duration::from_secs(2 * 24 * 3600),
        entry: None,
    };
    // It has no prefix of theirs, so that only its time is a problem.
    let key = session_core::KeyPrefix::new("other:")
        .unwrap()
        .hashed_key(&id);
    assert!(store.store.insert(&key, &record).await.unwrap().is_stored());
}

/// Cuts the files of records below the directory short. Returns how many.
fn truncate(directory: &std::path::Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("owners") {
            count += truncate(&path);
        } else if path.is_file() && fs::metadata(&path).unwrap().len() > 60 {
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(60).unwrap();
            count += 1;
        }
    }
    count
}

/// Logins and log-outs go on, and other doctors check the same store.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_meanwhile_is_no_problem() {
    for store in [Place::redis().await, Place::sqlite().await] {
        keep_on_disk(&store.url);
        let sessions = store.sessions();
        for number in 0..300 {
            log_in(&sessions, Some(&format!("user{number}"))).await;
        }
        let changing = tokio::spawn(async move {
            for number in 0.. {
                let owner = format!("user{}", number % 300);
                sessions.log_out_everywhere(&owner).await.unwrap();
                log_in(&sessions, Some(&owner)).await;
            }
        });
        let doctors = (0..6).map(|_| {
            let url = store.url.clone();
            tokio::task::spawn_blocking(move || {
                (0..5).flat_map(|_| problems(&url, &[])).collect::<Vec<_>>()
            })
        });
        for doctor in doctors.collect::<Vec<_>>() {
            assert_eq!(doctor.await.unwrap(), Vec::<String>::new(), "{}", store.url);
        }
        changing.abort();
    }
}
