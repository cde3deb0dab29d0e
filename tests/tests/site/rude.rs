//! A client that hangs up before the response.

use std::io::Write;
use std::net::TcpStream;

use super::Browser;

/// A client that does not wait for its answer.
#[derive(Debug)]
pub(crate) struct Rude(TcpStream);

impl Rude {
    /// Sends the head of a request without a body, such as `GET /whoami`, with the browser's
    /// cookie.
    pub(crate) fn ask(url: &str, browser: &Browser, request: &str) -> Self {
        let address = url.strip_prefix("http://").expect("plain HTTP");
        let mut stream = TcpStream::connect(address).expect("the demo listens");
        let cookie = browser.cookie().expect("logged in");
        let head = format!("{request} HTTP/1.1\r\nHost: demo\r\nCookie: session={cookie}\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("the demo reads");
        Self(stream)
    }

    /// Ends the connection by a reset, whatever the demo does at that moment.
    pub(crate) fn hang_up(self) {
        let socket = tokio::net::TcpSocket::from_std_stream(self.0);
        socket.set_zero_linger().expect("it is a TCP socket");
    }
}
