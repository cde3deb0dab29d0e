//! TLS: which certificates are trusted, without a crypto provider installed beforehand.

use std::{fs, path::Path, process::Command};

use session_core::SessionStore;
use session_redis::{
    RedisStore,
    redis::{Client, TlsCertificates},
};
use session_tests::{RedisServer, free_port, scratch_dir};

use crate::common::{bounded, insert, key, load, store};

/// Writes files of a certificate authority and of its certificate for `localhost`.
fn certificates(directory: &Path, name: &str) {
    let script = format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} \
           -keyout {name}-ca.key -out {name}-ca.pem -addext basicConstraints=critical,CA:TRUE && \
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
           -keyout {name}.key -out {name}.csr && \
         printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > {name}.ext && \
         openssl x509 -req -in {name}.csr -CA {name}-ca.pem -CAkey {name}-ca.key -CAcreateserial -days 2 \
           -extfile {name}.ext -out {name}.pem"
    );
    let output = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn trusting(directory: &Path, authority: &str, port: u16) -> RedisStore {
    let root_cert = fs::read(directory.join(format!("{authority}-ca.pem"))).unwrap();
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(root_cert),
    };
    let client = Client::build_with_tls(format!("rediss://localhost:{port}"), certificates);
    RedisStore::new(client.unwrap())
}

#[tokio::test]
async fn tls_needs_a_trusted_certificate_and_nothing_else() {
    let directory = scratch_dir();
    for name in ["own", "other"] {
        certificates(directory.path(), name);
    }
    let path = |file: &str| directory.path().join(file).display().to_string();
    let (certificate, private, authority) = (path("own.pem"), path("own.key"), path("own-ca.pem"));
    let port = free_port();
    let server = RedisServer::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &private,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    let trusted = trusting(directory.path(), "own", port);
    insert(&trusted, "a", "one").await;
    assert_eq!(load(&trusted, "a").await.unwrap().bytes, "one");
    // Another authority, the authorities that browsers trust, and no TLS.
    for untrusted in [
        trusting(directory.path(), "other", port),
        store(&format!("rediss://localhost:{port}")),
        store(&format!("redis://localhost:{port}")),
    ] {
        bounded(untrusted.load(&key("a"))).await.1.unwrap_err();
    }
    drop(server);
}
