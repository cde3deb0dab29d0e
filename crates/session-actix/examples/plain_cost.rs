//! What the middleware costs a route that does not use the session, in instructions per request.
//!
//! `cargo run --release -p session-actix --example plain_cost` needs `valgrind`. It serves the same route with and
//! without the middleware, under callgrind, and asks with a session cookie. Instructions and not seconds, because they
//! are the same on a busy machine.

use std::{
    error::Error,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::Arc,
};

use actix_web::{App, HttpServer, middleware::Condition, web};
use session_actix::{
    SessionMiddleware,
    session_core::{MemoryStore, SecretKeys, Sessions, Settings},
};

const FEW: u32 = 1000;
const MANY: u32 = 5000;
const REQUEST: &[u8] = b"GET /plain HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-session=\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n\r\n";

#[expect(clippy::print_stdout, reason = "a measurement says what it measured")]
fn main() -> Result<(), Box<dyn Error>> {
    if let Some(wrapped) = std::env::args().nth(1) {
        return Ok(serve(wrapped == "with")?);
    }
    let without = per_request("without")?;
    let with = per_request("with")?;
    println!("without the middleware {without:.0} instructions a request");
    println!("with it                {with:.0}");
    println!("ratio                  {:.3}", with / without);
    Ok(())
}

/// The difference between many requests and few, so that starting and stopping do not count.
fn per_request(wrapped: &str) -> Result<f64, Box<dyn Error>> {
    let few = instructions(wrapped, FEW)?;
    let many = instructions(wrapped, MANY)?;
    Ok((many - few) / f64::from(MANY - FEW))
}

fn instructions(wrapped: &str, requests: u32) -> Result<f64, Box<dyn Error>> {
    let mut server = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .arg(wrapped)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("valgrind cannot be started, install it: {error}"))?;
    let mut address = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    ask(address.trim(), requests)?;
    drop(server.stdin.take());
    let output = server.wait_with_output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .ok_or("callgrind says nothing")?;
    Ok(collected.1.trim().parse()?)
}

fn ask(address: &str, requests: u32) -> std::io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    let mut buffer = [0; 4096];
    for _ in 0..requests {
        connection.write_all(REQUEST)?;
        let read = connection.read(&mut buffer)?;
        assert!(
            buffer[..read].ends_with(b"\r\n\r\nok"),
            "an answer in one piece"
        );
    }
    Ok(())
}

/// Serves until standard input ends.
#[actix_web::main]
async fn serve(wrapped: bool) -> std::io::Result<()> {
    let keys = SecretKeys::new("Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP").expect("a strong key");
    let sessions = Sessions::new(Settings::new(keys), Arc::new(MemoryStore::new()))
        .expect("settings that break no rule");
    let server = HttpServer::new(move || {
        App::new()
            .wrap(Condition::new(
                wrapped,
                SessionMiddleware::new(sessions.clone()),
            ))
            .route("/plain", web::get().to(|| async { "ok" }))
    })
    .workers(1)
    .bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(async move {
        let _ended = web::block(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
        handle.stop(false).await;
    });
    let mut output = std::io::stdout();
    writeln!(output, "{address}")?;
    running.await
}
