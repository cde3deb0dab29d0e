//! The commands that each method sends, as the server's `MONITOR` shows them.

use std::{
    io::{BufRead, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use session_core::SessionStore;
use session_redis::RedisStore;
use session_tests::{ChaosProxy, RedisServer};

use crate::common::{insert, key, listed, load, owned, record, store, stored, update};

/// Lists the commands that clients send while it is open, without those that scripts run.
struct Monitor(BufReader<TcpStream>);

impl Monitor {
    fn on(server: &RedisServer) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut ok = String::new();
        lines.read_line(&mut ok).unwrap();
        assert_eq!(ok, "+OK\r\n");
        Self(lines)
    }

    /// The names of the commands since the last call, without the `ECHO` that ends each batch.
    fn names(&mut self) -> Vec<String> {
        let mut names = self.all_names();
        names.retain(|name| name != "ECHO");
        names
    }

    fn all_names(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        let mut line = String::new();
        while self.0.read_line(&mut line).is_ok_and(|length| length > 0) {
            if !line.contains(" lua] ") {
                names.push(line.split('"').nth(1).unwrap().to_owned());
            }
            line.clear();
        }
        names
    }
}

async fn connected(server: &RedisServer) -> RedisStore {
    let store = store(&server.url());
    load(&store, "first").await;
    store
}

#[tokio::test]
async fn each_method_sends_one_command() {
    let server = RedisServer::start(&[]).await;
    let store = connected(&server).await;
    // From here on the server knows the scripts.
    let revision = insert(&store, "warm", "x").await;
    update(&store, "warm", &record("y"), &revision).await;
    store.delete(&key("warm")).await.unwrap();

    let mut monitor = Monitor::on(&server);
    let revision = insert(&store, "a", "one").await;
    assert_eq!(monitor.names(), ["SET"]);
    load(&store, "a").await.unwrap();
    assert_eq!(monitor.names(), ["GET"]);
    update(&store, "a", &record("two"), &revision).await;
    assert_eq!(monitor.names(), ["EVALSHA"]);
    store.delete(&key("a")).await.unwrap();
    assert_eq!(monitor.names(), ["EVALSHA"]);
}

#[tokio::test]
async fn a_batch_ends_with_one_echo() {
    let server = RedisServer::start(&[]).await;
    let store = connected(&server).await;
    let mut monitor = Monitor::on(&server);
    let keys = ["a", "b", "c"].map(key);
    futures_util::future::join_all(keys.iter().map(|key| store.load(key))).await;
    assert_eq!(monitor.all_names(), ["GET", "GET", "GET", "ECHO"]);
}

#[tokio::test]
async fn a_record_and_its_entry_are_written_by_one_command() {
    let server = RedisServer::start(&[]).await;
    let store = connected(&server).await;
    let session = || owned(Duration::from_secs(600), "one");
    let revision = stored(store.insert(&key("warm"), &session()).await.unwrap());
    update(&store, "warm", &session(), &revision).await;

    let mut monitor = Monitor::on(&server);
    let revision = stored(store.insert(&key("a"), &session()).await.unwrap());
    assert_eq!(monitor.names(), ["EVALSHA"]);
    update(&store, "a", &session(), &revision).await;
    assert_eq!(monitor.names(), ["EVALSHA"]);
    assert_eq!(listed(&store, 100).await.len(), 2);
    assert_eq!(monitor.names(), ["ZRANGEBYSCORE", "GETRANGE", "GETRANGE"]);
}

#[tokio::test]
async fn a_load_is_one_round_trip() {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store(&server.url_by(proxy.port()));
    insert(&store, "a", "one").await;
    let latency = Duration::from_millis(60);
    proxy.set(session_tests::Disruption::Latency(latency));
    let begin = std::time::Instant::now();
    load(&store, "a").await.unwrap();
    let took = begin.elapsed();
    assert!(took >= latency && took < latency * 2, "{took:?}");
}
