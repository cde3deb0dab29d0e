//! The proxy passes everything on, and does each kind of damage exactly.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use session_tests::{ChaosProxy, Disruption, RedisServer, Strike, assert_in_time};

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
async fn records_what_each_connection_sends() {
    let (_server, proxy) = proxied().await;
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    pong(&mut first);
    assert!(proxy.recorded().is_empty());
    proxy.record();
    pong(&mut second);
    pong(&mut first);
    pong(&mut second);
    assert_eq!(
        proxy.recorded(),
        [b"PING\r\n".to_vec(), b"PING\r\nPING\r\n".to_vec()]
    );
    proxy.record();
    pong(&mut second);
    assert_eq!(proxy.recorded(), [b"PING\r\n".to_vec()]);
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

#[tokio::test]
async fn silent_requests_arrive_when_the_silence_ends_and_replies_pass_meanwhile() {
    let (server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    pong(&mut stream);
    let subscribed = answer(&mut stream, "SUBSCRIBE a\r\n", 30).0;
    assert!(subscribed.ends_with(":1\r\n"), "{subscribed:?}");
    proxy.set(Disruption::SilentRequests);
    let sent = proxy.bytes_to_server();
    assert_eq!(answer(&mut stream, "PING\r\n", 1).0, "");
    assert_eq!(proxy.bytes_to_server(), sent);
    server.command("PUBLISH a b");
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n";
    assert_eq!(answer(&mut stream, "", message.len()).0, message);
    proxy.set(Disruption::None);
    assert_eq!(answer(&mut stream, "", 11).0, "*2\r\n$4\r\npon");
}

#[tokio::test]
async fn silent_replies_arrive_when_the_silence_ends_and_requests_pass_meanwhile() {
    let (server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    pong(&mut stream);
    proxy.set(Disruption::SilentReplies);
    let silence = (String::new(), Some(ErrorKind::WouldBlock));
    assert_eq!(answer(&mut stream, "SET a 1\r\n", 5), silence);
    assert_eq!(server.command("GET a"), "$1\r\n1\r\n");
    assert_eq!(proxy.held_replies(), 1);
    proxy.set(Disruption::None);
    assert_eq!(answer(&mut stream, "", 5), ("+OK\r\n".to_owned(), None));
    assert_eq!(proxy.held_replies(), 0);
}

#[tokio::test]
async fn replies_drip_a_byte_at_a_time() {
    let (_server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    let pause = Duration::from_millis(100);
    proxy.set(Disruption::Drip(pause));
    let begin = Instant::now();
    assert_eq!(
        answer(&mut stream, "PING\r\n", 4),
        ("+PON".to_owned(), None)
    );
    assert!(begin.elapsed() >= pause * 3);
    assert_in_time!(begin.elapsed() < pause * 6);
    proxy.set(Disruption::None);
    assert_eq!(answer(&mut stream, "", 3), ("G\r\n".to_owned(), None));
    assert_in_time!(begin.elapsed() < pause * 6, "the rest comes at once");
}

#[tokio::test]
async fn requests_drip_a_byte_at_a_time() {
    let (server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    pong(&mut stream);
    let sent = proxy.bytes_to_server();
    let pause = Duration::from_millis(100);
    proxy.set(Disruption::DripRequests(pause));
    let begin = Instant::now();
    assert_eq!(answer(&mut stream, "SET a 1\r\n", 5).0, "");
    let passed = proxy.bytes_to_server() - sent;
    assert!(passed > 0);
    assert_in_time!(passed < 9, "{passed} bytes in 0.3 s");
    assert_eq!(server.command("GET a"), "$-1\r\n");
    proxy.set(Disruption::None);
    assert_eq!(answer(&mut stream, "", 5), ("+OK\r\n".to_owned(), None));
    assert_in_time!(begin.elapsed() < pause * 8, "the rest comes at once");
}

#[tokio::test]
async fn resets_a_connection_in_the_middle_of_a_reply() {
    let (_server, proxy) = proxied().await;
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    proxy.set(Disruption::ResetReply(3));
    assert_eq!(
        answer(&mut first, "PING\r\n", 7),
        ("+PO".to_owned(), Some(ErrorKind::ConnectionReset))
    );
    assert_eq!(proxy.disruption(), Disruption::None);
    pong(&mut second);
}

#[tokio::test]
async fn resets_a_connection_in_the_middle_of_a_request() {
    let (server, proxy) = proxied().await;
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    pong(&mut second);
    let sent = proxy.bytes_to_server();
    proxy.set(Disruption::ResetRequest(8));
    assert_eq!(
        answer(&mut first, "SET a 1\r\n", 5),
        (String::new(), Some(ErrorKind::ConnectionReset))
    );
    assert_eq!(proxy.bytes_to_server(), sent + 8);
    assert_eq!(server.command("GET a"), "$-1\r\n");
    pong(&mut second);
}

#[tokio::test]
async fn half_a_reply_is_followed_by_silence() {
    let (_server, proxy) = proxied().await;
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    proxy.set(Disruption::HalfReply(3));
    assert_eq!(
        answer(&mut first, "PING\r\n", 7),
        ("+PO".to_owned(), Some(ErrorKind::WouldBlock))
    );
    assert_eq!(answer(&mut first, "PING\r\n", 1).0, "");
    pong(&mut second);
    proxy.heal();
    assert_eq!(answer(&mut first, "", 11).0, "NG\r\n+PONG\r\n");
}

#[tokio::test]
async fn half_a_request_is_followed_by_silence() {
    let (server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    pong(&mut stream);
    let sent = proxy.bytes_to_server();
    proxy.set(Disruption::HalfRequest(8));
    assert_eq!(answer(&mut stream, "SET a 1\r\n", 5).0, "");
    assert_eq!(proxy.bytes_to_server(), sent + 8);
    assert_eq!(server.command("GET a"), "$-1\r\n");
    proxy.heal();
    assert_eq!(answer(&mut stream, "", 5).0, "+OK\r\n");
}

#[tokio::test]
async fn a_request_is_followed_by_silence() {
    let (server, proxy) = proxied().await;
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    proxy.set(Disruption::SilenceAfterRequest);
    assert_eq!(answer(&mut first, "SET a 1\r\n", 5).0, "");
    assert_eq!(server.command("GET a"), "$1\r\n1\r\n");
    assert_eq!(answer(&mut first, "SET a 2\r\n", 5).0, "");
    assert_eq!(server.command("GET a"), "$1\r\n1\r\n");
    pong(&mut second);
    proxy.heal();
    assert_eq!(answer(&mut first, "", 10).0, "+OK\r\n+OK\r\n");
}

#[tokio::test]
async fn open_connections_are_silent_after_a_failover_and_new_ones_reach_the_other_server() {
    let (_server, proxy) = proxied().await;
    let other = RedisServer::start(&[]).await;
    other.command("SET a 1");
    let mut old = connect(&proxy);
    pong(&mut old);
    proxy.fail_over(other.port());
    let silence = (String::new(), Some(ErrorKind::WouldBlock));
    assert_eq!(answer(&mut old, "PING\r\n", 1), silence);
    let mut new = connect(&proxy);
    assert_eq!(answer(&mut new, "GET a\r\n", 7).0, "$1\r\n1\r\n");
    proxy.heal();
    assert_eq!(answer(&mut old, "", 1), silence, "for good");
}

#[tokio::test]
async fn a_strike_hits_one_connection_at_one_message() {
    let (_server, proxy) = proxied().await;
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    // The request and the reply of a PING are two pieces.
    for (after, disruption) in [(2, Disruption::Blackhole), (5, Disruption::ResetReply(1))] {
        proxy.strike(Strike {
            new_connection: false,
            after,
            disruption,
        });
    }
    pong(&mut first);
    assert_eq!(proxy.strikes_left(), 2);
    let silence = (String::new(), Some(ErrorKind::WouldBlock));
    assert_eq!(answer(&mut first, "PING\r\n", 1), silence);
    assert_eq!(proxy.strikes_left(), 1);
    pong(&mut second);
    let reset = ("+".to_owned(), Some(ErrorKind::ConnectionReset));
    assert_eq!(answer(&mut second, "PING\r\n", 7), reset);
    assert_eq!(proxy.strikes_left(), 0);
    let begin = Instant::now();
    while proxy.open_connections() > 1 {
        assert_in_time!(
            begin.elapsed() < Duration::from_secs(1),
            "the connection that was reset is open"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.heal();
    assert_eq!(answer(&mut first, "", 7).0, PONG);
}

#[tokio::test]
async fn a_strike_at_a_new_connection_leaves_the_open_ones_alone() {
    let (_server, proxy) = proxied().await;
    let mut open = connect(&proxy);
    pong(&mut open);
    for (after, disruption) in [(0, Disruption::SilentReplies), (1, Disruption::CutReply(2))] {
        proxy.strike(Strike {
            new_connection: true,
            after,
            disruption,
        });
    }
    let (mut first, mut second) = (connect(&proxy), connect(&proxy));
    pong(&mut open);
    let silence = (String::new(), Some(ErrorKind::WouldBlock));
    assert_eq!(answer(&mut first, "PING\r\n", 1), silence);
    let cut = ("+P".to_owned(), Some(ErrorKind::UnexpectedEof));
    assert_eq!(answer(&mut second, "PING\r\n", 7), cut);
    pong(&mut open);
}

#[tokio::test]
async fn a_client_that_closes_a_silent_connection_also_ends_that_to_the_server() {
    let (server, proxy) = proxied().await;
    let mut stream = connect(&proxy);
    pong(&mut stream);
    let clients = || server.command("CLIENT LIST").matches("name=").count();
    assert_eq!(clients(), 2, "the stream, and the one that asks");
    proxy.set(Disruption::Blackhole);
    assert_eq!(answer(&mut stream, "PING\r\n", 1).0, "");
    drop(stream);
    let begin = Instant::now();
    while clients() > 1 || proxy.open_connections() > 0 {
        assert_in_time!(begin.elapsed() < Duration::from_secs(1), "it stays open");
    }
}
