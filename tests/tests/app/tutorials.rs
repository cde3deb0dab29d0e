//! The five configurations of Flask-Session's tutorials, with URLs in place of client objects.

use session_tests::{Memcached, Mongo, RedisServer};

use crate::{app, browser::Browser};

/// What each of them has.
const COMMON: [(&str, &str); 3] = [
    ("SESSION_PERMANENT", "False"),
    ("SESSION_USE_SIGNER", "True"),
    ("SESSION_KEY_PREFIX", "myapp:"),
];

async fn runs(settings: &[(&str, &str)]) {
    let mut app = app(&[&COMMON, settings].concat()).await;
    let mut anna = Browser::default();
    assert_eq!(anna.get(&app, "/").await.1, "hello stranger");
    assert_eq!(anna.post(&app, "/login/anna").await.0, 200);
    assert_eq!(anna.get(&app, "/").await.1, "hello anna");
    assert_eq!(anna.get(&app, "/count").await.1, "visit 1");

    // SESSION_PERMANENT=False: the cookie ends with the browser.
    for end in ["Max-Age", "Expires"] {
        assert!(!anna.attributes.contains(end), "{}", anna.attributes);
    }
    // SESSION_USE_SIGNER=True: an id without its signature is none.
    let cookie = anna.cookie.clone().unwrap();
    let (unsigned, _) = cookie.split_once('.').unwrap();
    let mut thief = Browser::default();
    thief.cookie = Some(unsigned.to_owned());
    assert_eq!(thief.get(&app, "/").await.1, "hello stranger");

    app.restart().await;
    assert_eq!(anna.get(&app, "/").await.1, "hello anna");
    assert_eq!(anna.get(&app, "/count").await.1, "visit 2");

    assert_eq!(anna.post(&app, "/logout").await.0, 200);
    assert_eq!(anna.get(&app, "/").await.1, "hello stranger");
    app.restart().await;
    anna.cookie = Some(cookie);
    assert_eq!(anna.get(&app, "/").await.1, "hello stranger");
    // Of the settings nothing is warned about; the cookie of the thief is.
    let output = app.output();
    let mut warnings = output.lines().filter(|line| line.contains("WARN"));
    assert!(
        warnings.all(|line| line.contains("session::security")),
        "{output}"
    );
}

#[tokio::test]
async fn redis() {
    let server = RedisServer::start(&[]).await;
    let settings = [("SESSION_TYPE", "redis"), ("SESSION_REDIS", &server.url())];
    runs(&settings).await;
}

#[tokio::test]
async fn memcached() {
    let server = Memcached::start(&[]).await;
    runs(&[
        ("SESSION_TYPE", "memcached"),
        ("SESSION_MEMCACHED", &server.addr()),
    ])
    .await;
}

#[tokio::test]
async fn filesystem() {
    runs(&[
        ("SESSION_TYPE", "filesystem"),
        ("SESSION_FILE_DIR", "./.flask_session/"),
        ("SESSION_FILE_THRESHOLD", "100"),
        ("SESSION_FILE_MODE", "384"),
    ])
    .await;
}

#[tokio::test]
async fn mongodb() {
    let server = Mongo::start().await;
    let collection = format!("tutorial{}", std::process::id());
    runs(&[
        ("SESSION_TYPE", "mongodb"),
        ("SESSION_MONGODB", &server.url()),
        ("SESSION_MONGODB_DB", "flask_session"),
        ("SESSION_MONGODB_COLLECT", &collection),
    ])
    .await;
}

#[tokio::test]
async fn sqlalchemy() {
    runs(&[
        ("SESSION_TYPE", "sqlalchemy"),
        ("SESSION_SQLALCHEMY", "sqlite:///db.sqlite3"),
        ("SESSION_SQLALCHEMY_TABLE", "sessions"),
    ])
    .await;
}
