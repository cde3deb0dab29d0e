//! The commands that each method sends, as the server's `MONITOR` shows them.

use std::{
    io::{BufRead, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use futures_util::future::join_all;
use session_core::{SessionStore, Write};
use session_redis::RedisStore;
use session_tests::{ChaosProxy, RedisServer, assert_in_time};
use tokio::runtime::Runtime;

use crate::{
    common::{
        change_command, insert, key, listed, load, native, owned, record, store, stored, update,
    },
    worker_connections::worker,
};

/// Lists the commands that clients send while it is open, without those that scripts run.
pub(crate) struct Monitor(BufReader<TcpStream>);

impl Monitor {
    pub(crate) fn on(server: &RedisServer) -> Self {
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
        let name = |line: String| line.split('"').nth(1).unwrap().to_owned();
        self.lines().into_iter().map(name).collect()
    }

    pub(crate) fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        while self.0.read_line(&mut line).is_ok_and(|length| length > 0) {
            if !line.contains(" lua] ") {
                lines.push(line.clone());
            }
            line.clear();
        }
        lines
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
    let change_command = change_command(&server);

    let mut monitor = Monitor::on(&server);
    let revision = insert(&store, "a", "one").await;
    assert_eq!(monitor.names(), ["SET"]);
    load(&store, "a").await.unwrap();
    assert_eq!(monitor.names(), ["GET"]);
    update(&store, "a", &record("two"), &revision).await;
    assert_eq!(monitor.names(), [change_command]);
    store.delete(&key("a")).await.unwrap();
    assert_eq!(monitor.names(), ["EVALSHA"]);
}

/// Each runtime has a connection of its own, as each thread has.
#[test]
fn a_connection_tries_once_whether_the_server_compares() {
    let (first, second) = (worker(), worker());
    let server = first.block_on(RedisServer::start(&[]));
    let store = first.block_on(connected(&server));
    let compares = change_command(&server) == "SET";
    let expected = |elsewhere: &[&'static str]| {
        if compares {
            vec!["SET"]
        } else {
            elsewhere.to_vec()
        }
    };
    let mut revision = first.block_on(insert(&store, "a", "0"));
    let mut change = |runtime: &Runtime, bytes: &str| {
        let mut monitor = Monitor::on(&server);
        revision = runtime.block_on(update(&store, "a", &record(bytes), &revision));
        monitor.names()
    };
    assert_eq!(change(&first, "1"), expected(&["SET", "EVALSHA", "EVAL"]));
    assert_eq!(change(&first, "2"), expected(&["EVALSHA"]));

    second.block_on(load(&store, "a"));
    // What a connection knows, it keeps while others are opened, which must try it themselves.
    assert_eq!(change(&first, "3"), expected(&["EVALSHA"]));
    assert_eq!(change(&second, "4"), expected(&["SET", "EVALSHA"]));
    assert_eq!(change(&second, "5"), expected(&["EVALSHA"]));

    server.command("CLIENT KILL TYPE normal SKIPME yes");
    // The read connects again. Another server may be there now.
    first.block_on(load(&store, "a"));
    assert_eq!(change(&first, "6"), expected(&["SET", "EVALSHA"]));
    assert_eq!(change(&first, "7"), expected(&["EVALSHA"]));

    // Changes that begin before the first answer try it, too.
    second.block_on(async {
        load(&store, "a").await;
        let inserts = ["b", "c"].map(|name| insert(&store, name, "0"));
        let [b, c] = join_all(inserts).await.try_into().unwrap();
        let mut monitor = Monitor::on(&server);
        let one = record("1");
        tokio::join!(update(&store, "b", &one, &b), update(&store, "c", &one, &c));
        let names = monitor.names();
        assert_eq!(names.iter().filter(|name| *name == "SET").count(), 2);
    });
    assert_eq!(change(&second, "8"), expected(&["EVALSHA"]));

    // A long record is compared by its digest, if the server knows that.
    let mut revision = first.block_on(insert(&store, "long", native(0, 2_000)));
    let mut change = |tag| {
        let mut monitor = Monitor::on(&server);
        let long = record(native(tag, 2_000));
        revision = first.block_on(update(&store, "long", &long, &revision));
        monitor.names()
    };
    let knows_digests = server.command("DIGEST session:long").starts_with('$');
    let expected = match (compares, knows_digests) {
        (_, true) => [&["SET"][..], &["SET"]],
        (true, false) => [&["SET", "SET"][..], &["SET"]],
        (false, false) => [&["SET", "EVALSHA", "EVAL"][..], &["EVALSHA"]],
    };
    assert_eq!([change(1), change(2)], expected);
}

/// A digest is compared only if a write tag that nobody can choose is in it.
#[tokio::test]
async fn a_long_native_record_is_compared_by_its_digest_where_the_server_knows_it() {
    let server = RedisServer::start(&[]).await;
    let store = connected(&server).await;
    insert(&store, "any", "x").await;
    let by_bytes = match change_command(&server) {
        "SET" => "IFEQ",
        script => script,
    };
    let knows_digests = server.command("DIGEST session:any").starts_with('$');
    let by_digest = if knows_digests { "IFDEQ" } else { by_bytes };
    let mut monitor = Monitor::on(&server);
    for (name, bytes, word) in [
        ("short", native(1, 1_024), by_bytes),
        ("long", native(1, 1_025), by_digest),
        ("plain", vec![b'x'; 2_000], by_bytes),
    ] {
        let first = insert(&store, name, bytes.clone()).await;
        // Once for what the connection tries first.
        let second = update(&store, name, &record(bytes), &first).await;
        monitor.lines();
        update(&store, name, &record("changed"), &second).await;
        let lines = monitor.lines();
        let quoted = format!("\"{word}\"");
        let is_used = lines.iter().any(|line| line.contains(&quoted));
        assert!(is_used, "{name}: {lines:?}");
    }
}

#[tokio::test]
async fn the_old_bytes_of_a_long_native_record_are_sent_to_valkey_alone() {
    let server = RedisServer::start(&[]).await;
    let store = connected(&server).await;
    let received = || -> usize {
        let stats = server.command("INFO stats");
        let bytes = stats
            .lines()
            .find_map(|line| line.strip_prefix("total_net_input_bytes:"));
        bytes.unwrap().parse().unwrap()
    };
    let length = 200_000;
    let native = |tag: u8| record(native(tag, length));
    let write = store.insert(&key("a"), &native(1)).await.unwrap();
    let revision = update(&store, "a", &native(2), &stored(write)).await;
    let before = received();
    let revision = update(&store, "a", &native(3), &revision).await;
    let sent = received() - before;
    // It compares bytes, and knows no digest.
    let is_valkey = server.command("INFO server").contains("valkey_version");
    let records = if is_valkey { 2 } else { 1 };
    assert!(sent < records * length + 1_000, "{sent}");
    assert_eq!(load(&store, "a").await.unwrap().bytes, native(3).bytes);
    // One write that came between is enough, also if it differs only in its tag.
    update(&store, "a", &native(4), &revision).await;
    let write = store.update(&key("a"), &native(5), &revision).await;
    assert_eq!(write.unwrap(), Write::Refused);
    server.command("DEL session:a");
    let write = store.update(&key("a"), &native(5), &revision).await;
    assert_eq!(write.unwrap(), Write::Refused);
    server.command("RPUSH session:a v");
    let write = store.update(&key("a"), &native(5), &revision).await;
    assert_eq!(write.unwrap(), Write::Refused);
}

#[tokio::test]
async fn a_batch_ends_with_one_echo_and_a_first_command_goes_alone() {
    let server = RedisServer::start(&[]).await;
    let store = connected(&server).await;
    let mut monitor = Monitor::on(&server);
    let keys = ["a", "b", "c"].map(key);
    let load_all = || join_all(keys.iter().map(|key| store.load(key)));
    load_all().await;
    assert_eq!(monitor.all_names(), ["GET", "ECHO", "GET", "GET", "ECHO"]);
    // While there is somebody to share with, it shares. Half of those who wait go first, so that
    // Redis has work while the thread has.
    load_all().await;
    let halves = ["GET", "GET", "ECHO", "GET", "ECHO"];
    assert_eq!(monitor.all_names(), halves);
    store.load(&keys[0]).await.unwrap();
    load_all().await;
    let again = ["GET", "ECHO", "GET", "ECHO", "GET", "GET", "ECHO"];
    assert_eq!(monitor.all_names(), again);
}

/// What a batch saves is little beside the cost of its buffers.
#[tokio::test]
async fn large_commands_share_no_batch() {
    let server = RedisServer::start(&[]).await;
    let store = connected(&server).await;
    let mut monitor = Monitor::on(&server);
    let keys = ["a", "b", "c"].map(key);
    for (length, expected) in [
        (20_000, &["SET", "ECHO", "SET", "SET", "ECHO"][..]),
        (40_000, &["SET", "ECHO", "SET", "ECHO", "SET", "ECHO"]),
    ] {
        let record = record(vec![b'x'; length]);
        let inserts = keys.iter().map(|key| store.insert(key, &record));
        for write in join_all(inserts).await {
            assert!(write.unwrap().is_stored());
        }
        assert_eq!(monitor.all_names(), expected, "{length} bytes");
        for key in &keys {
            server.command(&format!("DEL {}", key.as_str()));
        }
        monitor.all_names();
    }
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
    let mut times = vec![];
    for _ in 0..10 {
        let begin = std::time::Instant::now();
        load(&store, "a").await.unwrap();
        times.push(begin.elapsed());
    }
    let fastest = times.iter().min().unwrap();
    assert!(*fastest >= latency, "{times:?}");
    assert_in_time!(*fastest < latency * 2, "{times:?}");
}

/// On a runtime of several threads a task that was woken runs before those that were ready already,
/// so a batch could have only the command that woke its task.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn requests_in_tasks_of_their_own_share_batches() {
    const REQUESTS: usize = 64;
    let server = RedisServer::start(&[]).await;
    let store = connected(&server).await;
    let mut monitor = Monitor::on(&server);
    let requests = async move {
        let all: Vec<_> = (0..REQUESTS)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { load(&store, "a").await })
            })
            .collect();
        for request in all {
            request.await.unwrap();
        }
    };
    // In a task, so that the thread that begins them also runs them.
    tokio::spawn(requests).await.unwrap();
    let names = monitor.all_names();
    let count = |sent: &str| names.iter().filter(|name| *name == sent).count();
    assert_eq!(count("GET"), REQUESTS);
    let batches = count("ECHO");
    assert!(batches <= REQUESTS / 8, "{batches} batches");
}
