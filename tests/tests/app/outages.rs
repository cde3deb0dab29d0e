//! A server that is down: routes that use the session answer 503, and the application starts.

use std::time::{Duration, Instant};

use session_tests::{Postgres, Program, RedisServer, assert_in_time};

use crate::{app, browser::Browser};

/// What a restarted server and the pauses between attempts may take, on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

async fn fails(browser: &mut Browser, app: &Program) {
    let begin = Instant::now();
    assert_eq!(browser.get(app, "/").await.0, 503);
    assert_in_time!(begin.elapsed() < Duration::from_secs(4));
    assert_eq!(browser.get(app, "/plain").await.0, 200);
}

async fn soon_succeeds(browser: &mut Browser, app: &Program, path: &str) -> String {
    let begin = Instant::now();
    loop {
        let (status, body) = browser.post(app, path).await;
        if status == 200 {
            return body;
        }
        assert_in_time!(begin.elapsed() < LIMIT, "{status}: {}", app.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_killed_server_is_a_503_until_it_is_back() {
    let server = RedisServer::start(&[]).await;
    let settings = [("SESSION_TYPE", "redis"), ("SESSION_REDIS", &server.url())];
    let app = app(&settings).await;
    let mut anna = Browser::default();
    assert_eq!(anna.post(&app, "/login/anna").await.0, 200);
    server.kill();
    fails(&mut anna, &app).await;
    server.restart().await;
    soon_succeeds(&mut anna, &app, "/login/anna").await;
    assert_eq!(anna.get(&app, "/").await.1, "hello anna");
}

#[tokio::test]
async fn a_database_that_is_down_at_the_start_gets_its_table_when_it_is_up() {
    let server = Postgres::start().await;
    let url = server.url();
    server.kill();
    let app = app(&[("SESSION_TYPE", "sql"), ("SESSION_SQL", &url)]).await;
    assert!(app.output().contains("the store lacks its table"));
    let mut anna = Browser::default();
    assert_eq!(anna.post(&app, "/login/anna").await.0, 503);
    assert_eq!(anna.get(&app, "/plain").await.0, 200);
    server.restart().await;
    soon_succeeds(&mut anna, &app, "/login/anna").await;
    assert_eq!(anna.get(&app, "/").await.1, "hello anna");
    // It is there as soon as the table is, and is logged a moment later.
    let begin = Instant::now();
    while !app.output().contains("the store is prepared now") {
        assert_in_time!(begin.elapsed() < LIMIT, "{}", app.output());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
