//! A server for `MongoDB`'s protocol.

use std::io::{self, Read, Write};
use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::assert_in_time;
use crate::certificates::Certificates;
use crate::given;
use crate::guard::Guard;
use crate::left_over::LeftOver;
use crate::process::Recipe;
use crate::python::python;
use crate::server::Server;
use crate::wire::{connect, expect};

const SCRIPT: &str = include_str!("mongo.py");

/// The one that sessions are in by default.
const DATABASE: &str = "flask_session";

/// A server that speaks `MongoDB`'s protocol: `SecantusDB`, which the set-up installs from `PyPI`.
///
/// With docker compose, or where `SESSION_TEST_MONGODB_URL` names one, it is a genuine MongoDB. There
/// the tests use one database: compose's is removed at each start, and a person's must not exist
/// before.
#[derive(Debug)]
pub struct Mongo(Server);

impl Mongo {
    /// Starts one, a replica set of a single node, which removes expired documents once a minute.
    pub async fn start() -> Self {
        Self::start_with(60.0).await
    }

    /// Starts one whose pause between removals of expired documents is `ttl_sweep` seconds.
    pub async fn start_with(ttl_sweep: f64) -> Self {
        if let Some(url) = given::address("SESSION_TEST_MONGODB_URL", "mongodb://127.0.0.1:31017/")
        {
            given::without_log_in(&url);
            let server = Self(Server::attach("mongod", given::port(&url), answers).await);
            if server.is_of_a_person() {
                take(server.port());
            } else {
                // Others have left sessions there, also of another layout.
                let removed = drop_database(server.port(), DATABASE);
                removed.unwrap_or_else(|error| panic!("{}: {error}", server.url()));
            }
            return server;
        }
        let recipe = |port: u16, directory: &Path| recipe(port, directory, ttl_sweep);
        Self(Server::start("SecantusDB", answers, recipe).await)
    }

    /// Starts one that takes only connections with TLS.
    pub async fn start_with_tls(certificates: &Certificates) -> Self {
        given::needs_its_own("TLS");
        let recipe = |port: u16, directory: &Path| {
            let files = [certificates.certificate(), certificates.key()];
            recipe_with(port, directory, 60.0, &files)
        };
        let accepts = |port: u16| connect(port).map(drop);
        Self(Server::start("SecantusDB", accepts, recipe).await)
    }

    /// `mongodb://127.0.0.1:port/`, without a database.
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}/", self.port())
    }
}

impl Deref for Mongo {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

pub(crate) fn recipe(port: u16, directory: &Path, ttl_sweep: f64) -> Recipe {
    recipe_with(port, directory, ttl_sweep, &[String::new(), String::new()])
}

/// With the files of a certificate and its key, or empty names.
fn recipe_with(port: u16, directory: &Path, ttl_sweep: f64, tls: &[String; 2]) -> Recipe {
    Recipe::new(python())
        .args(["-c", SCRIPT, &port.to_string()])
        .arg(directory.join("data"))
        .args(["session", &ttl_sweep.to_string()])
        .args(tls)
}

/// Checks that a person's server has none of what the tests will remove.
fn take(port: u16) {
    static TAKEN: OnceLock<Guard> = OnceLock::new();
    TAKEN.get_or_init(|| {
        // What the test program before this one left is removed a moment after its end.
        let begin = Instant::now();
        while has_database(port) {
            assert_in_time!(
                begin.elapsed() < Duration::from_secs(5),
                "the tests use and remove the database {DATABASE}, and the server on port {port} has \
                 one: name another server"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let left_over = LeftOver {
            kind: "mongodb",
            server: port.to_string(),
            database: DATABASE.to_owned(),
        };
        left_over.removed_at_the_end()
    });
}

fn has_database(port: u16) -> bool {
    let reply = ask(port, DATABASE, "listCollections");
    let reply = reply.unwrap_or_else(|error| panic!("the server on port {port}: {error}"));
    contains(&reply, b"\x02name\0")
}

/// Removes a database, if it is there.
pub(crate) fn drop_database(port: u16, name: &str) -> io::Result<()> {
    ask(port, name, "dropDatabase").map(drop)
}

pub(crate) fn answers(port: u16) -> io::Result<()> {
    ask(port, "admin", "hello").map(drop)
}

/// The reply to `{command: 1, $db: database}`, if it is no error.
fn ask(port: u16, database: &str, command: &str) -> io::Result<Vec<u8>> {
    let mut elements = vec![0x10];
    elements.extend([command.as_bytes(), b"\0\x01\0\0\0\x02$db\0"].concat());
    elements.extend(length(database.len() + 1));
    elements.extend([database.as_bytes(), b"\0\0"].concat());
    let document = [&length(4 + elements.len())[..], &elements].concat();
    let mut message = Vec::new();
    message.extend(length(16 + 5 + document.len()));
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(OP_MSG);
    message.extend([0, 0, 0, 0, 0]);
    message.extend(document);
    let mut stream = connect(port)?;
    stream.write_all(&message)?;
    let mut head = [0; 16];
    stream.read_exact(&mut head)?;
    expect(head[12..] == OP_MSG, "no OP_MSG")?;
    let size = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let mut reply = vec![0; size.saturating_sub(16) as usize];
    stream.read_exact(&mut reply)?;
    // As a double, or as an integer.
    let successes: [&[u8]; 2] = [b"\x01ok\0\0\0\0\0\0\0\xf0\x3f", b"\x10ok\0\x01\0\0\0"];
    let is_success = successes.iter().any(|it| contains(&reply, it));
    expect(is_success, &String::from_utf8_lossy(&reply))?;
    Ok(reply)
}

const OP_MSG: [u8; 4] = 2013_u32.to_le_bytes();

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("a short message").to_le_bytes()
}

fn contains(reply: &[u8], part: &[u8]) -> bool {
    reply.windows(part.len()).any(|window| window == part)
}
