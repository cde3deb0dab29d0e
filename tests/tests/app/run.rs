//! `run`: a program without a log of its own tells on standard error what happens, and refuses what
//! other sites sent.

use std::{net::TcpListener, time::Duration};

use reqwest::{Client, StatusCode, header::ORIGIN};
use session_tests::{Program, RedisServer, scratch_dir};

use crate::{SECRET, app, browser::Browser};

/// What the log says of a 503.
const ENDED: &str = "a session error ended the request";

async fn run(settings: &[(&str, &str)]) -> Program {
    let settings = [&[SECRET, ("ADDR", "127.0.0.1:0")], settings].concat();
    Program::start("session-run", &settings).await
}

fn lines(program: &Program, part: &str) -> usize {
    let output = program.output();
    output.lines().filter(|line| line.contains(part)).count()
}

#[tokio::test]
async fn a_log_in_counts_and_is_there_after_a_restart() {
    let mut program = run(&[
        ("SESSION_TYPE", "filesystem"),
        ("SESSION_FILE_DIR", "sessions"),
    ])
    .await;
    let mut anna = Browser::default();
    assert_eq!(anna.get(&program, "/").await.1, "hello stranger, visit 1");
    assert_eq!(anna.post(&program, "/login/anna").await.0, 200);
    assert!(program.stop().await, "{}", program.output());
    program.restart().await;
    assert_eq!(anna.get(&program, "/").await.1, "hello anna, visit 2");
}

#[tokio::test]
async fn without_a_log_of_its_own_the_cause_of_a_503_is_on_standard_error() {
    let server = RedisServer::start(&[]).await;
    let url = server.url();
    let program = run(&[
        ("SESSION_TYPE", "redis"),
        ("SESSION_REDIS", &url),
        ("SESSION_MONGODB", "mongodb://127.0.0.1:1"),
    ])
    .await;
    let warning = " WARN session_stores::store_type: SESSION_MONGODB is for";
    assert_eq!(lines(&program, warning), 1, "{}", program.output());
    server.kill();
    assert_eq!(Browser::default().get(&program, "/").await.0, 503);
    assert_eq!(lines(&program, ENDED), 1, "{}", program.output());
    let output = program.output();
    let line = output.lines().find(|line| line.contains(ENDED)).unwrap();
    let parts = [
        " WARN session_core::",
        " status=503 error=the session store redis failed: 127.0.0.1:",
        "Connection refused",
    ];
    for part in parts {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn a_log_that_the_program_has_set_up_is_the_only_one() {
    let server = RedisServer::start(&[]).await;
    let settings = [("SESSION_TYPE", "redis"), ("SESSION_REDIS", &server.url())];
    let app = app(&settings).await;
    server.kill();
    assert_eq!(Browser::default().get(&app, "/count").await.0, 503);
    // What is logged after the response was sent.
    tokio::time::sleep(Duration::from_millis(50)).await;
    for part in [ENDED, "listening on http"] {
        assert_eq!(lines(&app, part), 1, "{part}: {}", app.output());
    }
}

#[tokio::test]
async fn what_another_site_sent_is_refused() {
    let program = run(&[("SESSION_TYPE", "memory")]).await;
    let request = Client::new().post(program.url() + "/login/anna");
    let request = request.header(ORIGIN, "https://other.example");
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        lines(&program, "cross_site_refused"),
        1,
        "{}",
        program.output()
    );
}

#[test]
fn what_is_wrong_is_one_line() {
    let directory = scratch_dir();
    let said = |settings: &[(&str, &str)]| {
        let output = Program::run::<&str>(directory.path(), "session-run", &[], settings);
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let unset = said(&[("ADDR", "127.0.0.1:0")]);
    assert!(
        unset.starts_with("Error: SESSION_TYPE is needed: one of"),
        "{unset}"
    );
    assert_eq!(unset.lines().count(), 1, "{unset}");
    let address = said(&[("ADDR", "192.0.2.1:80"), ("SESSION_TYPE", "memory"), SECRET]);
    let line = address.lines().last().unwrap();
    assert!(
        line.starts_with("Error: 192.0.2.1:80 cannot be listened on: "),
        "{line}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let used = listener.local_addr().unwrap().to_string();
    let used = said(&[("ADDR", &used), ("SESSION_TYPE", "memory"), SECRET]);
    let line = used.lines().last().unwrap();
    let advice = "; end the program that uses it, or choose another port";
    assert!(line.ends_with(advice), "{line}");
}
