//! The five configurations of Flask-Session's tutorials.

use session_tests::Tutorial;

use crate::{app, browser::Browser};

async fn runs(feature: &'static str) {
    let tutorial = Tutorial::start(feature).await;
    let settings = tutorial.settings();
    let settings: Vec<_> = settings.iter().map(|it| (it.0, &*it.1)).collect();
    let mut app = app(&settings).await;
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
    runs("redis").await;
}

#[tokio::test]
async fn memcached() {
    runs("memcached").await;
}

#[tokio::test]
async fn filesystem() {
    runs("filesystem").await;
}

#[tokio::test]
async fn mongodb() {
    runs("mongodb").await;
}

#[tokio::test]
async fn sqlalchemy() {
    runs("sqlite").await;
}
