//! A program that ends finishes what is under way, and the saves of clients that hung up; or it logs
//! that they are not saved.

mod site;

use std::time::{Duration, Instant};

use serde_json::json;
use session_tests::{
    ChaosProxy, Disruption, Postgres, Program, RedisServer, assert_in_time, with_port,
};
use site::{Backend, Browser, Demo, Rude};

/// Of each reply of the store: long enough to hang up and end the demo in between, and less than
/// its driver waits.
const SLOWNESS: Duration = Duration::from_millis(350);
/// How long the handler waits between the load and the change.
const WAIT: Duration = Duration::from_millis(750);
/// A connection of a pool that was idle for longer is tested before the change is sent.
const TRUSTED: Duration = Duration::from_secs(1);
/// A pool pings a connection that no call used for 100 ms. Less than the handler waits.
const AFTERWARDS: Duration = Duration::from_millis(400);
/// How often a client tries to hang up in time, on a busy machine.
const TRIES: usize = 10;
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
        let (proxy, address) = proxied(url, port).await;
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

    /// A scene in which a client changed the session and hung up while that was being saved, and the
    /// demo was ended before it was saved; and what the demo said of it. From the hang-up on the proxy
    /// does `then`.
    async fn ended_in_a_save(
        backend: Backend,
        url: &str,
        port: u16,
        deadline: &'static str,
        then: Disruption,
    ) -> (Self, Vec<String>) {
        for _ in 0..TRIES {
            let scene = Self::new(backend, url, port, deadline).await;
            if scene.hangs_up_in_time().await {
                scene.proxy.set(then);
                let (said, is_late) = tokio::join!(scene.end(), scene.is_written());
                if !is_late {
                    return (scene, said);
                }
            }
            eprintln!("it hung up too late");
        }
        panic!("it hung up too late, {TRIES} times");
    }

    /// A client that changes the session, and hangs up when the change is sent. Whether another client
    /// had changed the session before, and the change was sent at once.
    async fn hangs_up_in_time(&self) -> bool {
        let before = self.proxy.bytes_to_client();
        let begin = Instant::now();
        let path = format!("GET /slow?ms={}&write=late", WAIT.as_millis());
        let client = Rude::ask(&self.demo.url(), &self.browser, &path);
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
        if begin.elapsed() >= WAIT {
            return false;
        }
        self.until("the change is sent", || {
            self.proxy.bytes_to_server() > before
        })
        .await;
        let is_in_time = begin.elapsed() < TRUSTED;
        client.hang_up();
        // The demo notices.
        tokio::time::sleep(Duration::from_millis(100)).await;
        is_in_time
    }

    async fn until(&self, what: &str, so: impl Fn() -> bool) {
        until(what, so, || self.demo.output()).await;
    }

    /// Ends the demo by SIGTERM; the lines of its log that speak of a save.
    async fn end(&self) -> Vec<String> {
        let begin = Instant::now();
        assert!(self.demo.stop().await, "{}", self.demo.output());
        let took = begin.elapsed();
        assert_in_time!(took < BOUND, "{took:?}");
        let output = self.demo.output();
        let lines = output.lines().filter(|line| line.contains("disconnected"));
        lines.map(str::to_owned).collect()
    }
}

/// A proxy to the server of a store, and the store's address there.
async fn proxied(url: &str, port: u16) -> (ChaosProxy, String) {
    let proxy = ChaosProxy::start(port).await;
    let address = with_port(url, port, proxy.port());
    (proxy, address)
}

async fn until(what: &str, so: impl Fn() -> bool, output: impl Fn() -> String) {
    let begin = Instant::now();
    while !so() {
        let waited = begin.elapsed();
        assert_in_time!(waited < BOUND, "not yet: {what}\n{}", output());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_save_whose_client_hung_up_is_done_before_the_process_ends() {
    let server = RedisServer::start(&[]).await;
    let (url, port, then) = (server.url(), server.port(), Disruption::Latency(SLOWNESS));
    let (scene, said) = Scene::ended_in_a_save(Backend::Redis, &url, port, "10000", then).await;
    assert_eq!(said, [""; 0]);
    assert!(scene.is_written().await);
}

#[tokio::test]
async fn a_save_that_is_not_done_in_time_is_counted_as_not_saved() {
    // Its driver waits for as long as the demo has time.
    let server = Postgres::start().await;
    let (url, port, then) = (server.url(), server.port(), Disruption::Blackhole);
    let (scene, said) = Scene::ended_in_a_save(Backend::Postgres, &url, port, "60000", then).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("are lost"), "{said:?}");
    assert!(!scene.is_written().await);
}

#[tokio::test]
async fn a_save_that_fails_is_reported_as_not_saved() {
    let server = RedisServer::start(&[]).await;
    // Its driver waits for half of this, which is less than the demo waits for saves.
    let (url, port, then) = (server.url(), server.port(), Disruption::Blackhole);
    let (scene, said) = Scene::ended_in_a_save(Backend::Redis, &url, port, "3000", then).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("failed"), "{said:?}");
    assert!(!scene.is_written().await);
}

#[tokio::test]
async fn a_request_under_way_is_saved_and_answered_before_a_program_of_axum_ends() {
    let server = RedisServer::start(&[]).await;
    let (proxy, address) = proxied(&server.url(), server.port()).await;
    let start = async |url: &str| {
        let environment = [("STORE", "redis"), ("URL", url)];
        Program::start("axum-neighbour", &environment).await
    };
    let program = start(&address).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut browser = Browser::new(http, program.url());
    browser.get("/set?k=first&v=1").await;
    proxy.set(Disruption::Latency(SLOWNESS));
    let before = proxy.bytes_to_server();
    let (answer, ended) = tokio::join!(browser.get("/set?k=late&v=2"), async {
        let is_loading = || proxy.bytes_to_server() > before;
        until("the session is loading", is_loading, || program.output()).await;
        program.stop().await
    });
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(ended, "{}", program.output());
    let other = start(&server.url()).await;
    let found = browser.at(other.url()).get("/get?k=late").await;
    assert_eq!(found.json(), json!({ "found": true, "value": "2" }));
}
