//! A `redis-server`.

use std::io;
use std::ops::Deref;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::assert_in_time;
use crate::binary::server_program;
use crate::given;
use crate::guard::Guard;
use crate::left_over::LeftOver;
use crate::process::Recipe;
use crate::server::Server;
use crate::wire::{ask, command, expect, two_commands};

/// A `redis-server` that saves nothing to disk, and is empty.
#[derive(Debug)]
pub struct RedisServer {
    server: Server,
    /// The number of the database that the tests use.
    database: u32,
}

impl RedisServer {
    /// Starts one; `args` are `redis-server`'s own, such as `--maxmemory 2mb`, and win over the
    /// harness's. With docker compose, or where `SESSION_TEST_REDIS_URL` names a server, it is that,
    /// emptied.
    pub async fn start(args: &[&str]) -> Self {
        given::without_settings(args);
        if let Some(url) = given::address("SESSION_TEST_REDIS_URL", "redis://127.0.0.1:31379/") {
            return Self::given(&url).await;
        }
        Self::launch(args).await
    }

    /// Starts one of a group, also with docker compose.
    pub(crate) async fn start_own(args: &[&str]) -> Self {
        given::starts_a_group();
        Self::launch(args).await
    }

    async fn launch(args: &[&str]) -> Self {
        let recipe = |port: u16, _: &std::path::Path| recipe(port).args(args);
        Self {
            server: Server::start("redis-server", answers, recipe).await,
            database: 0,
        }
    }

    /// The service of docker compose on `port`, as it is.
    pub(crate) async fn running(port: u16) -> Self {
        Self {
            server: Server::attach("redis-server", port, answers).await,
            database: 0,
        }
    }

    /// The service of docker compose on `port`, new and empty.
    pub(crate) async fn service(port: u16) -> Self {
        given::renew(port);
        Self::running(port).await
    }

    async fn given(url: &str) -> Self {
        let port = given::port(url);
        if given::renew(port) {
            return Self::running(port).await;
        }
        given::without_log_in(url);
        assert!(
            url.starts_with("redis://"),
            "a server of the tests is named as redis://127.0.0.1:6379/15, not as {url}"
        );
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let database = match path {
            "" => 0,
            number => number
                .parse()
                .unwrap_or_else(|_| panic!("{url} names no database by its number")),
        };
        let server = Self {
            server: Server::attach("redis-server", port, answers).await,
            database,
        };
        server.take();
        server
    }

    /// Checks that a person's database is empty, the first time, and then empties it.
    fn take(&self) {
        static TAKEN: OnceLock<Guard> = OnceLock::new();
        let keys = || self.command("DBSIZE").trim().to_owned();
        let mut is_first = false;
        TAKEN.get_or_init(|| {
            is_first = true;
            // What the test program before this one left is removed a moment after its end.
            let begin = Instant::now();
            while keys() != ":0" {
                let answer = keys();
                assert!(
                    !answer.starts_with('-'),
                    "{} cannot be used by the tests: {answer}",
                    self.url()
                );
                assert_in_time!(
                    begin.elapsed() < Duration::from_secs(5),
                    "the tests empty their database of Redis, and {} has keys ({}): name an empty \
                     one, such as redis://127.0.0.1:6379/15",
                    self.url(),
                    keys()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
            let left_over = LeftOver {
                kind: "redis",
                server: self.port().to_string(),
                database: self.database.to_string(),
            };
            left_over.removed_at_the_end()
        });
        if !is_first {
            self.command("FLUSHDB");
        }
    }

    /// Whether it is a person's, of which the tests have one database.
    pub fn is_of_a_person(&self) -> bool {
        self.server.is_of_a_person()
    }

    /// `redis://127.0.0.1:port/`.
    pub fn url(&self) -> String {
        self.url_by(self.port())
    }

    /// The URL by another port, which leads to the server.
    pub fn url_by(&self, port: u16) -> String {
        match self.database {
            0 => format!("redis://127.0.0.1:{port}/"),
            database => format!("redis://127.0.0.1:{port}/{database}"),
        }
    }

    /// Sends one command as a line, for example `CONFIG SET maxmemory 2mb`, and returns the
    /// server's raw reply.
    pub fn command(&self, line: &str) -> String {
        let is_of = |commands: &[&str]| commands.iter().any(|words| line.starts_with(words));
        let is_of_the_whole = is_of(&OF_THE_WHOLE);
        if is_of_the_whole {
            given::ends_its_server();
        }
        assert!(
            !(self.is_of_a_person() && (is_of_the_whole || is_of(&OF_USERS))),
            "{line} changes more than a database of a server that is not the tests' own: the test \
             belongs into tests/own-server.txt"
        );
        let reply = match self.database {
            0 => command(self.port(), line),
            database => command_in(self.port(), &database.to_string(), line),
        };
        reply.unwrap_or_else(|error| panic!("no answer to {line:?}: {error}"))
    }
}

/// Commands whose effect is not confined to one database.
const OF_THE_WHOLE: [&str; 8] = [
    "CLIENT KILL",
    "CLIENT PAUSE",
    "CONFIG RESETSTAT",
    "CONFIG SET",
    "FLUSHALL",
    "REPLICAOF",
    "SCRIPT FLUSH",
    "SHUTDOWN",
];

/// Commands that a test uses on the tests' own servers without harm to other tests.
const OF_USERS: [&str; 2] = ["ACL SETUSER", "ACL DELUSER"];

impl Deref for RedisServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Removes all keys of a database.
pub(crate) fn empty(port: u16, database: &str) -> io::Result<()> {
    let reply = command_in(port, database, "FLUSHDB")?;
    expect(reply == "+OK\r\n", &reply)
}

/// One command after `SELECT`, whose reply is left out.
fn command_in(port: u16, database: &str, line: &str) -> io::Result<String> {
    let (selected, reply) = two_commands(port, &format!("SELECT {database}"), line)?;
    expect(selected == "+OK\r\n", &selected)?;
    Ok(reply)
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
