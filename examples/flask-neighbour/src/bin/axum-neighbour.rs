//! A third neighbour, in axum: the routes that a visitor needs to log in here, change something
//! there and log out anywhere. The README beside `app.py` says what it is for.

#[path = "../environment.rs"]
mod environment;

use std::{error::Error, io, process::ExitCode, time::Duration};

use axum::{Json, Router, extract::Query, routing::get};
use environment::{Environment, by_our_names};
use serde::Deserialize;
use serde_json::{Value, json};
use session_stores::{
    AppSessions,
    session_core::{Error as SessionError, Saved, config::Env},
};
use session_tower::{Layer, Session, SessionLayer, finish_saves, sigterm};
use tokio::net::TcpListener;

type Answer = Result<Json<Value>, SessionError>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum-neighbour: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let environment = Environment::read(&Env::of_process())?;
    tracing::info!(format = ?environment.format, "starts");
    let sessions = AppSessions::start(environment.settings, &environment.store).await;
    let sessions = sessions.map_err(|error| by_our_names(&error))?;
    let routes = Router::new()
        .route("/set", get(set))
        .route("/get", get(show_value))
        .route("/incr", get(increment))
        .route("/append", get(append))
        .route("/clear", get(clear))
        .route("/regenerate", get(regenerate))
        .route("/login", get(log_in))
        .route("/touch", get(done));
    let app = SessionLayer::new(sessions.sessions().clone()).layer(routes);
    let listener = TcpListener::bind(("127.0.0.1", environment.port)).await?;
    announce(listener.local_addr()?.port());
    axum::serve(listener, app)
        .with_graceful_shutdown(sigterm())
        .await?;
    finish_saves(Duration::from_secs(5)).await; // those of clients that hung up
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program says where it listens")]
fn announce(port: u16) {
    println!("READY {port}");
}

#[derive(Deserialize)]
struct Pair {
    k: String,
    #[serde(default)]
    v: String,
}

async fn set(session: Session, Query(pair): Query<Pair>) -> Answer {
    session.insert(&pair.k, &pair.v)?;
    Ok(done().await)
}

async fn show_value(session: Session, Query(asked): Query<Pair>) -> Answer {
    let value = session.get::<Value>(&asked.k)?;
    Ok(Json(json!({ "found": value.is_some(), "value": value })))
}

async fn increment(session: Session, Query(asked): Query<Pair>) -> Answer {
    session.increment(&asked.k)?;
    // What `increment` gives is provisional; after the save it is what is stored.
    save(&session).await?;
    Ok(Json(json!({ "value": session.get::<i64>(&asked.k)? })))
}

async fn append(session: Session, Query(pair): Query<Pair>) -> Answer {
    let added = pair.v;
    session.update(&pair.k, move |items: Option<Vec<String>>| {
        [items.unwrap_or_default(), vec![added.clone()]].concat()
    })?;
    save(&session).await?;
    Ok(Json(
        json!({ "value": session.get::<Vec<String>>(&pair.k)? }),
    ))
}

/// Saves at once. It is an error if another application has ended the session.
async fn save(session: &Session) -> Result<(), SessionError> {
    match session.save().await? {
        Saved::Ended => Err(SessionError::Conflict),
        Saved::Stored | Saved::Unchanged => Ok(()),
    }
}

async fn clear(session: Session) -> Json<Value> {
    session.clear();
    done().await
}

async fn regenerate(session: Session) -> Json<Value> {
    session.renew();
    done().await
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

async fn log_in(session: Session, Query(login): Query<Login>) -> Answer {
    session.renew();
    session.insert("user", &login.user)?;
    Ok(done().await)
}

async fn done() -> Json<Value> {
    Json(json!({ "ok": true }))
}
