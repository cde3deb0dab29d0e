//! A server for `MongoDB`'s protocol.

use std::io::{self, Read, Write};
use std::ops::Deref;
use std::path::Path;

use crate::given;
use crate::process::Recipe;
use crate::python::python;
use crate::server::Server;
use crate::wire::{connect, expect};

const SCRIPT: &str = include_str!("mongo.py");

/// A server that speaks `MongoDB`'s protocol: `SecantusDB`, which the set-up installs from `PyPI`.
///
/// With docker compose, or where `SESSION_TEST_MONGODB_URL` names one, it is a genuine MongoDB.
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
            return Self(Server::attach("mongod", given::port(&url), answers).await);
        }
        let recipe = |port: u16, directory: &Path| recipe(port, directory, ttl_sweep);
        Self(Server::start("SecantusDB", answers, recipe).await)
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
    Recipe::new(python())
        .args(["-c", SCRIPT, &port.to_string()])
        .arg(directory.join("data"))
        .args(["session", &ttl_sweep.to_string()])
}

/// `{hello: 1, $db: "admin"}` in an `OP_MSG`, answered by one.
pub(crate) fn answers(port: u16) -> io::Result<()> {
    let document = b"\x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0";
    let length = u32::try_from(16 + 5 + document.len()).expect("a short message");
    let mut message = Vec::new();
    message.extend(length.to_le_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(2013_u32.to_le_bytes());
    message.extend([0, 0, 0, 0, 0]);
    message.extend(document);
    let mut stream = connect(port)?;
    stream.write_all(&message)?;
    let mut head = [0; 16];
    stream.read_exact(&mut head)?;
    expect(head[12..] == 2013_u32.to_le_bytes(), "no OP_MSG")
}
