//! A `memcached` server.

use std::collections::BTreeSet;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::account::Account;
use crate::binary::server_program;
use crate::given;
use crate::own_server::servers;
use crate::process::Recipe;
use crate::server::Server;
use crate::wire::{ask, command, expect};

/// The services of docker-compose.yml.
const SERVICES: &str = "127.0.0.1:31211,127.0.0.1:31212,127.0.0.1:31213";

/// A `memcached`.
#[derive(Debug)]
pub struct Memcached(Server);

impl Memcached {
    /// Starts one; `args` are `memcached`'s own, such as `-m 8` or `-I 2m`. With docker compose, or
    /// where `SESSION_TEST_MEMCACHED` names servers, it is one of those that no other value of this
    /// type stands for.
    pub async fn start(args: &[&str]) -> Self {
        given::without_settings(args);
        if let Some(addresses) = given::address("SESSION_TEST_MEMCACHED", SERVICES) {
            return Self::given(&addresses).await;
        }
        let recipe = |port: u16, _: &Path| recipe(port).args(args);
        Self(Server::start("memcached", answers, recipe).await)
    }

    async fn given(addresses: &str) -> Self {
        let ports: Vec<_> = servers(addresses).map(given::port).collect();
        let free = ports.iter().copied().find(|port| in_use().insert(*port));
        let port = free.unwrap_or_else(|| {
            panic!("this test needs more memcached servers than SESSION_TEST_MEMCACHED names: {addresses}")
        });
        given::renew(port);
        Self(Server::attach("memcached", port, answers).await)
    }

    /// `127.0.0.1:port`.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Sends one command as a line, for example `stats`, and returns the server's raw reply.
    pub fn command(&self, line: &str) -> String {
        command(self.port(), line).unwrap_or_else(|error| panic!("no answer to {line:?}: {error}"))
    }
}

impl Deref for Memcached {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

pub(crate) fn recipe(port: u16) -> Recipe {
    let mut recipe = Recipe::new(server_program("memcached")).args([
        "-l",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-U",
        "0",
    ]);
    recipe.account = Account::for_server("memcache");
    recipe
}

impl Drop for Memcached {
    fn drop(&mut self) {
        in_use().remove(&self.port());
    }
}

/// The ports of running servers that values of this type stand for.
fn in_use() -> MutexGuard<'static, BTreeSet<u16>> {
    static PORTS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn answers(port: u16) -> io::Result<()> {
    let reply = ask(port, "version")?;
    expect(reply.starts_with("VERSION"), &reply)
}
