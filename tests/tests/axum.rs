//! axum's handlers move between the threads of one runtime: what the stores promise each thread of
//! Actix Web, they promise those.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "figures for the documents, and a test that cannot go on fails"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, http::Request, routing::get};
use futures_util::future::join_all;
use session_core::{SessionStore, Sessions, Settings};
use session_memcached::MemcachedStore;
use session_redis::RedisStore;
use session_tests::{Memcached, RedisServer, rounds};
use session_tower::{Session, SessionError, SessionLayer};
use tower::ServiceExt;

const THREADS: usize = 4;
const CLIENTS: usize = 64;

async fn count(session: Session) -> Result<String, SessionError> {
    let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(n.to_string())
}

/// The number after `name` in a server's statistics.
fn number(text: &str, name: &str) -> usize {
    let after = text.split_once(name).expect("the server has it").1;
    let digits = after.trim_start_matches([':', ' ']);
    let end = digits.find(|it: char| !it.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().unwrap()
}

async fn send_in_turn(app: Router, cookie: String, requests: usize) {
    for n in 1..=requests {
        let request = Request::get("/").header("cookie", &cookie);
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        assert_eq!(body.unwrap(), n.to_string());
    }
}

/// Each of `CLIENTS` visitors sends `each` requests, one after the other. Returns how long it took
/// all, and checks that no change of any is lost.
fn send_all(store: Arc<dyn SessionStore>, each: usize, meanwhile: impl FnOnce()) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .unwrap();
    let settings = Settings::unsigned().with_store_timeout(Duration::from_secs(20));
    let sessions = Sessions::builder(settings, store).without_owner_lists();
    let sessions = sessions.build().unwrap();
    let app = Router::new()
        .route("/", get(count))
        .layer(SessionLayer::new(sessions.clone()));
    // All requests are in tasks, so each is on one of the runtime's threads.
    runtime.block_on(async {
        let cookies = (0..CLIENTS).map(|_| {
            let sessions = sessions.clone();
            let new = async move { sessions.cookie_of(|it| it.insert("a", &1)).await };
            tokio::spawn(new)
        });
        let cookies = join_all(cookies).await;
        let begin = Instant::now();
        let clients = cookies.into_iter().map(|cookie| {
            let cookie = cookie.unwrap().unwrap();
            tokio::spawn(send_in_turn(app.clone(), cookie, each))
        });
        for client in join_all(clients).await {
            client.unwrap();
        }
        let took = begin.elapsed();
        meanwhile();
        took
    })
}

#[tokio::test]
async fn each_thread_has_one_connection_to_redis_and_shares_its_round_trips() {
    let server = RedisServer::start(&[]).await;
    let store = Arc::new(RedisStore::connect(&server.url()).unwrap());
    let before = server.command("INFO");
    let each = rounds();
    let took = tokio::task::spawn_blocking(move || {
        let mut connections = 0;
        let took = send_all(store, each, || {
            connections = number(&server.command("INFO"), "connected_clients");
        });
        (took, connections, server.command("INFO"))
    });
    let (took, connections, after) = took.await.unwrap();
    // One more asks for the statistics.
    assert!(connections <= THREADS + 1, "{connections}");
    let grown = |name| number(&after, name) - number(&before, name);
    let (commands, reads) = (
        grown("total_commands_processed"),
        grown("total_reads_processed"),
    );
    let requests = CLIENTS * each;
    println!(
        "redis: {requests} changes in {took:?}, {connections} connections, {commands} commands in {reads} reads"
    );
}

#[tokio::test]
async fn the_threads_of_a_runtime_share_its_connections_to_memcached() {
    let server = Memcached::start(&[]).await;
    let store = Arc::new(MemcachedStore::connect(&server.addr()).unwrap());
    let each = rounds();
    let took = tokio::task::spawn_blocking(move || {
        let mut connections = 0;
        let took = send_all(store, each, || {
            connections = number(&server.command("stats"), "curr_connections");
        });
        (took, connections)
    });
    let (took, connections) = took.await.unwrap();
    // At most 32 for a runtime. The server counts its own listener and whoever asks.
    assert!(connections <= 32 + 3, "{connections}");
    let requests = CLIENTS * each;
    println!("memcached: {requests} changes in {took:?}, {connections} connections");
}
