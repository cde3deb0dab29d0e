//! Users of Flask-Login, who are `_user_id`, `_fresh` and `_id` in the session.

use serde_json::{Value, json};

use crate::{
    JSON,
    neighbours::{Neighbours, Side},
    store::Store,
};

async fn log_in_and_out(settings: &[(&str, &str)]) {
    let both = Neighbours::differing(
        Store::Redis,
        settings,
        &[("WITH_FLASK_LOGIN", "1"), ("SECRET_KEY", "dev")],
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
