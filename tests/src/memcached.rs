//! A `memcached` server.

use std::io;
use std::ops::Deref;
use std::path::Path;

use crate::account::Account;
use crate::binary::server_program;
use crate::process::Recipe;
use crate::server::Server;
use crate::wire::{ask, expect};

/// A `memcached`.
#[derive(Debug)]
pub struct Memcached(Server);

impl Memcached {
    /// Starts one; `args` are `memcached`'s own, such as `-m 8` or `-I 2m`.
    pub async fn start(args: &[&str]) -> Self {
        let recipe = |port: u16, _: &Path| {
            let mut recipe = Recipe::new(server_program("memcached"))
                .args(["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0"])
                .args(args);
            recipe.account = Account::for_server("memcache");
            recipe
        };
        Self(Server::start("memcached", answers, recipe).await)
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Sends one command as a line, for example `stats`, and returns the server's raw reply.
    pub fn command(&self, line: &str) -> String {
        ask(self.port(), line).unwrap_or_else(|error| panic!("no answer to {line:?}: {error}"))
    }
}

impl Deref for Memcached {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn answers(port: u16) -> io::Result<()> {
    let reply = ask(port, "version")?;
    expect(reply.starts_with("VERSION"), &reply)
}
