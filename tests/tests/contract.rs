//! What each route of the demo answers, the same on every store.

#[macro_use]
mod site;

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::{Value, json};
use site::{Answer, Backend, Browser, Cookie, Demo};

const MONTH: u64 = 2_678_400;

fn assert_json(answer: &Answer, expected: &Value) {
    assert_eq!((answer.status, answer.json()), (200, expected.clone()));
}

async fn value(browser: &mut Browser, key: &str) -> Option<Value> {
    let answer = browser.get(&format!("/data/{key}")).await;
    match answer.status {
        200 => Some(answer.json()),
        404 => None,
        status => panic!("{status}: {}", answer.text()),
    }
}

on_every_store! { reading_never_makes_a_session }
async fn reading_never_makes_a_session(backend: Backend) {
    let demo = Demo::on(backend).await;
    let mut browser = demo.browser();
    for (path, expected) in [
        ("/whoami", json!({ "user": null })),
        ("/data", json!({})),
        ("/flashes", json!([])),
        ("/slow?ms=1", json!({ "user": null, "data": {} })),
    ] {
        let answer = browser.get(path).await;
        assert_json(&answer, &expected);
        assert_eq!(answer.set_cookie(), None, "{path}");
        assert!(
            answer.header("vary").eq_ignore_ascii_case("cookie"),
            "{path}"
        );
    }
    assert_json(
        &browser.get("/meta").await,
        &json!({ "new": true, "created_at": null, "expires_at": null, "store": backend.name() }),
    );
    assert_eq!(browser.get("/data/none").await.status, 404);
    let page = browser.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(page.set_cookie(), None);

    let mut known = demo.logged_in("anna").await;
    for browser in [&mut browser, &mut known] {
        let plain = browser.get("/plain").await;
        assert_eq!((plain.status, plain.text().as_str()), (200, "ok"));
        assert_eq!((plain.set_cookie(), plain.header("vary")), (None, ""));
    }
}

on_every_store! { logging_in_and_out }
async fn logging_in_and_out(backend: Backend) {
    let demo = Demo::on(backend).await;
    let mut browser = demo.browser();
    let answer = browser.post("/login?user=anna").await;
    assert_json(&answer, &json!({ "user": "anna" }));
    let set = answer.set_cookie().expect("a cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.split("; ").any(|it| it == attribute), "{set}");
    }
    assert!(answer.header("cache-control").contains("no-store"));
    assert!(answer.header("vary").eq_ignore_ascii_case("cookie"));
    let answer = browser.get("/whoami").await;
    assert_json(&answer, &json!({ "user": "anna" }));
    assert_eq!(
        answer.set_cookie(),
        None,
        "an unchanged id is not sent again"
    );

    let mut stolen = browser.clone();
    for attempt in ["alive", "dead already"] {
        let answer = stolen.send(Method::POST, "/logout", String::new()).await;
        assert_json(&answer, &json!({ "user": null }));
        assert_eq!(answer.cookie(), Cookie::Removed, "{attempt}");
        let removal = answer.set_cookie().expect("a cookie");
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(removal.split("; ").any(|it| it == attribute), "{removal}");
        }
        assert_eq!(stolen.user().await, json!(null), "{attempt}");
    }
    browser.post("/logout").await;
    assert_eq!(browser.cookie(), None);
}

on_every_store! { a_login_renews_and_keeps_or_empties }
async fn a_login_renews_and_keeps_or_empties(backend: Backend) {
    let demo = Demo::on(backend).await;
    let mut browser = demo.browser();
    assert!(
        browser
            .put("/data/basket", &json!(["tea"]))
            .await
            .is_empty_success()
    );
    let mut anonymous = browser.clone();
    browser.post("/login?user=anna").await;
    assert_ne!(browser.cookie(), anonymous.cookie());
    assert_eq!(value(&mut browser, "basket").await, Some(json!(["tea"])));
    assert_eq!(anonymous.get("/data").await.json(), json!({}));

    browser.post("/login?user=anna").await;
    assert_eq!(value(&mut browser, "basket").await, Some(json!(["tea"])));
    browser.post("/login?user=bert").await;
    assert_eq!(browser.user().await, json!("bert"));
    assert_eq!(browser.get("/data").await.json(), json!({}));
}

on_every_store! { renewing_keeps_all_but_the_id }
async fn renewing_keeps_all_but_the_id(backend: Backend) {
    let demo = Demo::on(backend).await;
    let mut browser = demo.logged_in("anna").await;
    browser.put("/data/k", &json!(1)).await;
    let before = browser.get("/meta").await.json();
    let mut old = browser.clone();
    let answer = browser.post("/renew").await;
    assert_json(&answer, &json!({}));
    assert!(matches!(answer.cookie(), Cookie::Set(new) if Some(new.as_str()) != old.cookie()));
    assert_eq!(browser.user().await, json!("anna"));
    assert_eq!(value(&mut browser, "k").await, Some(json!(1)));
    let after = browser.get("/meta").await.json();
    assert_eq!(after["created_at"], before["created_at"]);

    // With the id of before: anonymous, no change is accepted, and no cookie comes.
    assert_eq!(old.user().await, json!(null));
    for (method, path) in [
        (Method::PUT, "/data/k"),
        (Method::POST, "/increment/n"),
        (Method::POST, "/flash?message=m"),
        (Method::GET, "/slow?ms=1&write=k"),
    ] {
        let late = old.send(method, path, "2".into()).await;
        assert_eq!(
            (late.status, late.cookie()),
            (409, Cookie::Untouched),
            "{path}"
        );
    }
    let late = old.send(Method::POST, "/renew", String::new()).await;
    assert_eq!((late.status, late.cookie()), (200, Cookie::Untouched));
    assert_eq!(value(&mut browser, "k").await, Some(json!(1)));

    let answer = old.post("/login?user=anna").await;
    assert!(matches!(answer.cookie(), Cookie::Set(_)));
    assert_eq!(
        old.get("/data").await.json(),
        json!({}),
        "a session of its own"
    );
    assert_eq!(browser.user().await, json!("anna"));
}

on_every_store! { data_is_kept_as_json }
async fn data_is_kept_as_json(backend: Backend) {
    let demo = Demo::on(backend).await;
    let mut browser = demo.logged_in("anna").await;
    let values = json!({
        "text": "Grüße \u{1F980} \"\\\u{0}", "int": i64::MIN, "big": u64::MAX, "float": 0.1, "yes": true, "nothing": null,
        "list": [1, [], {}], "map": { "a": { "b": "c" } },
    });
    for (key, it) in values.as_object().expect("a map") {
        assert!(
            browser
                .put(&format!("/data/{key}"), it)
                .await
                .is_empty_success()
        );
        assert_eq!(value(&mut browser, key).await.as_ref(), Some(it));
    }
    assert_json(&browser.get("/data").await, &values);
    assert!(browser.delete("/data/big").await.is_empty_success());
    assert!(browser.delete("/data/big").await.is_empty_success());
    assert_eq!(value(&mut browser, "big").await, None);

    assert!(browser.post("/clear").await.is_empty_success());
    assert_json(&browser.get("/data").await, &json!({}));
    let meta = browser.get("/meta").await.json();
    assert_eq!(
        (&meta["new"], meta["created_at"].is_u64()),
        (&json!(false), true)
    );
}

on_every_store! { increments_and_errors_are_kept }
async fn increments_and_errors_are_kept(backend: Backend) {
    let demo = Demo::on(backend).await;
    let mut browser = demo.browser();
    for n in 1..=3 {
        assert_json(&browser.post("/increment/n").await, &json!({ "value": n }));
    }
    let failed = browser.post("/fail?write=f").await;
    assert_eq!((failed.status, failed.text().as_str()), (500, ""));
    let slow = browser.get("/slow?ms=20&write=s").await;
    assert!(slow.took.as_millis() >= 20);
    assert_eq!(slow.json()["user"], json!(null));
    assert_eq!(slow.json()["data"]["n"], json!(3));
    assert_json(
        &browser.get("/data").await,
        &json!({ "n": 3, "f": true, "s": true }),
    );
    // An error before any session also keeps what was changed.
    let mut other = demo.browser();
    assert_eq!(other.post("/fail?write=f").await.status, 500);
    assert_eq!(value(&mut other, "f").await, Some(json!(true)));
}

on_every_store! { flashes_are_taken_once }
async fn flashes_are_taken_once(backend: Backend) {
    let demo = Demo::on(backend).await;
    let mut browser = demo.browser();
    for path in [
        "/flash?category=info&message=one",
        "/flash?category=bad&message=two",
    ] {
        assert!(browser.post(path).await.is_empty_success());
    }
    assert_json(&browser.get("/data").await, &json!({}));
    let expected = json!([["info", "one"], ["bad", "two"]]);
    assert_json(&browser.get("/flashes").await, &expected);
    assert_json(&browser.get("/flashes").await, &json!([]));
}

on_every_store! { meta_tells_the_times }
async fn meta_tells_the_times(backend: Backend) {
    let demo = Demo::on(backend).await;
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs()
    };
    let begin = now();
    let mut browser = demo.logged_in("anna").await;
    let text = browser.get("/meta").await.text();
    let meta: Value = serde_json::from_str(&text).expect("JSON");
    let created = meta["created_at"].as_u64().expect("seconds");
    let expires = meta["expires_at"].as_u64().expect("seconds");
    assert!((begin..=now()).contains(&created), "{text}");
    // memcached counts in seconds and rounds down.
    assert!(
        (begin + MONTH - 1..=now() + MONTH).contains(&expires),
        "{text}"
    );
    assert_eq!(
        (&meta["new"], &meta["store"]),
        (&json!(false), &json!(backend.name()))
    );
    assert_eq!(meta.as_object().map(serde_json::Map::len), Some(4));
    let id = browser
        .cookie()
        .and_then(|it| it.split('.').next())
        .expect("an id");
    assert!(!text.contains(id));
}

on_every_store! { what_is_too_large_changes_nothing }
async fn what_is_too_large_changes_nothing(backend: Backend) {
    let demo = Demo::on(backend).await;
    let mut browser = demo.logged_in("anna").await;
    browser.put("/data/k", &json!("small")).await;
    let mebibytes = match backend {
        Backend::Mongo | Backend::Sqlite | Backend::Postgres | Backend::MariaDb => 17,
        _ => 2,
    };
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));
    let put = |browser: &Browser, body: String| {
        let browser = browser.clone();
        async move { browser.send(Method::PUT, "/data/k", body).await }
    };
    let refused = put(&browser, text(mebibytes << 20)).await;
    assert_eq!((refused.status, refused.cookie()), (413, Cookie::Untouched));
    assert_eq!(value(&mut browser, "k").await, Some(json!("small")));
    assert_eq!(browser.user().await, json!("anna"));
    let refused = put(&demo.browser(), text(mebibytes << 20)).await;
    assert_eq!((refused.status, refused.cookie()), (413, Cookie::Untouched));
    assert!(put(&browser, text(900 << 10)).await.is_empty_success());
    assert_eq!(browser.get("/data/k").await.text(), text(900 << 10));
}
