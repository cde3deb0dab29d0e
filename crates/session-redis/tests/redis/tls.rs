//! TLS: which certificates are trusted, without a crypto provider installed beforehand.

use std::fs;

use session_core::SessionStore;
use session_redis::{
    RedisStore,
    redis::{Client, TlsCertificates},
};
use session_tests::{Certificates, RedisServer, free_port};

use crate::common::{bounded, insert, key, load, patient, store_with_the_defaults};

fn trusting(certificates: &Certificates, port: u16) -> RedisStore {
    let root_cert = fs::read(certificates.authority()).unwrap();
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(root_cert),
    };
    let client = Client::build_with_tls(format!("rediss://localhost:{port}"), certificates);
    RedisStore::new(client.unwrap())
}

#[tokio::test]
async fn tls_needs_a_trusted_certificate_and_nothing_else() {
    let [own, other] = [(); 2].map(|()| Certificates::of_localhost());
    let port = free_port();
    let server = RedisServer::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &own.certificate(),
        "--tls-key-file",
        &own.key(),
        "--tls-ca-cert-file",
        &own.authority(),
        "--tls-auth-clients",
        "no",
    ])
    .await;
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
