//! A `MariaDB` server.

use std::fs;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::process::Command;

use crate::account::Account;
use crate::binary::binary;
use crate::process::Recipe;
use crate::server::Server;
use crate::template::Template;
use crate::wire::{connect, expect};

const LOG_SIZE: &str = "--innodb-log-file-size=8M";

// The database and its user, made at every start.
const FIRST: &str = "CREATE DATABASE IF NOT EXISTS session;
CREATE USER IF NOT EXISTS session@'%' IDENTIFIED BY 'session';
GRANT ALL ON *.* TO session@'%';
";

/// A `MariaDB` server with one empty database and 200 connections.
#[derive(Debug)]
pub struct MariaDb(Server);

impl MariaDb {
    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with arguments of its own, such as `--max-connections=5`.
    pub async fn start_with(args: &[&str]) -> Self {
        let recipe = |port: u16, directory: &Path| recipe(port, directory, args);
        Self(Server::start("mariadbd", answers, recipe).await)
    }

    /// `mysql://session:session@127.0.0.1:port/session`.
    pub fn url(&self) -> String {
        format!("mysql://session:session@127.0.0.1:{}/session", self.port())
    }
}

impl Deref for MariaDb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

fn recipe(port: u16, directory: &Path, args: &[&str]) -> Recipe {
    let account = Account::for_server("mysql");
    if let Some(account) = account {
        account.own(directory);
    }
    let server = binary("mariadbd");
    let install = binary("mariadb-install-db");
    let data = directory.join("data");
    Template {
        name: "mariadb".to_owned(),
        account,
    }
    .copy_to(&data, |fresh| {
        let mut command = Command::new(install);
        command.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            LOG_SIZE,
        ]);
        command.arg(format!("--datadir={}", fresh.display()));
        command
    });
    let first = directory.join("first.sql");
    fs::write(&first, FIRST).expect("the directory is writable");
    let mut recipe = Recipe::new(server)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", directory.join("socket").display()))
        .arg(format!("--pid-file={}", directory.join("pid").display()))
        // A server that starts tidies its directory for temporary files, which is to be nobody
        // else's.
        .arg(format!("--tmpdir={}", directory.display()))
        .arg(format!("--init-file={}", first.display()))
        .arg(format!("--port={port}"))
        .args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--max-connections=200",
        ])
        .args([
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
            LOG_SIZE,
        ])
        .args(args.iter().copied());
    recipe.account = account;
    recipe
}

/// The server speaks first: a packet that begins with protocol version 10, or with 255 and what is
/// wrong.
fn answers(port: u16) -> io::Result<()> {
    let mut greeting = [0; 5];
    connect(port)?.read_exact(&mut greeting)?;
    expect(greeting[4] == 10, "no greeting")
}
