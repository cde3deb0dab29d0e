//! Users of Flask-Login, who are `_user_id`, `_fresh` and `_id` in the session.

use reqwest::header::{HeaderName, HeaderValue, SET_COOKIE, USER_AGENT};
use serde_json::{Value, json};
use session_core::flask_login_id;

use crate::{
    JSON,
    neighbours::{Neighbours, Side},
    store::Store,
};

async fn log_in_and_out(settings: &[(&str, &str)]) {
    let both = Neighbours::differing(
        Store::Redis,
        settings,
        &[("FLASK_LOGIN", "basic"), ("SECRET_KEY", "dev")],
        &[],
    )
    .await;
    let mut visitor = both.visitor();
    visitor.json(Side::Flask, "/flask-login/in?user=7").await;
    let seen = visitor.state(Side::Actix).await;
    assert_eq!(seen["session"]["_user_id"], "7");
    assert_eq!(seen["session"]["_fresh"], true);
    let browser = seen["session"]["_id"].as_str().unwrap().to_owned();
    assert_eq!(browser.len(), 128);
    // A change here does not disturb it there.
    visitor.json(Side::Actix, "/set?k=a&v=x").await;
    let who = visitor.json(Side::Flask, "/flask-login/who").await;
    assert_eq!(who, json!({ "user": "7", "fresh": true }));
    // Renewed here, logged in there; logged out here, logged out there.
    visitor.json(Side::Actix, "/regenerate").await;
    assert_eq!(
        visitor.json(Side::Flask, "/flask-login/who").await["user"],
        "7"
    );
    visitor.json(Side::Actix, "/clear").await;
    assert_eq!(
        visitor.json(Side::Flask, "/flask-login/who").await["user"],
        Value::Null
    );

    let mut visitor = both.visitor();
    let login = json!([
        ["_user_id", "8", "str"],
        ["_fresh", "1", "bool"],
        ["_id", browser, "str"]
    ]);
    visitor
        .post(Side::Actix, "/setmany", login.to_string())
        .await;
    let who = visitor.json(Side::Flask, "/flask-login/who").await;
    assert_eq!(who, json!({ "user": "8", "fresh": true }));
    visitor.json(Side::Flask, "/flask-login/out").await;
    assert_eq!(visitor.value(Side::Actix, "_user_id").await, None);
}

#[tokio::test]
async fn are_logged_in_and_out_in_both_with_msgpack() {
    log_in_and_out(&[]).await;
}

#[tokio::test]
async fn are_logged_in_and_out_in_both_with_json() {
    log_in_and_out(&[JSON]).await;
}

/// What Flask-Login keeps as `_id` of a request with these headers, all from 127.0.0.1.
async fn id_by_flask_login(both: &Neighbours, headers: &[(HeaderName, &[u8])]) -> String {
    let mut request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(format!("{}/flask-login/in?user=9", both.url(Side::Flask)));
    for (name, value) in headers {
        request = request.header(name, HeaderValue::from_bytes(value).unwrap());
    }
    let answer = request.send().await.unwrap();
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let (_, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
    let mut visitor = both.visitor().holding(value);
    let id = visitor.value(Side::Actix, "_id").await.unwrap();
    id.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn are_distinguished_by_the_same_identifier() {
    let settings = [("FLASK_LOGIN", "basic"), ("SECRET_KEY", "dev")];
    let both = Neighbours::differing(Store::Redis, &[], &settings, &[]).await;
    let forwarded = HeaderName::from_static("x-forwarded-for");
    for agent in [
        None,
        Some(&b""[..]),
        Some(b"UA/1"),
        Some(b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
        Some(b"it's"),
        Some(br#"it's "quoted" \ twice"#),
        Some(br#""quoted""#),
        Some(b"tab\there"),
        Some(b"Latin-1 \xe9\xff, UTF-8 \xc3\xa9"),
    ] {
        for address in [
            None,
            Some(&b"10.0.0.1"[..]),
            Some(b"10.0.0.1 , 10.0.0.2"),
            Some(b", 10.0.0.2"),
            Some(b"2001:db8::1"),
            Some(b"'unknown'"),
        ] {
            let headers = [(USER_AGENT, agent), (forwarded.clone(), address)];
            let sent: Vec<_> = headers
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            let theirs = id_by_flask_login(&both, &sent).await;
            let ours = flask_login_id(address.or(Some(b"127.0.0.1")), agent);
            assert_eq!(theirs, ours, "{sent:?}");
        }
    }
}

#[tokio::test]
async fn logged_in_here_are_protected_there_as_flask_login_does_it() {
    let right = flask_login_id(Some(b"127.0.0.1"), Some(b"one browser"));
    let wrong = flask_login_id(Some(b"127.0.0.1"), Some(b"another"));
    let fresh = |fresh| json!({ "user": "8", "fresh": fresh });
    let ended = json!({ "user": null, "fresh": false });
    for (protection, permanent, seen_with_another) in [
        ("basic", "0", fresh(false)),
        ("basic", "1", fresh(false)),
        ("strong", "0", ended),
        ("strong", "1", fresh(false)),
    ] {
        let both = Neighbours::differing(
            Store::Redis,
            &[("PERMANENT", permanent)],
            &[("FLASK_LOGIN", protection), ("SECRET_KEY", "dev")],
            &[],
        )
        .await;
        for (id, seen) in [(&right, fresh(true)), (&wrong, seen_with_another)] {
            let mut visitor = both.visitor();
            let login = json!([
                ["_user_id", "8", "str"],
                ["_fresh", "1", "bool"],
                ["_id", id, "str"]
            ]);
            visitor
                .post(Side::Actix, "/setmany", login.to_string())
                .await;
            let who = visitor.peek(Side::Flask, "/flask-login/who").await;
            assert_eq!(who, seen, "{protection}, permanent {permanent}");
        }
    }
}
