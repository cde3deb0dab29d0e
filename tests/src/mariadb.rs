//! A `MariaDB` server.

use std::fs;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::MySqlConnection;

use crate::account::Account;
use crate::binary::{optional_server_program, server_program};
use crate::certificates::Certificates;
use crate::given;
use crate::own_database::OwnDatabase;
use crate::process::Recipe;
use crate::server::Server;
use crate::template::Template;
use crate::wire::{connect, expect};

/// What only one of the two has.
const MARIADB: &[&str] = &["--innodb-log-file-size=8M"];
const MYSQL: &[&str] = &["--mysqlx=OFF", "--skip-log-bin", "--secure-file-priv=NULL"];

// The database, its user, and a root that may come by TCP, made at every start.
const FIRST: &str = "CREATE DATABASE IF NOT EXISTS session;
CREATE USER IF NOT EXISTS session@'%' IDENTIFIED BY 'session';
GRANT ALL ON *.* TO session@'%';
CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
";

/// A `MariaDB` server with one empty database and 200 connections.
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    /// On a server that runs already.
    own: Option<OwnDatabase<MySqlConnection>>,
}

impl MariaDb {
    /// Starts one. With docker compose, or where `SESSION_TEST_MYSQL_URL` names a `MariaDB` or a
    /// `MySQL`, it is a database of its own there.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with arguments of its own, such as `--max-connections=5`.
    pub async fn start_with(args: &[&str]) -> Self {
        given::without_settings(args);
        let service = "mysql://session:session@127.0.0.1:31306/session";
        if let Some(url) = given::address("SESSION_TEST_MYSQL_URL", service) {
            let server = Server::attach("mariadbd", given::port(&url), answers).await;
            let own = Some(OwnDatabase::create("mysql", &url));
            return Self { server, own };
        }
        let recipe = |port: u16, directory: &Path| recipe(port, directory, args);
        Self {
            server: Server::start("mariadbd", answers, recipe).await,
            own: None,
        }
    }

    /// Starts one that offers TLS with this certificate.
    pub async fn start_with_tls(certificates: &Certificates) -> Self {
        given::needs_its_own("TLS");
        let recipe = |port: u16, directory: &Path| {
            let account = Account::for_server("mysql");
            let [certificate, key] = certificates.give_to(directory, account);
            let args = [
                format!("--ssl-cert={certificate}"),
                format!("--ssl-key={key}"),
            ];
            recipe(port, directory, &args.each_ref().map(String::as_str))
        };
        Self {
            server: Server::start("mariadbd", answers, recipe).await,
            own: None,
        }
    }

    /// The server's Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.directory().join("socket")
    }

    /// Whether `start` starts a `MySQL`, which is so where a folder of programs has no `MariaDB`.
    pub fn starts_mysql() -> bool {
        optional_server_program("mariadbd").is_none()
    }

    /// `mysql://session:session@127.0.0.1:port/session`.
    pub fn url(&self) -> String {
        self.own.as_ref().map_or_else(
            || format!("mysql://session:session@127.0.0.1:{}/session", self.port()),
            OwnDatabase::url,
        )
    }
}

impl Deref for MariaDb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Where the programs are in a folder, a `MySQL` is started if it has that.
///
/// Each server, and each program that creates a data directory, has a directory of its own for
/// temporary files: at its start it removes those of others, too.
pub(crate) fn recipe(port: u16, directory: &Path, args: &[&str]) -> Recipe {
    let account = Account::for_server("mysql");
    if let Some(account) = account {
        account.own(directory);
    }
    let server = optional_server_program("mariadbd");
    let (server, install) = if let Some(server) = server {
        let install = server_program("mariadb-install-db");
        (server, install_mariadb(&install))
    } else {
        let server = server_program("mysqld");
        let install = install_mysql(&server);
        (server, install)
    };
    let base = server.ancestors().nth(2).expect("it lies in usr/sbin");
    let data = directory.join("data");
    Template {
        name: template_name(&server),
        account,
    }
    .copy_to(&data, |fresh| {
        let mut command = install;
        command.arg(format!("--basedir={}", base.display()));
        command.arg(format!("--datadir={}", fresh.display()));
        let directory = fresh.parent().expect("it is in a directory of its own");
        command.arg(format!("--tmpdir={}", directory.display()));
        command
    });
    // A MySQL does not replicate from a server that has the same identity.
    drop(fs::remove_file(data.join("auto.cnf")));
    let first = directory.join("first.sql");
    fs::write(&first, FIRST).expect("the directory is writable");
    let mut recipe = Recipe::new(server.clone())
        .arg("--no-defaults")
        .arg(format!("--basedir={}", base.display()))
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", directory.join("socket").display()))
        .arg(format!("--pid-file={}", directory.join("pid").display()))
        .arg(format!("--tmpdir={}", directory.display()))
        .arg(format!("--init-file={}", first.display()))
        .arg(format!("--port={port}"))
        .args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--max-connections=200",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
        ])
        .args(if is_mysql(&server) { MYSQL } else { MARIADB })
        .args(args.iter().copied());
    recipe.account = account;
    recipe
}

fn is_mysql(server: &Path) -> bool {
    server.ends_with("mysqld")
}

/// The directory of one version is nothing for another.
fn template_name(server: &Path) -> String {
    let output = Command::new(server).arg("--version").output();
    let text = output
        .unwrap_or_else(|error| panic!("{}: {error}", server.display()))
        .stdout;
    let text = String::from_utf8_lossy(&text);
    let version = text
        .split_whitespace()
        .skip_while(|word| *word != "Ver")
        .nth(1);
    let version = version.unwrap_or_else(|| panic!("no version in {text:?}"));
    let kind = if is_mysql(server) { "mysql" } else { "mariadb" };
    format!("{kind}-{version}")
}

fn install_mariadb(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args([
        "--no-defaults",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--innodb-log-file-size=8M",
    ]);
    command
}

fn install_mysql(server: &Path) -> Command {
    let mut command = Command::new(server);
    command.args(["--no-defaults", "--initialize-insecure"]);
    command
}

/// The server speaks first: a packet that begins with protocol version 10, or with 255 and what is
/// wrong.
pub(crate) fn answers(port: u16) -> io::Result<()> {
    let mut greeting = [0; 5];
    connect(port)?.read_exact(&mut greeting)?;
    expect(greeting[4] == 10, "no greeting")
}
