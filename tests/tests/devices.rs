//! The routes for a user's other sessions, on every store that can list them. The other store
//! refuses.

#[macro_use]
mod site;

use reqwest::Method;
use serde_json::{Value, json};
use site::{Backend, Browser, Cookie, Demo};

/// A user's sessions as one of their browsers sees them.
async fn list(browser: &mut Browser) -> Vec<Value> {
    let answer = browser.get("/sessions").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().expect("a list").clone()
}

async fn log_in(demo: &Demo, user: &str, agent: &str) -> Browser {
    let mut browser = demo.browser().named(agent);
    browser.post(&format!("/login?user={user}")).await;
    browser
}

on_stores! {
    devices_are_listed_and_ended: memory Memory, filesystem Filesystem, redis Redis, mongodb Mongo, sqlite Sqlite,
    postgres Postgres, mariadb MariaDb
}
async fn devices_are_listed_and_ended(backend: Backend) {
    let demo = Demo::on(backend).await;
    let anonymous = demo.browser();
    for (method, path) in [
        (Method::GET, "/sessions"),
        (Method::DELETE, "/sessions/none"),
    ] {
        let answer = anonymous.send(method.clone(), path, String::new()).await;
        let expected = if method == Method::GET { 401 } else { 404 };
        assert_eq!(
            (answer.status, answer.cookie()),
            (expected, Cookie::Untouched),
            "{path}"
        );
    }
    let mut desk = log_in(&demo, "anna", "desk").await;
    let mut phone = log_in(&demo, "anna", "phone").await;
    let mut other = log_in(&demo, "bert", "desk").await;

    let seen = list(&mut desk).await;
    assert_eq!(seen.len(), 2, "{seen:?}");
    for session in &seen {
        assert_eq!(session.as_object().map(serde_json::Map::len), Some(5));
        let seconds = |field: &str| session[field].as_u64().expect("seconds");
        assert!(seconds("expires_at") >= seconds("created_at") + 2_678_399);
        assert_eq!(session["current"], json!(session["user_agent"] == "desk"));
    }
    let of_phone = seen
        .iter()
        .find(|it| it["user_agent"] == "phone")
        .expect("it is listed");
    let handle = of_phone["handle"].as_str().expect("text").to_owned();

    // A handle outlives the id that it stands for, opens nothing, and is worth nothing to others.
    phone.post("/renew").await;
    assert!(
        list(&mut desk)
            .await
            .iter()
            .any(|it| it["handle"] == handle.as_str())
    );
    let path = format!("/sessions/{handle}");
    assert_eq!(other.delete(&path).await.status, 404);
    assert_eq!(demo.browser().holding(&handle).user().await, json!(null));
    assert_eq!(phone.user().await, json!("anna"));
    assert!(desk.delete(&path).await.is_empty_success());
    assert_eq!(phone.user().await, json!(null));
    assert_eq!(desk.delete(&path).await.status, 404);
    assert_eq!(list(&mut desk).await.len(), 1);
    assert_eq!(other.user().await, json!("bert"));

    let current = list(&mut desk).await[0]["handle"].clone();
    let own = format!("/sessions/{}", current.as_str().expect("text"));
    assert!(desk.delete(&own).await.is_empty_success());
    assert_eq!(desk.user().await, json!(null));
}

on_stores! {
    everywhere_means_everywhere: memory Memory, filesystem Filesystem, redis Redis, mongodb Mongo, sqlite Sqlite,
    postgres Postgres, mariadb MariaDb
}
async fn everywhere_means_everywhere(backend: Backend) {
    let demo = Demo::on(backend).await;
    let mut browsers = Vec::new();
    for agent in ["one", "two", "three"] {
        browsers.push(log_in(&demo, "anna", agent).await);
    }
    let mut other = log_in(&demo, "bert", "desk").await;
    browsers[1].post("/renew").await;
    let answer = browsers[0]
        .post("/logout-everywhere?keep_current=true")
        .await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "ended": 2 })));
    assert_eq!(answer.cookie(), Cookie::Untouched);
    for (browser, user) in browsers
        .iter_mut()
        .zip([json!("anna"), json!(null), json!(null)])
    {
        assert_eq!(browser.user().await, user);
    }
    browsers[2].post("/login?user=anna").await;
    let first = browsers[0].clone();
    let answer = browsers[0].post("/logout-everywhere").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "ended": 2 })));
    for mut browser in browsers.into_iter().chain([first]) {
        assert_eq!(browser.user().await, json!(null));
    }
    assert_eq!(other.user().await, json!("bert"));
}

#[tokio::test]
async fn memcached_says_that_it_cannot() {
    let demo = Demo::on(Backend::Memcached).await;
    let browsers = [demo.browser(), demo.logged_in("anna").await];
    for browser in &browsers {
        for (method, path) in [
            (Method::GET, "/sessions"),
            (Method::DELETE, "/sessions/any"),
            (Method::POST, "/logout-everywhere"),
            (Method::POST, "/logout-everywhere?keep_current=true"),
            (Method::POST, "/backchannel-logout?sid=any"),
            (Method::POST, "/login?user=anna&sid=any"),
        ] {
            let answer = browser.send(method, path, String::new()).await;
            assert_eq!(
                (answer.status, answer.cookie()),
                (501, Cookie::Untouched),
                "{path}"
            );
            assert!(answer.json()["error"].is_string());
        }
    }
}
