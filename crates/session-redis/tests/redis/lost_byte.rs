//! One byte missing inside a reply: the connection is given up, and nobody reads on where it went wrong.

use futures_util::future::join_all;
use session_core::{SessionStore, Write};
use session_redis::RedisStore;
use session_tests::{ChaosProxy, Fault, RedisServer};

use crate::given::{bounded, insert, key, load, record, store, update};

const PAYLOAD: &str = "0123456789abcdef";
/// What the reply to a load has: `$16`, the bytes, and two line ends.
const REPLY: usize = 3 + 2 + PAYLOAD.len() + 2;

async fn damaged() -> (RedisServer, ChaosProxy, RedisStore) {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store(&format!("redis://127.0.0.1:{}/", proxy.port()));
    (server, proxy, store)
}

#[tokio::test]
async fn a_reply_to_a_read_that_lacks_a_byte_is_read_again_on_another_connection() {
    let (_server, proxy, store) = damaged().await;
    insert(&store, "a", PAYLOAD).await;
    for place in 0..REPLY {
        let before = proxy.connections();
        proxy.set(Fault::LoseByte(place));
        let (_, loaded) = bounded(store.load(&key("a"))).await;
        let last = place + 1 == REPLY || place + 2 == REPLY;
        match loaded {
            Ok(loaded) => {
                let loaded = loaded.expect("the record lives");
                assert_eq!(loaded.bytes, PAYLOAD.as_bytes(), "byte {place}");
            }
            // Its end is missing: nothing else comes, and a server that is silent is not asked twice.
            Err(error) => assert!(last, "byte {place}: {error:?}"),
        }
        assert_eq!(load(&store, "a").await.unwrap().bytes, PAYLOAD.as_bytes());
        let opened = proxy.connections() - before;
        assert_eq!(opened, 1, "byte {place}");
    }
}

/// The reply to a script is `:1`.
#[tokio::test]
async fn a_reply_to_a_write_that_lacks_a_byte_is_an_error_and_the_write_is_not_sent_again() {
    let (server, proxy, store) = damaged().await;
    let mut revision = insert(&store, "a", "0").await;
    revision = update(&store, "a", &record("0"), &revision).await;
    for place in 0..4 {
        let before = proxy.connections();
        server.command("CONFIG RESETSTAT");
        proxy.set(Fault::LoseByte(place));
        let next = record(place.to_string());
        let (_, done) = bounded(store.update(&key("a"), &next, &revision)).await;
        done.unwrap_err();
        let stats = server.command("INFO commandstats");
        assert!(
            stats.contains("cmdstat_evalsha:calls=1,"),
            "byte {place}: {stats}"
        );
        let loaded = load(&store, "a").await.unwrap();
        assert_eq!(loaded.bytes, next.bytes, "byte {place}");
        assert_eq!(proxy.connections(), before + 1, "byte {place}");
        revision = loaded.revision;
    }
}

#[tokio::test]
async fn a_byte_missing_among_the_replies_to_many_mixes_up_none() {
    let (_server, proxy, store) = damaged().await;
    let names: Vec<String> = (0..16).map(|name| name.to_string()).collect();
    for name in &names {
        insert(&store, name, &format!("{name}{PAYLOAD}")).await;
    }
    let mut failed = 0;
    for place in 0..16 * (REPLY + 3) {
        proxy.set(Fault::LoseByte(place));
        let calls = names.iter().map(|name| {
            let store = &store;
            async move {
                let (_, loaded) = bounded(store.load(&key(name))).await;
                let expected = format!("{name}{PAYLOAD}").into_bytes();
                loaded.map(|loaded| assert_eq!(loaded.unwrap().bytes, expected, "byte {place}"))
            }
        });
        failed += join_all(calls)
            .await
            .iter()
            .filter(|call| call.is_err())
            .count();
        proxy.set(Fault::None);
        for name in &names[..2] {
            let loaded = store.load(&key(name)).await;
            if let Ok(loaded) = loaded {
                assert_eq!(
                    loaded.unwrap().bytes,
                    format!("{name}{PAYLOAD}").into_bytes()
                );
            }
        }
    }
    let fresh = store.insert(&key("fresh"), &record("1")).await;
    assert!(matches!(fresh.unwrap(), Write::Stored(_)));
    assert!(failed < 16 * 16, "{failed} reads failed");
}
