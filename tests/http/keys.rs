//! Rotation of signing keys while users stay logged in.

use session_core::{SecretKeys, Settings};

use super::{
    browser::{SECRET, browser, sessions, settings},
    observed_store::ObservedStore,
};

const NEWER: &str = "k2Tq8wZr5xVb1nMs7yLp4cJd9gHf3aQe";

#[tokio::test]
async fn a_new_key_logs_nobody_out_and_signs_new_cookies() {
    signs_new_cookies(settings()).await;
    signs_new_cookies(settings().with_permanent(false)).await;
}

async fn signs_new_cookies(settings: Settings) {
    let store = ObservedStore::default();
    let mut old = browser(sessions(settings.clone(), &store)).await;
    old.get("/login/ada").await;
    let keys = SecretKeys::new(NEWER)
        .unwrap()
        .with_fallback(SECRET)
        .unwrap();
    let mut rotated = browser(sessions(settings.clone().with_keys(keys), &store)).await;
    rotated.set_cookie(&old.cookie());
    let response = rotated.get("/who").await;
    assert_eq!(
        (response.body.as_str(), response.set_cookies().len()),
        ("ada", 1),
        "the cookie is signed again"
    );
    assert!(rotated.get("/who").await.set_cookies().is_empty());
    let mut new = browser(sessions(
        settings.clone().with_keys(SecretKeys::new(NEWER).unwrap()),
        &store,
    ))
    .await;
    new.set_cookie(&rotated.cookie());
    assert_eq!(new.get("/who").await.body, "ada");
    new.set_cookie(&old.cookie());
    assert_eq!(
        new.get("/who").await.body,
        "nobody",
        "the old key was removed"
    );
}
