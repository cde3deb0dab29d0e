//! Ends TLS before a server that speaks HTTP, so that a page has an `https` address.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::person::Result;

/// Listens on a port of its own and passes what arrives to `port`, without TLS. Ends with the
/// runtime.
pub(super) fn in_front_of(port: u16) -> Result<u16> {
    counting_in_front_of(port, &certificate()?, b"\0", Arc::default())
}

/// As [`in_front_of`] with a [`certificate`], and counts how often `words` arrive from browsers.
pub(super) fn counting_in_front_of(
    port: u16,
    certificate: &[u8],
    words: &'static [u8],
    count: Arc<AtomicUsize>,
) -> Result<u16> {
    let acceptor = TlsAcceptor::from(Arc::new(config(certificate)?));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let own = listener.local_addr()?.port();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let seen = Counted {
                words,
                count: count.clone(),
            };
            tokio::spawn(pass(client, acceptor.clone(), port, seen));
        }
    });
    Ok(own)
}

/// Words that are counted when they arrive.
struct Counted {
    words: &'static [u8],
    count: Arc<AtomicUsize>,
}

async fn pass(
    client: TcpStream,
    acceptor: TlsAcceptor,
    port: u16,
    seen: Counted,
) -> std::io::Result<()> {
    let (from_browser, mut to_browser) = tokio::io::split(acceptor.accept(client).await?);
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut from_server, to_server) = server.into_split();
    let answers = async {
        tokio::io::copy(&mut from_server, &mut to_browser).await?;
        to_browser.shutdown().await
    };
    tokio::try_join!(count(from_browser, to_server, seen), answers)?;
    Ok(())
}

/// Passes on what a browser sends.
async fn count(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    seen: Counted,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        // Browsers write the head of a request at once.
        let arrived = buffer[..length].windows(seen.words.len());
        let times = arrived.filter(|it| *it == seen.words).count();
        seen.count.fetch_add(times, Ordering::Relaxed);
        to.write_all(&buffer[..length]).await?;
    }
}

/// A new certificate, which no browser trusts unless it is told to, and its key.
pub(super) fn certificate() -> Result<Vec<u8>> {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext"])
        .args(["subjectAltName=DNS:*.localhost,DNS:*.test", "-keyout", "-"])
        .output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    Ok(made.stdout)
}

/// The digest of its public key by which Chromium is told to trust a certificate. What it is only
/// told to overlook the errors of can bind no session.
pub(super) fn public_key_digest(certificate: &[u8]) -> Result<String> {
    const DIGEST: &str = "openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | \
        openssl dgst -sha256 -binary | openssl base64";
    let mut digest = Command::new("sh")
        .args(["-c", DIGEST])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let input = digest.stdin.take().ok_or("openssl takes no input")?;
    { input }.write_all(certificate)?;
    let digest = digest.wait_with_output()?;
    Ok(String::from_utf8(digest.stdout)?.trim().to_owned())
}

fn config(certificate: &[u8]) -> Result<ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(certificate)?;
    let certificate = CertificateDer::from_pem_slice(certificate)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(config)
}
