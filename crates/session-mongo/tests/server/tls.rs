//! TLS: what certificates are refused, that an outage is an error in time, and what it costs.

use std::time::{Duration, Instant};

use session_core::SessionStore as _;
use session_mongo::{CollectionName, MongoStore};
use session_tests::{Certificates, ChaosProxy, Disruption, Mongo, Strike, Watch, assert_in_time};
use tokio::time::timeout;

use crate::{
    outage::{RESULT_LIMIT, wait_for_recovery},
    setup::{connect, key, record, stored, unique},
};

/// The time that a request gives its store.
const REQUEST: Duration = Duration::from_secs(1);

async fn store_at(port: u16, parameters: &str) -> MongoStore {
    let name = CollectionName::new(&unique()).unwrap();
    let url = format!("mongodb://127.0.0.1:{port}/?directConnection=true{parameters}");
    connect(&url, &name).await
}

fn trusting(certificates: &Certificates) -> String {
    format!("&tls=true&tlsCAFile={}", certificates.authority())
}

/// The error and its causes, as a log shows them.
fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Whether a call succeeds within the time of a request, after which it is dropped.
async fn succeeds<T>(call: impl Future<Output = session_core::Result<T>>) -> bool {
    let began = Watch::start();
    let result = timeout(REQUEST, call).await;
    let took = began.stop(RESULT_LIMIT).await;
    assert_in_time!(took < RESULT_LIMIT, "took {took:?}");
    matches!(result, Ok(Ok(_)))
}

#[tokio::test]
async fn a_checked_connection_serves() {
    let certificates = Certificates::of_localhost();
    let server = Mongo::start_with_tls(&certificates).await;
    let store = store_at(server.port(), &trusting(&certificates)).await;
    let key = key();
    stored(store.insert(&key, &record(b"one")).await.unwrap());
    let loaded = store.load(&key).await.unwrap().unwrap();
    assert_eq!(loaded.bytes, b"one"[..]);
    // The server has no other connections.
    let plain = store_at(server.port(), "").await;
    assert!(!succeeds(plain.load(&key)).await);
}

async fn is_refused(server: &Mongo, trusted: &Certificates, word: &str) {
    let store = store_at(server.port(), &trusting(trusted)).await;
    let began = Watch::start();
    let error = error_chain(&store.load(&key()).await.unwrap_err());
    let took = began.stop(RESULT_LIMIT).await;
    assert_in_time!(took < RESULT_LIMIT, "{took:?}");
    let address = format!("127.0.0.1:{}", server.port());
    for word in ["certificate", word, &address] {
        assert!(error.contains(word), "no {word:?} in {error:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused_and_the_error_says_so() {
    let certificates = Certificates::of_another_host();
    let server = Mongo::start_with_tls(&certificates).await;
    is_refused(&server, &certificates, "not valid for name").await;
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_and_the_error_says_so() {
    let server = Mongo::start_with_tls(&Certificates::of_localhost()).await;
    is_refused(&server, &Certificates::of_localhost(), "UnknownIssuer").await;
}

#[tokio::test]
async fn an_outage_is_an_error_in_time() {
    let certificates = Certificates::of_localhost();
    let server = Mongo::start_with_tls(&certificates).await;
    let store = store_at(server.port(), &trusting(&certificates)).await;
    let key = key();
    stored(store.insert(&key, &record(b"before")).await.unwrap());
    server.freeze();
    for _ in 0..3 {
        assert!(!succeeds(store.load(&key)).await);
    }
    server.thaw();
    wait_for_recovery(&store, &key).await;
    let loaded = store.load(&key).await.unwrap().unwrap();
    assert_eq!(loaded.bytes, b"before"[..]);
    server.kill();
    for _ in 0..2 {
        assert!(!succeeds(store.load(&key)).await);
    }
    server.restart().await;
    wait_for_recovery(&store, &key).await;
}

/// At each of the messages by which a connection is opened, and those of its first call.
#[tokio::test]
async fn a_handshake_that_ends_or_falls_silent_is_an_error_in_time() {
    let certificates = Certificates::of_localhost();
    let server = Mongo::start_with_tls(&certificates).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let store = store_at(proxy.port(), &trusting(&certificates)).await;
    for disruption in [
        Disruption::SilentReplies,
        Disruption::HalfReply(7),
        Disruption::ResetReply(7),
        Disruption::ResetRequest(7),
    ] {
        for after in 0..8 {
            proxy.reset_connections();
            proxy.strike(Strike {
                new_connection: true,
                after,
                disruption,
            });
            let began = Instant::now();
            while proxy.strikes_left() > 0 {
                succeeds(store.load(&key())).await;
                let waited = began.elapsed();
                assert_in_time!(waited < Duration::from_secs(5), "{disruption:?} {after}");
            }
            proxy.plan_nothing();
            wait_for_recovery(&store, &key()).await;
        }
    }
}

#[tokio::test]
async fn an_update_of_20_kb_takes_at_most_half_as_long_again() {
    const UPDATES: usize = 100;
    let certificates = Certificates::of_localhost();
    let servers = (
        Mongo::start().await,
        Mongo::start_with_tls(&certificates).await,
    );
    let stores = [
        store_at(servers.0.port(), "").await,
        store_at(servers.1.port(), &trusting(&certificates)).await,
    ];
    let (key, large) = (key(), record(&vec![7; 20_000]));
    for store in &stores {
        stored(store.insert(&key, &large).await.unwrap());
    }
    // Both take turns, so that other load of the machine affects both.
    let mut times = [vec![], vec![]];
    for _ in 0..UPDATES {
        for (store, times) in stores.iter().zip(&mut times) {
            let revision = store.load(&key).await.unwrap().unwrap().revision;
            let began = Instant::now();
            let write = store.update(&key, &large, &revision).await;
            times.push(began.elapsed());
            stored(write.unwrap());
        }
    }
    let [plain, encrypted] = times.map(|mut times| {
        times.sort_unstable();
        times[UPDATES / 2].as_secs_f64()
    });
    eprintln!("update of 20 KB: {plain:.6} s, over TLS {encrypted:.6} s");
    assert!(encrypted < 1.5 * plain, "{encrypted} s and {plain} s");
}
