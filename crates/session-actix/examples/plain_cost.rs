//! What the middleware costs a route that does not use the session, in paired throughput.
//!
//! `cargo run --release -p session-actix --example plain_cost` serves the same route with and without the middleware,
//! one worker each, and asks both in turn with a session cookie. It prints the ratio of each pair and the median.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{App, HttpServer, middleware::Condition, web};
use session_actix::{
    SessionMiddleware,
    session_core::{MemoryStore, SecretKeys, Sessions, Settings},
};

const PAIRS: usize = 21;
const ROUND: Duration = Duration::from_millis(400);
const PIPELINED: usize = 16;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = SecretKeys::new("Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP")?;
    let sessions = Sessions::new(Settings::new(keys), Arc::new(MemoryStore::new()))?;
    let with = serve(sessions.clone(), true)?;
    let without = serve(sessions, false)?;
    let ratios = web::block(move || -> std::io::Result<Vec<f64>> {
        let (mut with, mut without) = (TcpStream::connect(with)?, TcpStream::connect(without)?);
        (0..PAIRS)
            .map(|pair| {
                // Who begins changes, so that a drift of the machine favours neither.
                if pair % 2 == 0 {
                    Ok(1.0 / throughput(&mut without)? * throughput(&mut with)?)
                } else {
                    Ok(throughput(&mut with)? / throughput(&mut without)?)
                }
            })
            .collect()
    })
    .await??;
    report(ratios);
    Ok(())
}

fn serve(sessions: Sessions, with: bool) -> std::io::Result<SocketAddr> {
    let server = HttpServer::new(move || {
        App::new()
            .wrap(Condition::new(
                with,
                SessionMiddleware::new(sessions.clone()),
            ))
            .route("/plain", web::get().to(|| async { "ok" }))
    })
    .workers(1)
    .bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    Ok(address)
}

/// Requests per second over one connection, several at a time.
fn throughput(connection: &mut TcpStream) -> std::io::Result<f64> {
    let id = "a".repeat(43);
    let request = format!(
        "GET /plain HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-session={id}.{id}\r\n\r\n"
    );
    let batch = request.repeat(PIPELINED);
    let mut buffer = [0; 16 * 1024];
    let (mut answered, start) = (0.0, Instant::now());
    while start.elapsed() < ROUND {
        connection.write_all(batch.as_bytes())?;
        let mut seen = 0;
        while seen < PIPELINED {
            let read = connection.read(&mut buffer)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            seen += buffer[..read]
                .windows(6)
                .filter(|window| window == b"\r\n\r\nok")
                .count();
        }
        answered += f64::from(u32::try_from(seen).expect("a small batch"));
    }
    Ok(answered / start.elapsed().as_secs_f64())
}

#[expect(clippy::print_stdout, reason = "a measurement says what it measured")]
fn report(mut ratios: Vec<f64>) {
    ratios.sort_by(f64::total_cmp);
    println!(
        "with / without the middleware, requests per second: median {:.3}",
        ratios[PAIRS / 2]
    );
    println!("pairs: {ratios:.3?}");
}
