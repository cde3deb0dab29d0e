//! A demo that ends finishes the saves of clients that hung up, or logs that they are not saved.

mod site;

use std::time::{Duration, Instant};

use serde_json::json;
use session_tests::{ChaosProxy, Disruption, Postgres, RedisServer};
use site::{Backend, Browser, Demo, Rude};

/// Of each reply of the store: long enough to hang up and end the demo in between, and less than
/// its driver waits.
const SLOWNESS: Duration = Duration::from_millis(350);
/// A pool pings a connection that no call used for 100 ms. Less than the handler waits.
const AFTERWARDS: Duration = Duration::from_millis(400);
/// What the demo waits for saves, and a slow machine's share.
const BOUND: Duration = Duration::from_secs(5 + 4);

/// A demo behind a proxy to its store, and one of its users.
struct Scene {
    proxy: ChaosProxy,
    demo: Demo,
    /// Another demo on the same store.
    other: Demo,
    browser: Browser,
}

impl Scene {
    /// On a server of `backend` at `url`, with so many milliseconds of store time.
    async fn new(backend: Backend, url: &str, port: u16, deadline: &'static str) -> Self {
        let proxy = ChaosProxy::start(port).await;
        let address = url.replace(&port.to_string(), &proxy.port().to_string());
        let settings = [
            ("SESSION_STORE_TIMEOUT_MS", deadline),
            ("DEMO_WORKERS", "1"),
        ];
        let demo = Demo::with(backend.at(&address), &settings).await;
        let other = demo.beside_at(backend.at(url)).await;
        let browser = demo.logged_in("anna").await;
        Self {
            proxy,
            demo,
            other,
            browser,
        }
    }

    /// Whether the store has what the client that hung up wrote.
    async fn is_written(&self) -> bool {
        let mut browser = self.browser.at(self.other.url());
        assert_eq!(browser.user().await, json!("anna"));
        browser.get("/data/late").await.status == 200
    }

    /// A client that changes the session and hangs up while that is being saved.
    async fn hang_up_in_a_save(&self) {
        let before = self.proxy.bytes_to_client();
        let client = Rude::ask(
            &self.demo.url(),
            &self.browser,
            "GET /slow?ms=800&write=late",
        );
        self.until("the session is loaded", || {
            self.proxy.bytes_to_client() > before
        })
        .await;
        self.proxy.set(Disruption::Latency(SLOWNESS));
        // So that the change is refused, and has to be made again on what is stored then.
        let mut beside = self.browser.at(self.other.url());
        assert!(beside.put("/data/k", &json!(1)).await.is_empty_success());
        // A driver may have something to send after its last call.
        tokio::time::sleep(AFTERWARDS).await;
        let before = self.proxy.bytes_to_server();
        self.until("the change is sent", || {
            self.proxy.bytes_to_server() > before
        })
        .await;
        client.hang_up();
        // The demo notices.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    async fn until(&self, what: &str, so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !so() {
            let waited = begin.elapsed();
            assert!(waited < BOUND, "not yet: {what}\n{}", self.demo.output());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the demo by SIGTERM; the lines of its log that speak of a save.
    async fn end(&self) -> Vec<String> {
        let begin = Instant::now();
        assert!(self.demo.stop().await, "{}", self.demo.output());
        let took = begin.elapsed();
        assert!(took < BOUND, "{took:?}");
        let output = self.demo.output();
        let lines = output.lines().filter(|line| line.contains("disconnected"));
        lines.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_save_whose_client_hung_up_is_done_before_the_process_ends() {
    let server = RedisServer::start(&[]).await;
    let scene = Scene::new(Backend::Redis, &server.url(), server.port(), "10000").await;
    scene.hang_up_in_a_save().await;
    assert!(!scene.is_written().await, "hung up too late");
    assert_eq!(scene.end().await, [""; 0]);
    assert!(scene.is_written().await);
}

#[tokio::test]
async fn a_save_that_is_not_done_in_time_is_counted_as_not_saved() {
    // Its driver waits for as long as the demo has time.
    let server = Postgres::start().await;
    let scene = Scene::new(Backend::Postgres, &server.url(), server.port(), "60000").await;
    scene.hang_up_in_a_save().await;
    scene.proxy.set(Disruption::Blackhole);
    let said = scene.end().await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("are lost"), "{said:?}");
    assert!(!scene.is_written().await);
}

#[tokio::test]
async fn a_save_that_fails_is_reported_as_not_saved() {
    let server = RedisServer::start(&[]).await;
    let scene = Scene::new(Backend::Redis, &server.url(), server.port(), "1000").await;
    scene.hang_up_in_a_save().await;
    scene.proxy.set(Disruption::Blackhole);
    let said = scene.end().await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("failed"), "{said:?}");
    assert!(!scene.is_written().await);
}
