//! The neighbour in Actix Web: the README beside it says what it is for, and `app.py` is the same
//! in Flask.

mod environment;
mod error;
mod routes;
mod sid;
mod state;
mod tagged;
mod typed;

use std::{error::Error, io, net::TcpListener, process::ExitCode};

use actix_server_sessions::{AppSessions, session_core::config::Env};
use actix_web::{App, HttpServer, middleware::from_fn, web};
use environment::{Environment, by_our_names};

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(io::stderr)
        .init();
    match actix_web::rt::System::new().block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flask-neighbour: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let environment = Environment::read(&Env::of_process())?;
    let format = environment.format;
    let sessions = AppSessions::start(environment.settings, &environment.store).await;
    let sessions = sessions.map_err(|error| by_our_names(&error))?;
    let listener = TcpListener::bind(("127.0.0.1", environment.port))
        .map_err(|error| format!("PORT {} cannot be used: {error}", environment.port))?;
    announce(listener.local_addr()?.port());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(format))
            .wrap(sessions.middleware())
            // Outside of the session: the id of a new one is chosen when it is saved.
            .wrap(from_fn(sid::show))
            .app_data(sid::CookieName::of(sessions.sessions()))
            .configure(routes::all)
    });
    // Whoever stops it has started two.
    Ok(server.shutdown_timeout(1).listen(listener)?.run().await?)
}

#[expect(clippy::print_stdout, reason = "a program says where it listens")]
fn announce(port: u16) {
    println!("READY {port}");
}
