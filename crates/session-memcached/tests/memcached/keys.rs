//! Keys that memcached does not accept, and errors that show no key.

use session_tests::ChaosProxy;

use super::*;

#[tokio::test]
async fn an_invalid_key_is_never_sent() {
    let node = Memcached::start(&[]).await;
    let proxy = ChaosProxy::start(node.port()).await;
    let store = open(&format!("127.0.0.1:{}", proxy.port()));
    let revision = Revision::from(1);
    for text in [
        "",
        " ",
        "a b",
        "a\tb",
        "a\0b",
        "a\x7fb",
        "é",
        "a\r\nset stolen 0 0 1\r\nx",
        "a\nflush_all",
        &"k".repeat(251),
    ] {
        let key = StoreKey::from_stored(text);
        let since = Watch::start();
        fails_soon(&store.load(&key).await, since);
        fails_soon(&store.insert(&key, &record(b"x")).await, since);
        fails_soon(&store.update(&key, &record(b"x"), &revision).await, since);
        fails_soon(&store.delete(&key).await, since);
    }
    assert_eq!((proxy.connections(), proxy.bytes_to_server()), (0, 0));
}

#[tokio::test]
async fn an_error_shows_no_key_and_no_record() {
    let node = Memcached::start(&[]).await;
    let store = open(&node.addr()).with_timeout(Duration::from_millis(50));
    let key = StoreKey::from_stored("session:nobodys-business");
    node.freeze();
    for error in [
        store.load(&key).await.unwrap_err(),
        store
            .insert(&key, &record(b"nobodys-business"))
            .await
            .unwrap_err(),
        store.delete(&key).await.unwrap_err(),
    ] {
        assert!(
            !format!("{error} {error:?} {error:#?}").contains("nobodys"),
            "{error:?}"
        );
    }
    node.thaw();
}
