//! Signing keys that change while people stay logged in.

use session_actix::session_core::{SecretKeys, Settings};

use crate::{
    browser::{SECRET, browser, sessions, settings},
    observed::ObservedStore,
};

const NEWER: &str = "k2Tq8wZr5xVb1nMs7yLp4cJd9gHf3aQe";

#[actix_web::test]
async fn a_new_key_logs_nobody_out_and_signs_what_comes_next() {
    signs_what_comes_next(settings()).await;
    signs_what_comes_next(settings().with_permanent(false)).await;
}

async fn signs_what_comes_next(settings: Settings) {
    let store = ObservedStore::default();
    let mut old = browser(sessions(settings.clone(), &store)).await;
    old.get("/login/ada").await;
    let keys = SecretKeys::new(NEWER)
        .unwrap()
        .with_fallback(SECRET)
        .unwrap();
    let mut rotated = browser(sessions(settings.clone().with_keys(keys), &store)).await;
    rotated.set_cookie(&old.cookie());
    let answer = rotated.get("/who").await;
    assert_eq!(
        (answer.body.as_str(), answer.set_cookies().len()),
        ("ada", 1),
        "the cookie is signed anew"
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
    assert_eq!(new.get("/who").await.body, "nobody", "the old key is gone");
}
