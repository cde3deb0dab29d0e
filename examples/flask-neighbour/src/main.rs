//! The neighbour in Actix Web: the README beside it says what it is for, and `app.py` is the same
//! in Flask.

mod environment;
mod error;
mod routes;
mod sid;
mod state;
mod stores;
mod tagged;
mod typed;

use std::{error::Error, io, net::TcpListener, process::ExitCode};

use actix_web::{App, HttpServer, middleware::from_fn, web};
use environment::Environment;
use session_actix::{
    SessionMiddleware,
    session_core::{Sessions, config::Env, sweep_every},
};

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
    let opened = stores::open(&environment).await?;
    if let Some(swept) = opened.swept {
        actix_web::rt::spawn(sweep_every(swept, environment.settings.sweep_pause()));
    }
    let format = environment.format;
    let builder = Sessions::builder(environment.settings, opened.store);
    let sessions = builder.without_owner_lists().build()?;
    let listener = TcpListener::bind(("127.0.0.1", environment.port))
        .map_err(|error| format!("PORT {} cannot be used: {error}", environment.port))?;
    announce(listener.local_addr()?.port());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(format))
            .wrap(SessionMiddleware::new(sessions.clone()))
            // Outside of the session: the id of a new one is chosen when it is saved.
            .wrap(from_fn(sid::show))
            .app_data(sid::CookieName::of(&sessions))
            .configure(routes::all)
    });
    // Whoever stops it has started two.
    Ok(server.shutdown_timeout(1).listen(listener)?.run().await?)
}

#[expect(clippy::print_stdout, reason = "a program says where it listens")]
fn announce(port: u16) {
    println!("READY {port}");
}
