//! A replica of a `PostgreSQL` server.

use std::ops::Deref;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::account::Account;
use crate::binary::server_program;
use crate::given;
use crate::postgres::{Postgres, answers};
use crate::process::Recipe;
use crate::server::Server;

/// A streaming replica of a [`Postgres`], which takes no writes until `SELECT pg_promote()`.
#[derive(Debug)]
pub struct PostgresReplica(Server);

impl PostgresReplica {
    /// Copies a server of the harness and starts the copy.
    pub async fn of(primary: &Postgres) -> Self {
        given::needs_its_own("a replica");
        let primary = primary.port();
        let recipe = |port: u16, directory: &Path| recipe(port, directory, primary);
        Self(Server::start("postgres", answers, recipe).await)
    }

    /// `postgres://postgres@127.0.0.1:port/postgres`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port())
    }
}

impl Deref for PostgresReplica {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn recipe(port: u16, directory: &Path, primary: u16) -> Recipe {
    let account = Account::for_server("postgres");
    let data = directory.join("data");
    let server = server_program("postgres");
    // Its version's own, beside what may be called by a link: the one in PATH may be of another.
    let real = server
        .canonicalize()
        .unwrap_or_else(|error| panic!("{}: {error}", server.display()));
    let mut copy = Command::new(real.with_file_name("pg_basebackup"));
    copy.current_dir("/").arg("-D").arg(&data).args([
        "--host=127.0.0.1",
        "--username=postgres",
        "--checkpoint=fast",
        "--write-recovery-conf",
        "--no-sync",
    ]);
    copy.arg(format!("--port={primary}"));
    if let Some(account) = account {
        account.own(directory);
        account.run(&mut copy);
    }
    let output = copy.output().expect("pg_basebackup can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut recipe = Recipe::new(server)
        .arg("-D")
        .arg(data)
        .args(["-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "shared_buffers=16MB",
        "max_connections=200",
    ] {
        recipe = recipe.args(["-c", setting]);
    }
    recipe.account = account;
    // Killed, it would leave a shared memory segment in the system.
    recipe.farewell = Some(Signal::QUIT);
    recipe
}
