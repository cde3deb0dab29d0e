//! Reads the writes of one key from Redis' `MONITOR`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;

use serde_json::{Map, Value};

use crate::store::Store;

/// What `MONITOR` tells of one key: every write to it that Redis carried out, in order.
pub(crate) struct Monitor {
    key: String,
    socket: TcpStream,
    lines: JoinHandle<Vec<String>>,
}

/// One write.
#[derive(Debug)]
pub(crate) enum Written {
    /// By Flask-Session, whatever was there.
    Flask(Map<String, Value>),
    /// By this library's script, which found the bytes that it had loaded.
    Actix(Map<String, Value>),
}

impl Monitor {
    pub(crate) async fn of(key: String) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", Store::redis_port().await)).unwrap();
        socket.write_all(b"MONITOR\r\n").unwrap();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let mut started = String::new();
        reader.read_line(&mut started).unwrap();
        assert_eq!(started, "+OK\r\n");
        let lines = std::thread::spawn(move || reader.lines().map_while(Result::ok).collect());
        Self { key, socket, lines }
    }

    pub(crate) fn end(self) -> Vec<Written> {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
        let lines = self.lines.join().unwrap();
        lines
            .iter()
            .filter_map(|line| written(&self.key, line))
            .collect()
    }
}

/// `+<time> [<database> <client, or "lua">] "SET" "<key>" "<value>" ..`, with JSON for the value.
fn written(key: &str, line: &str) -> Option<Written> {
    let (head, command) = line.split_once("] \"")?;
    let start = format!("SET\" \"{key}\" \"");
    let value = command.strip_prefix(&start)?;
    let mut text = String::new();
    let mut characters = value.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
    let session = serde_json::from_str(&text).unwrap();
    Some(if head.ends_with(" lua") {
        Written::Actix(session)
    } else {
        Written::Flask(session)
    })
}
