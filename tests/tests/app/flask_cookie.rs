//! Cookies of Flask's built-in session, signed before a log-out: they are nobody's in every process,
//! and after each restart.

use std::time::Duration;

use reqwest::header::SET_COOKIE;
use session_tests::{Mongo, Postgres, Program, RedisServer, scratch_dir};
use tokio::time::sleep;

use crate::{app, browser::Browser};

const KEY: &str = "a key of the Flask application";

/// The cookie of somebody who has logged in to the Flask application.
async fn log_in_to_flask(flask: &Program, user: &str) -> Browser {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/in?user={user}", flask.url());
    let response = http.post(url).send().await.unwrap();
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    let mut browser = Browser::default();
    browser.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    browser
}

/// Who it is for `app` that comes with this cookie of Flask, and with none of ours.
async fn user(app: &Program, copy: &Browser) -> String {
    let (status, body) = copy.clone().get(app, "/").await;
    assert_eq!(status, 200, "{}", app.output());
    body
}

async fn a_log_out_outlives_each_process(settings: &[(&str, &str)]) {
    let script = "tests/tests/flask_cookie/app.py";
    let flask = Program::start_python(script, &[("SECRET_KEY", KEY)]).await;
    let settings = [settings, &[("FLASK_SECRET_KEY", KEY)]].concat();
    let mut here = app(&settings).await;
    let mut there = app(&settings).await;
    let first = log_in_to_flask(&flask, "ada").await;
    let elsewhere = log_in_to_flask(&flask, "ada").await;
    let of_bob = log_in_to_flask(&flask, "bob").await;

    let mut ada = first.clone();
    assert_eq!(ada.get(&here, "/").await.1, "hello ada");
    assert_eq!(user(&there, &elsewhere).await, "hello ada");
    assert_eq!(ada.post(&here, "/logout").await.0, 200);
    here.restart().await;
    there.restart().await;
    let started_later = app(&settings).await;
    for app in [&here, &there, &started_later] {
        for copy in [&first, &elsewhere] {
            assert_eq!(user(app, copy).await, "hello stranger");
        }
        // Who did not log out goes on here. Flask knows Ada's cookie still.
        assert_eq!(user(app, &of_bob).await, "hello bob");
    }
    let in_flask = first.clone().get(&flask, "/who").await.1;
    assert!(in_flask.contains("ada"), "{in_flask}");

    // A later login in Flask is one here. Their clocks may differ by three seconds.
    sleep(Duration::from_secs(4)).await;
    let later = log_in_to_flask(&flask, "ada").await;
    for app in [&here, &there] {
        assert_eq!(user(app, &later).await, "hello ada");
        assert_eq!(user(app, &first).await, "hello stranger");
    }
}

#[tokio::test]
async fn redis() {
    let server = RedisServer::start(&[]).await;
    let settings = [("SESSION_TYPE", "redis"), ("SESSION_REDIS", &server.url())];
    a_log_out_outlives_each_process(&settings).await;
}

#[tokio::test]
async fn filesystem() {
    let directory = scratch_dir();
    let sessions = directory.path().join("sessions");
    let directory = ("SESSION_FILE_DIR", sessions.to_str().unwrap());
    a_log_out_outlives_each_process(&[("SESSION_TYPE", "filesystem"), directory]).await;
}

#[tokio::test]
async fn mongodb() {
    let server = Mongo::start().await;
    let collection = format!("log_outs{}", std::process::id());
    a_log_out_outlives_each_process(&[
        ("SESSION_TYPE", "mongodb"),
        ("SESSION_MONGODB", &server.url()),
        ("SESSION_MONGODB_COLLECT", &collection),
    ])
    .await;
}

#[tokio::test]
async fn sqlite() {
    let directory = scratch_dir();
    let file = directory.path().join("sessions.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    a_log_out_outlives_each_process(&[("SESSION_TYPE", "sql"), ("SESSION_SQL", &url)]).await;
}

#[tokio::test]
async fn postgres() {
    let server = Postgres::start().await;
    a_log_out_outlives_each_process(&[("SESSION_TYPE", "sql"), ("SESSION_SQL", &server.url())])
        .await;
}
