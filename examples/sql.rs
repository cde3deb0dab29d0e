//! Sessions in SQLite, PostgreSQL, MySQL or MariaDB. `SESSION_SQL` is the URL.
//!
//! Run it as `login.rs` says, with `--example sql`.

use std::{error::Error, process, time::Duration};

use actix_web::{App, HttpServer, get, rt::time::sleep};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{Error as StoreError, Sessions, Settings, config::Env, sweep_every},
};

#[get("/")]
async fn count(session: Session) -> Result<String, SessionError> {
    // Runs again if another request changed the session meanwhile: no visit is lost.
    let visits = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(format!("visit {visits}"))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let env = Env::of_process();
    let settings = Settings::from_env(&env)?;
    // Which databases it knows is chosen by the features of session-sql; here it is SQLite.
    let store = session_sql::from_env(&env)?;
    let (table, pause) = (store.clone(), settings.sweep_pause());
    actix_web::rt::spawn(async move {
        // Makes the table. While the database is down, whoever asks for a session is answered with
        // a 503.
        while let Err(error) = table.migrate().await {
            eprintln!("there is no table yet: {error:?}");
            if matches!(error, StoreError::Unsuitable { .. }) {
                process::exit(1);
            }
            sleep(Duration::from_secs(1)).await;
        }
        sweep_every(table, pause).await;
    });
    let sessions = Sessions::new(settings, store)?;
    let app = move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            .service(count)
    };
    HttpServer::new(app).bind("127.0.0.1:8080")?.run().await?;
    Ok(())
}
