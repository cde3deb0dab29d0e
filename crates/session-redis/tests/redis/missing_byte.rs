//! A byte is missing from a reply: the store closes the connection, and reads no reply at a wrong
//! offset.

use futures_util::future::join_all;
use session_core::{SessionStore, Write};
use session_redis::RedisStore;
use session_tests::{ChaosProxy, Disruption, RedisServer};

use crate::common::{
    KINDS, Kind, assert_refused, bounded, change_command, changes_sent, insert, key, load, record,
    store_with_the_defaults, update,
};

const PAYLOAD: &str = "0123456789abcdef";
/// The length of the reply to a load: `$16`, the bytes, and two line ends.
const REPLY: usize = 3 + 2 + PAYLOAD.len() + 2;

async fn proxied() -> (RedisServer, ChaosProxy, RedisStore) {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store_with_the_defaults(&server.url_by(proxy.port()));
    (server, proxy, store)
}

#[tokio::test]
async fn a_read_whose_reply_lacks_a_byte_is_sent_again_on_another_connection() {
    let (_server, proxy, store) = proxied().await;
    insert(&store, "a", PAYLOAD).await;
    for position in 0..REPLY {
        let before = proxy.connections();
        proxy.set(Disruption::DropByte(position));
        let (_, loaded) = bounded(store.load(&key("a"))).await;
        let last = position + 1 == REPLY || position + 2 == REPLY;
        match loaded {
            Ok(loaded) => {
                let loaded = loaded.expect("the record exists");
                assert_eq!(loaded.bytes, PAYLOAD.as_bytes(), "byte {position}");
            }
            // A byte of the last line end is missing, so the call times out. A read that timed out
            // is not sent again.
            Err(error) => assert!(last, "byte {position}: {error:?}"),
        }
        assert_eq!(load(&store, "a").await.unwrap().bytes, PAYLOAD.as_bytes());
        let opened = proxy.connections() - before;
        assert_eq!(opened, 1, "byte {position}");
    }
}

#[tokio::test]
async fn a_write_whose_reply_lacks_a_byte_is_an_error_and_is_not_sent_again() {
    for (_, kind) in KINDS {
        is_an_error_if_its_reply_lacks_a_byte(kind).await;
    }
}

/// The reply to a script is `:1` and a line end, that to `SET` is `+OK` and a line end.
async fn is_an_error_if_its_reply_lacks_a_byte(kind: Kind) {
    let (server, proxy, store) = proxied().await;
    let zero = record(kind("0"));
    let mut revision = insert(&store, "a", &zero.bytes).await;
    revision = update(&store, "a", &zero, &revision).await;
    let reply = match change_command(&server) {
        "SET" => 5,
        _ => 4,
    };
    for position in 0..reply {
        // After this the connection knows the command for a change.
        revision = update(&store, "a", &zero, &revision).await;
        let before = proxy.connections();
        server.command("CONFIG RESETSTAT");
        proxy.set(Disruption::DropByte(position));
        let next = record(kind(&(position + 1).to_string()));
        let (_, done) = bounded(store.update(&key("a"), &next, &revision)).await;
        done.unwrap_err();
        assert_eq!(changes_sent(&server), 1, "byte {position}");
        let loaded = load(&store, "a").await.unwrap();
        assert_eq!(loaded.bytes, next.bytes, "byte {position}");
        let opened = proxy.connections() - before;
        // `+O` and `+K` are an unknown reply to this command, and none to another.
        let is_whole = reply == 5 && (1..3).contains(&position);
        assert_eq!(opened, usize::from(!is_whole), "byte {position}");
        assert_refused(&store, "a", &next, &revision).await;
        revision = loaded.revision;
    }
}

#[tokio::test]
async fn a_byte_missing_from_many_replies_mixes_up_none_of_them() {
    let (_server, proxy, store) = proxied().await;
    let names: Vec<String> = (0..16).map(|name| name.to_string()).collect();
    for name in &names {
        insert(&store, name, &format!("{name}{PAYLOAD}")).await;
    }
    let mut failed = 0;
    for position in 0..16 * (REPLY + 3) {
        proxy.set(Disruption::DropByte(position));
        let calls = names.iter().map(|name| {
            let store = &store;
            async move {
                let (_, loaded) = bounded(store.load(&key(name))).await;
                let expected = format!("{name}{PAYLOAD}").into_bytes();
                loaded.map(|loaded| assert_eq!(loaded.unwrap().bytes, expected, "byte {position}"))
            }
        });
        failed += join_all(calls)
            .await
            .iter()
            .filter(|call| call.is_err())
            .count();
        proxy.set(Disruption::None);
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

/// A record can contain what looks like replies. With a byte of its length missing, the rest of it
/// is read as replies to the commands after it, and theirs as those of later commands.
#[tokio::test]
async fn a_record_that_contains_replies_is_no_reply_to_other_commands() {
    let (_server, proxy, store) = proxied().await;
    // After the six bytes that `$6` announces there is a line end, and then replies.
    let forged = "before\r\n$6\r\nforged\r\n$6\r\nforged\r\nand the rest of the record, w";
    assert_eq!(
        forged.len(),
        61,
        "the byte that is missing is the second digit"
    );
    let records = [("a", forged), ("b", "b"), ("c", "c")];
    for (name, bytes) in records {
        insert(&store, name, bytes).await;
    }
    proxy.set(Disruption::DropByte(2));
    for _ in 0..3 {
        let loads = records.map(|(name, _)| {
            let store = &store;
            async move { store.load(&key(name)).await }
        });
        for (loaded, (name, bytes)) in join_all(loads).await.into_iter().zip(records) {
            if let Ok(loaded) = loaded {
                assert_eq!(loaded.expect("it exists").bytes, bytes, "{name}");
            }
        }
    }
    assert_eq!(proxy.disruption(), Disruption::None);
}
