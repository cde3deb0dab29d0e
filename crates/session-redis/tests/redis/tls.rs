//! TLS: which certificates are trusted, without a crypto provider installed beforehand, and that an
//! outage is answered in time.

use std::fs;

use futures_util::future::join_all;
use session_core::SessionStore;
use session_redis::{
    RedisStore,
    redis::{Client, TlsCertificates},
};
use session_tests::{
    Certificates, ChaosProxy, Disruption, RedisServer, Strike, assert_in_time, free_port,
};

use crate::{
    common::{
        MAX_RECOVERY_TIME, bounded, insert, key, load, patient, recovery, store_with_the_defaults,
    },
    failover::until,
};

fn trusting(certificates: &Certificates, port: u16) -> RedisStore {
    let root_cert = fs::read(certificates.authority()).unwrap();
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(root_cert),
    };
    let client = Client::build_with_tls(format!("rediss://localhost:{port}"), certificates);
    RedisStore::new(client.unwrap())
}

/// A server, and its port for TLS.
async fn with_tls(certificates: &Certificates) -> (RedisServer, u16) {
    let port = free_port();
    let server = RedisServer::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &certificates.certificate(),
        "--tls-key-file",
        &certificates.key(),
        "--tls-ca-cert-file",
        &certificates.authority(),
        "--tls-auth-clients",
        "no",
    ])
    .await;
    (server, port)
}

#[tokio::test]
async fn tls_needs_a_trusted_certificate_and_nothing_else() {
    let [own, other] = [(); 2].map(|()| Certificates::of_localhost());
    let (server, port) = with_tls(&own).await;
    let trusted = patient(trusting(&own, port));
    insert(&trusted, "a", "one").await;
    assert_eq!(load(&trusted, "a").await.unwrap().bytes, "one");
    // Another authority, the authorities that browsers trust, and no TLS.
    for untrusted in [
        trusting(&other, port),
        store_with_the_defaults(&format!("rediss://localhost:{port}")),
        store_with_the_defaults(&format!("redis://localhost:{port}")),
    ] {
        bounded(untrusted.load(&key("a"))).await.1.unwrap_err();
    }
    drop(server);
}

/// At each of the messages by which a connection is opened, and those of its first calls.
#[tokio::test]
async fn a_handshake_that_ends_or_falls_silent_is_answered_in_time_and_leaves_no_connection() {
    let certificates = Certificates::of_localhost();
    let (_server, port) = with_tls(&certificates).await;
    for disruption in [
        Disruption::SilentReplies,
        Disruption::HalfReply(7),
        Disruption::ResetReply(7),
        Disruption::ResetRequest(7),
    ] {
        let struck = (0..8).map(async |after| {
            let what = format!("{disruption:?} after {after}");
            let proxy = ChaosProxy::start(port).await;
            let store = trusting(&certificates, proxy.port());
            proxy.strike(Strike {
                new_connection: true,
                after,
                disruption,
            });
            let first = bounded(store.load(&key("it"))).await.1;
            assert_eq!(proxy.strikes_left(), 0, "{what}: no connection");
            // A read whose connection ended is sent again.
            let is_silent = matches!(disruption, Disruption::SilentReplies);
            assert!(first.is_err() || after > 0 || !is_silent, "{what}");
            let took = recovery(&store).await;
            assert_in_time!(took < MAX_RECOVERY_TIME, "{what}: {took:?}");
            let took = until("closed", || proxy.open_connections() <= 1).await;
            assert_in_time!(took < MAX_RECOVERY_TIME, "{what}: {took:?}");
        });
        join_all(struck).await;
    }
}

#[tokio::test]
async fn an_outage_of_a_server_with_tls_is_an_error_in_time() {
    let certificates = Certificates::of_localhost();
    let (server, port) = with_tls(&certificates).await;
    let store = trusting(&certificates, port);
    insert(&store, "it", "before").await;
    server.freeze();
    for _ in 0..3 {
        bounded(store.load(&key("it"))).await.1.unwrap_err();
    }
    server.thaw();
    let took = recovery(&store).await;
    assert_in_time!(took < MAX_RECOVERY_TIME, "after a stall: {took:?}");
    assert_eq!(load(&store, "it").await.unwrap().bytes, "before");
    server.kill();
    for _ in 0..2 {
        bounded(store.load(&key("it"))).await.1.unwrap_err();
    }
    server.restart().await;
    let took = recovery(&store).await;
    assert_in_time!(took < MAX_RECOVERY_TIME, "after its end: {took:?}");
}
