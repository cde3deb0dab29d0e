//! Broken set-ups, and what `doctor` says of each.

use std::process::Command;

use session_core::{Bytes, Record, SessionId};
use session_tests::RedisServer;

use crate::support::{Place, log_in, run, settings};

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

    let redis =
        RedisServer::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]).await;
    names(&problems(&redis.url(), &[]), "evicts sessions");

    let redis = RedisServer::start(&[]).await;
    redis.command("ACL SETUSER reader on >secret ~* +@read +echo +time +info +scan +ping +hello");
    let reader = redis.url().replace("//", "//reader:secret@");
    names(&problems(&reader, &[]), "cannot be written");

    let redis = RedisServer::start(&[]).await;
    let port = redis.port();
    let store = Place::on(redis).await;
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

    let directory = session_tests::scratch_dir();
    let url = format!(
        "sqlite://{}?mode=rwc",
        directory.path().join("new.db").display()
    );
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
