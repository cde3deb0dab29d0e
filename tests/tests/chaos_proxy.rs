//! The proxy passes everything on, and does each kind of damage exactly.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use session_tests::{ChaosProxy, Disruption, RedisServer};

async fn proxied() -> (RedisServer, ChaosProxy) {
    let server = RedisServer::start(&[]).await;
    let proxy = ChaosProxy::start(server.port()).await;
    (server, proxy)
}

fn connect(proxy: &ChaosProxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).expect("the proxy listens");
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .expect("the timeout is not zero");
    stream
}

/// What arrives before the connection ends or falls silent, and how it ended.
fn answer(stream: &mut TcpStream, command: &str, length: usize) -> (String, Option<ErrorKind>) {
    stream
        .write_all(command.as_bytes())
        .expect("the connection is open");
    let mut reply = Vec::new();
    let mut byte = [0];
    while reply.len() < length {
        match stream.read(&mut byte) {
            Ok(0) => {
                return (
                    String::from_utf8(reply).expect("ASCII"),
                    Some(ErrorKind::UnexpectedEof),
                );
            }
            Ok(_) => reply.push(byte[0]),
            Err(error) => return (String::from_utf8(reply).expect("ASCII"), Some(error.kind())),
        }
    }
    (String::from_utf8(reply).expect("ASCII"), None)
}

const PONG: &str = "+PONG\r\n";

fn pong(stream: &mut TcpStream) {
    assert_eq!(answer(stream, "PING\r\n", 7), (PONG.to_owned(), None));
}

#[tokio::test]
async fn passes_on_and_counts() {
    let (_server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    pong(&mut stream);
    pong(&mut connect(&proxy));
    assert_eq!(
        (
            proxy.connections(),
            proxy.bytes_to_server(),
            proxy.bytes_to_client()
        ),
        (2, 12, 14)
    );
}

#[tokio::test]
async fn delays_replies() {
    let (_server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    proxy.set(Disruption::Latency(Duration::from_millis(100)));
    let begin = Instant::now();
    pong(&mut stream);
    assert!(begin.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn holds_everything_back_until_the_damage_ends() {
    let (_server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    pong(&mut stream);
    let sent = proxy.bytes_to_server();
    proxy.set(Disruption::Blackhole);
    assert_eq!(
        answer(&mut stream, "PING\r\n", 7),
        (String::new(), Some(ErrorKind::WouldBlock))
    );
    assert_eq!(proxy.bytes_to_server(), sent);
    proxy.set(Disruption::None);
    assert_eq!(answer(&mut stream, "", 7), (PONG.to_owned(), None));
}

#[tokio::test]
async fn cuts_one_reply() {
    let (_server, proxy) = proxied().await;
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    proxy.set(Disruption::CutReply(3));
    assert_eq!(
        answer(&mut first, "PING\r\n", 7),
        ("+PO".to_owned(), Some(ErrorKind::UnexpectedEof))
    );
    assert_eq!(proxy.disruption(), Disruption::None);
    pong(&mut second);
}

#[tokio::test]
async fn cuts_one_reply_that_comes_in_pieces() {
    let (_server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    proxy.set(Disruption::CutReply(9));
    pong(&mut stream);
    assert_eq!(
        answer(&mut stream, "PING\r\n", 7),
        ("+P".to_owned(), Some(ErrorKind::UnexpectedEof))
    );
}

#[tokio::test]
async fn loses_one_byte_of_one_reply() {
    let (_server, proxy) = proxied().await;
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    proxy.set(Disruption::DropByte(2));
    assert_eq!(answer(&mut first, "PING\r\n", 6).0, "+PNG\r\n");
    assert_eq!(proxy.disruption(), Disruption::None);
    pong(&mut first);
    pong(&mut second);
}

#[tokio::test]
async fn loses_no_byte_of_a_reply_that_is_shorter() {
    let (_server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    proxy.set(Disruption::DropByte(7));
    pong(&mut stream);
    assert_eq!(proxy.disruption(), Disruption::DropByte(7));
    let (reply, end) = answer(&mut stream, "ECHO 12\r\n", 7);
    assert_eq!((&*reply, end), ("$2\r\n12\r", None));
    assert_eq!(proxy.disruption(), Disruption::None);
}

#[tokio::test]
async fn drops_the_reply_to_a_command_that_was_carried_out() {
    let (server, proxy) = proxied().await;
    proxy.set(Disruption::DropReply);
    let mut stream = connect(&proxy);
    assert_eq!(
        answer(&mut stream, "SET a 1\r\n", 5),
        (String::new(), Some(ErrorKind::UnexpectedEof))
    );
    assert_eq!(server.command("GET a"), "$1\r\n1\r\n");
    pong(&mut connect(&proxy));
}

#[tokio::test]
async fn resets_every_open_connection() {
    let (_server, proxy) = proxied().await;
    let mut open = [connect(&proxy), connect(&proxy)];
    open.iter_mut().for_each(pong);
    proxy.reset_connections();
    for stream in &mut open {
        assert_eq!(
            answer(stream, "", 1),
            (String::new(), Some(ErrorKind::ConnectionReset))
        );
    }
    pong(&mut connect(&proxy));
}

#[tokio::test]
async fn a_dead_server_is_a_closed_connection() {
    let (server, proxy) = proxied().await;
    server.kill();
    let (reply, end) = answer(&mut connect(&proxy), "", 1);
    assert_eq!(reply, "");
    assert_eq!(end, Some(ErrorKind::ConnectionReset));
}
