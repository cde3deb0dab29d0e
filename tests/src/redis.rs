//! A `redis-server`.

use std::io;
use std::ops::Deref;

use crate::binary::server_program;
use crate::process::Recipe;
use crate::server::Server;
use crate::wire::{ask, expect};

/// A `redis-server` that saves nothing to disk.
#[derive(Debug)]
pub struct RedisServer(Server);

impl RedisServer {
    /// Starts one; `args` are `redis-server`'s own, such as `--maxmemory 2mb`, and win over the
    /// harness's.
    pub async fn start(args: &[&str]) -> Self {
        let recipe = |port: u16, _: &std::path::Path| recipe(port).args(args);
        Self(Server::start("redis-server", answers, recipe).await)
    }

    /// `redis://127.0.0.1:port/`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }

    /// Sends one command as a line, for example `CONFIG SET maxmemory 2mb`, and returns the
    /// server's raw reply.
    pub fn command(&self, line: &str) -> String {
        ask(self.port(), line).unwrap_or_else(|error| panic!("no answer to {line:?}: {error}"))
    }
}

impl Deref for RedisServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

pub(crate) fn recipe(port: u16) -> Recipe {
    Recipe::new(server_program("redis-server"))
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .args(["--repl-diskless-sync-delay", "0"])
}

pub(crate) fn answers(port: u16) -> io::Result<()> {
    let reply = ask(port, "PING")?;
    let ready = ["+PONG", "-NOAUTH", "-MASTERDOWN"];
    expect(ready.iter().any(|start| reply.starts_with(start)), &reply)
}
