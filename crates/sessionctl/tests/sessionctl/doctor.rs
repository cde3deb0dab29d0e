//! Broken set-ups, and what `doctor` says of each.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use session_core::{Bytes, Record, SessionId};
use session_tests::{RedisCluster, RedisServer, assert_in_time};

use crate::support::{Place, Ran, SILENT, log_in, run, run_until_silent, settings};

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
    named(&run(&["--store", url, "doctor", "--json"], env))
}

/// The same of a run that has ended.
fn named(ran: &Ran) -> Vec<String> {
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

    let memcached = session_tests::Memcached::start(&["-C"]).await;
    let url = format!("memcached://{}", memcached.addr());
    names(&problems(&url, &[]), "compare and set");

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

/// What is said of an index, a right or a server that is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_changed_by_hand_is_named() {
    for (store, drop) in [
        (Place::postgres().await, "DROP INDEX sessions_owner"),
        (Place::postgres().await, "DROP INDEX sessions_sweep_at"),
        (Place::mariadb().await, "DROP INDEX owner ON sessions"),
        (Place::sqlite().await, "DROP INDEX sessions_owner"),
        (
            Place::postgres().await,
            "ALTER TABLE sessions DROP COLUMN listed_until",
        ),
    ] {
        log_in(&store.sessions(), Some("ada")).await;
        execute(&store.url, drop).await;
        let found = problems(&store.url, &[]);
        assert!(
            found
                .iter()
                .any(|it| it.contains("index") || it.contains("column")),
            "{drop}: {found:#?}"
        );
        assert!(found.len() == 1, "{drop}: {found:#?}");
    }
    let store = Place::postgres().await;
    log_in(&store.sessions(), Some("ada")).await;
    for sql in [
        "CREATE ROLE reader LOGIN",
        "GRANT SELECT ON sessions TO reader",
        "ALTER ROLE reader SET statement_timeout = 5000",
    ] {
        execute(&store.url, sql).await;
    }
    let reader = as_user(&store.url, "reader");
    names(&problems(&reader, &[]), "cannot be written");
    execute(&store.url, "CREATE ROLE nobody LOGIN").await;
    let found = problems(&as_user(&store.url, "nobody"), &[]);
    assert!(
        found.len() == 1 && found[0].contains("permission"),
        "{found:#?}"
    );

    let primary = session_tests::Postgres::start().await;
    let replica = session_tests::PostgresReplica::of(&primary).await;
    let store = Place::of_sql(&primary.url()).await;
    log_in(&store.sessions(), Some("ada")).await;
    let began = Instant::now();
    loop {
        let count = run(&["--store", &replica.url(), "count", "--json"], &[]);
        if count.code == 0 && count.json()[0]["sessions"] == 1 {
            break;
        }
        assert_in_time!(began.elapsed() < Duration::from_secs(10), "not replicated");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let found = problems(&replica.url(), &[]);
    assert!(found.len() == 1, "{found:#?}");
    assert!(
        found[0].contains("replica") || found[0].contains("read-only"),
        "{found:#?}"
    );
}

/// A server that hangs is a finding, and in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_named_in_time() {
    let redis = RedisServer::start(&["--appendonly", "yes"]).await;
    let postgres = session_tests::Postgres::start().await;
    let mariadb = session_tests::MariaDb::start().await;
    let mongo = session_tests::Mongo::start().await;
    let memcached = session_tests::Memcached::start(&[]).await;
    let memcached_url = format!("memcached://{}", memcached.addr());
    let servers: [(&session_tests::Server, String); 5] = [
        (&redis, redis.url()),
        (&postgres, postgres.url()),
        (&mariadb, mariadb.url()),
        (&mongo, mongo.url()),
        (&memcached, memcached_url),
    ];
    for (server, url) in servers {
        run(&["--store", &url, "migrate"], &[]).ok();
        server.freeze();
        let began = Instant::now();
        let found = problems(&url, &[]);
        let took = began.elapsed();
        server.thaw();
        eprintln!("{url}: {took:?} {found:#?}");
        assert!(found.len() == 1, "{url}: {found:#?}");
        assert_in_time!(took < Duration::from_secs(15), "{url}: {took:?}");
    }
}

/// As behind a pooler whose server hangs, or when a route is lost, at each step from the log-in on.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_at_any_step_is_named_in_time() {
    const LAST: usize = 40;
    // For its checks, a write and the removal of what it wrote, and for a page of the records.
    const LONGEST: Duration = Duration::from_secs(45);
    let redis = RedisServer::start(&["--appendonly", "yes"]).await;
    let postgres = session_tests::Postgres::start().await;
    let mariadb = session_tests::MariaDb::start().await;
    let mongo = session_tests::Mongo::start().await;
    let memcached = session_tests::Memcached::start(&[]).await;
    // Or the driver asks the server for its address, and goes past the proxy.
    let mongo_url = format!("{}?directConnection=true", mongo.url());
    let memcached_url = format!("memcached://{}", memcached.addr());
    for (port, url) in [
        (postgres.port(), postgres.url()),
        (mariadb.port(), mariadb.url()),
        (redis.port(), redis.url()),
        (mongo.port(), mongo_url),
        (memcached.port(), memcached_url),
    ] {
        run(&["--store", &url, "migrate"], &[]).ok();
        let tries = (1..LAST).step_by(3).map(|pieces| {
            let server = (url.clone(), port);
            async move {
                let words = ["--store", SILENT, "doctor", "--json"];
                (
                    pieces,
                    run_until_silent(&words, server, pieces, LONGEST).await,
                )
            }
        });
        let mut silent = 0;
        for (pieces, ran) in futures_util::future::join_all(tries).await {
            assert_in_time!(ran.is_some(), "{url} after {pieces} pieces: no end");
            let (ran, took) = ran.unwrap();
            let found = named(&ran);
            eprintln!("{url} after {pieces} pieces, {took:.1?}: {found:?}");
            silent += usize::from(!found.is_empty());
        }
        assert!(silent > 1, "{url}: {silent}");
    }
}

/// Neither store has a problem because sessions move from one to the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_no_problem() {
    let (old, new) = (Place::redis().await, Place::sqlite().await);
    keep_on_disk(&old.url);
    let sessions = old.sessions();
    let mut cookies = Vec::new();
    for number in 0..40 {
        cookies.push(log_in(&sessions, Some(&format!("user{}", number % 4))).await);
    }
    let failing = |inserts| {
        let store = new.store.clone();
        let failing = crate::support::Failing {
            store,
            inserts,
            updates: false,
        };
        let moving = session_core::Moving::new(std::sync::Arc::new(failing), old.store.clone());
        session_core::Sessions::new(settings(), std::sync::Arc::new(moving)).unwrap()
    };
    for (number, cookie) in cookies.iter().enumerate().take(30) {
        // Every third move stops on its way.
        let sessions = failing(number % 3 == 0);
        let _renewed_or_not = crate::support::renewed(&sessions, cookie).await;
    }
    for url in [&old.url, &new.url] {
        assert_eq!(problems(url, &[]), Vec::<String>::new(), "{url}");
    }
}

/// Runs a statement on a database.
async fn execute(url: &str, sql: &str) {
    let Some(file) = url.strip_prefix("sqlite://") else {
        return session_tests::execute(url, sql).await;
    };
    let file = file.trim_end_matches("?mode=rwc");
    let python =
        format!("import sqlite3; c = sqlite3.connect({file:?}); c.execute({sql:?}); c.commit()");
    let ran = Command::new("python3").args(["-c", &python]).status();
    assert!(ran.unwrap().success(), "{sql}");
}

/// The same address with another user, who has no password.
fn as_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{user}@{rest}")
}
