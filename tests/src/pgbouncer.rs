//! `PgBouncer`, a pooler in front of a `PostgreSQL`.

use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::Account;
use crate::binary::{binary, optional_server_program};
use crate::given;
use crate::postgres::Postgres;
use crate::process::Recipe;
use crate::server::Server;
use crate::wire::connect;

/// A `PgBouncer` and its own `PostgreSQL`, to which it has 20 connections unless told otherwise.
#[derive(Debug)]
pub struct PgBouncer {
    bouncer: Server,
    postgres: Postgres,
}

impl PgBouncer {
    /// Starts both, with lines for the section `pgbouncer` of its configuration, such as
    /// `pool_mode = transaction`.
    pub async fn start(lines: &str) -> Self {
        let ignored = "ignore_startup_parameters = extra_float_digits, options";
        Self::start_with(&format!("{ignored}\n{lines}")).await
    }

    /// As [`start`](Self::start), but with these lines alone: by default it refuses parameters that
    /// the driver sends.
    pub async fn start_with(lines: &str) -> Self {
        given::needs_its_own("a pooler");
        let postgres = Postgres::start().await;
        let server = postgres.port();
        let recipe = |port: u16, directory: &Path| recipe(port, directory, server, lines);
        let answers = |port| connect(port).map(drop);
        Self {
            bouncer: Server::start("pgbouncer", answers as fn(u16) -> io::Result<()>, recipe).await,
            postgres,
        }
    }

    /// Its version, such as 1 and 18.
    pub fn version() -> (u32, u32) {
        let output = Command::new(program()).arg("--version").output();
        let text = output.expect("it can be run").stdout;
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut numbers = text
            .split([' ', '.', '\n'])
            .filter_map(|word| word.parse().ok());
        let version = (numbers.next(), numbers.next());
        version.0.zip(version.1).unwrap_or_else(|| panic!("{text}"))
    }

    /// The database through `PgBouncer`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port())
    }

    /// The server behind it.
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }
}

impl Deref for PgBouncer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.bouncer
    }
}

/// Of a folder of servers if that has one: another folder has the `PostgreSQL` alone.
fn program() -> PathBuf {
    optional_server_program("pgbouncer").unwrap_or_else(|| binary("pgbouncer"))
}

fn recipe(port: u16, directory: &Path, server: u16, lines: &str) -> Recipe {
    let configuration = directory.join("pgbouncer.ini");
    let users = directory.join("users");
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
         {lines}\n",
        users.display()
    );
    fs::write(&users, "\"postgres\" \"\"\n").expect("the directory is writable");
    fs::write(&configuration, text).expect("the directory is writable");
    let mut recipe = Recipe::new(program()).arg(configuration);
    recipe.account = Account::for_server("postgres");
    recipe
}
