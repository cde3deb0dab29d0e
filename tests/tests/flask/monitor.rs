//! Reads the writes of one key from Redis' `MONITOR`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread::JoinHandle;

use serde_json::{Map, Value};

use crate::store::Store;

/// What `MONITOR` tells of one key: every write to it that Redis carried out, in order.
pub(crate) struct Monitor {
    key: String,
    /// Whether the server knows `SET … IFEQ`. `MONITOR` also shows a command that it does not know.
    compares: bool,
    socket: TcpStream,
    lines: JoinHandle<Vec<String>>,
}

/// One write.
#[derive(Debug)]
pub(crate) enum Written {
    /// By Flask-Session, whatever was there.
    Flask(Map<String, Value>),
    /// By this library, which found the bytes that it had loaded.
    Actix(Map<String, Value>),
}

impl Monitor {
    pub(crate) async fn of(key: String) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", Store::redis_port().await)).unwrap();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let mut ask = |command: &str| {
            socket.write_all(command.as_bytes()).unwrap();
            let mut reply = String::new();
            reader.read_line(&mut reply).unwrap();
            reply
        };
        // There is no such record, so nothing is written.
        let reply = ask("SET monitor:absent new IFEQ old\r\n");
        let compares = !reply.starts_with("-ERR");
        if compares {
            assert_eq!(reply, "$-1\r\n");
        }
        assert_eq!(ask("MONITOR\r\n"), "+OK\r\n");
        let lines = std::thread::spawn(move || reader.lines().map_while(Result::ok).collect());
        Self {
            key,
            compares,
            socket,
            lines,
        }
    }

    pub(crate) fn end(self) -> Vec<Written> {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
        let lines = self.lines.join().unwrap();
        let (mut current, mut history) = (None::<String>, Vec::new());
        for line in &lines {
            let Some((head, command)) = line.split_once("] ") else {
                continue;
            };
            let words = words(command);
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let ["SET", key, value, options @ ..] = words.as_slice() else {
                continue;
            };
            let compared = match options {
                ["IFEQ", old, ..] => {
                    Some(self.compares && current.as_deref().is_none_or(|it| it == *old))
                }
                _ => None,
            };
            if *key != self.key || compared == Some(false) {
                continue;
            }
            current = Some((*value).to_owned());
            let session = serde_json::from_str(value).unwrap();
            let is_ours = compared.is_some() || head.ends_with(" lua");
            history.push(if is_ours {
                Written::Actix(session)
            } else {
                Written::Flask(session)
            });
        }
        history
    }
}

/// The words of `"SET" "<key>" "<value>" …`.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut characters) = (Vec::new(), command.chars());
    while characters.next() == Some('"') {
        let mut word = String::new();
        loop {
            match characters.next() {
                Some('"') | None => break,
                Some('\\') => word.extend(characters.next()),
                Some(other) => word.push(other),
            }
        }
        words.push(word);
        // The space between.
        characters.next();
    }
    words
}
