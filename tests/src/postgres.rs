//! A `PostgreSQL` server.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use sqlx::PgConnection;

use crate::account::Account;
use crate::binary::server_program;
use crate::certificates::Certificates;
use crate::given;
use crate::own_database::OwnDatabase;
use crate::process::Recipe;
use crate::server::Server;
use crate::template::Template;
use crate::wire::{connect, expect};

/// A `PostgreSQL` server with one empty database and 200 connections; it trusts everybody.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    /// On a server that runs already.
    own: Option<OwnDatabase<PgConnection>>,
}

impl Postgres {
    /// Starts one. With docker compose, or where `SESSION_TEST_POSTGRES_URL` names a server, it is a
    /// database of its own there.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with settings of its own, such as `max_connections=5`.
    pub async fn start_with(settings: &[&str]) -> Self {
        given::without_settings(settings);
        let service = "postgres://session:session@127.0.0.1:31432/session";
        if let Some(url) = given::address("SESSION_TEST_POSTGRES_URL", service) {
            let server = Server::attach("postgres", given::port(&url), accepts).await;
            let own = Some(OwnDatabase::create("postgres", &url));
            return Self { server, own };
        }
        let recipe = |port: u16, directory: &Path| recipe(port, directory, settings);
        Self {
            server: Server::start("postgres", answers, recipe).await,
            own: None,
        }
    }

    /// Starts one that offers TLS, and listens on a Unix socket in its directory, too.
    pub async fn start_with_tls(certificates: &Certificates) -> Self {
        given::needs_its_own("TLS");
        let recipe = |port: u16, directory: &Path| {
            let account = Account::for_server("postgres");
            let [certificate, key] = certificates.give_to(directory, account);
            let settings = [
                "ssl=on".to_owned(),
                format!("ssl_cert_file={certificate}"),
                format!("ssl_key_file={key}"),
                format!("unix_socket_directories={}", directory.display()),
            ];
            recipe(port, directory, &settings.each_ref().map(String::as_str))
        };
        Self {
            server: Server::start("postgres", answers, recipe).await,
            own: None,
        }
    }

    /// `postgres://postgres@127.0.0.1:port/postgres`.
    pub fn url(&self) -> String {
        self.own.as_ref().map_or_else(
            || format!("postgres://postgres@127.0.0.1:{}/postgres", self.port()),
            OwnDatabase::url,
        )
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

pub(crate) fn recipe(port: u16, directory: &Path, settings: &[&str]) -> Recipe {
    let account = Account::for_server("postgres");
    if let Some(account) = account {
        account.own(directory);
    }
    let server = server_program("postgres");
    let initdb = server_program("initdb");
    let data = directory.join("data");
    // Debian's path names the version; what is called may be a link to it.
    let real = server
        .canonicalize()
        .unwrap_or_else(|error| panic!("{}: {error}", server.display()));
    let version = real
        .ancestors()
        .nth(2)
        .and_then(Path::file_name)
        .unwrap_or_default();
    let name = format!("postgres-{}", version.to_string_lossy());
    Template { name, account }.copy_to(&data, |fresh| {
        let mut command = Command::new(initdb);
        command.arg("-D").arg(fresh).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        command.arg("--wal-segsize=1");
        command
    });
    let given = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "shared_buffers=16MB",
        "max_connections=200",
    ];
    let mut recipe = Recipe::new(server)
        .arg("-D")
        .arg(data)
        .args(["-p", &port.to_string()]);
    for setting in given.iter().chain(settings) {
        recipe = recipe.args(["-c", setting]);
    }
    recipe.account = account;
    // Killed, it would leave a shared memory segment in the system.
    recipe.farewell = Some(Signal::QUIT);
    recipe
}

/// A running server's users are not known here: whether it has TLS is what it tells everybody.
fn accepts(port: u16) -> io::Result<()> {
    let mut stream = connect(port)?;
    stream.write_all(&packet(&80_877_103_u32.to_be_bytes()))?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    expect(b"SN".contains(&answer[0]), "no PostgreSQL")
}

pub(crate) fn answers(port: u16) -> io::Result<()> {
    query(&mut log_in(port)?, "SELECT 1")
}

/// Makes the account and the database that docker-compose.yml names, unless they are there.
pub(crate) fn make_account(port: u16) -> io::Result<()> {
    let mut stream = log_in(port)?;
    for sql in [
        "CREATE ROLE session SUPERUSER LOGIN PASSWORD 'session'",
        "CREATE DATABASE session OWNER session",
    ] {
        match query(&mut stream, sql) {
            Err(error) if error.to_string().contains("already exists") => {
                until_ready(&mut stream)?;
            }
            result => result?,
        }
    }
    Ok(())
}

fn log_in(port: u16) -> io::Result<TcpStream> {
    let mut stream = connect(port)?;
    let mut startup = vec![0, 3, 0, 0];
    startup.extend(b"user\0postgres\0database\0postgres\0\0");
    stream.write_all(&packet(&startup))?;
    until_ready(&mut stream)?;
    Ok(stream)
}

fn query(stream: &mut TcpStream, sql: &str) -> io::Result<()> {
    stream.write_all(b"Q")?;
    stream.write_all(&packet(format!("{sql}\0").as_bytes()))?;
    until_ready(stream)
}

/// The length, which counts itself, and the body.
fn packet(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [&length.to_be_bytes(), body].concat()
}

fn until_ready(stream: &mut impl Read) -> io::Result<()> {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).saturating_sub(4);
        let mut body = vec![0; length as usize];
        stream.read_exact(&mut body)?;
        expect(head[0] != b'E', &String::from_utf8_lossy(&body))?;
        if head[0] == b'Z' {
            return Ok(());
        }
    }
}
