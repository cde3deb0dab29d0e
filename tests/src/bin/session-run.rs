//! A log-in and a counter by `run` alone, with no log of its own. It listens on `ADDR`.

use std::env;

use actix_server_sessions::{RunError, Session, SessionError, run, web};

async fn home(session: Session) -> Result<String, SessionError> {
    let visits = session.increment("visits")?;
    let user = session.owner();
    let user = user.as_deref().unwrap_or("stranger");
    Ok(format!("hello {user}, visit {visits}"))
}

async fn log_in(session: Session, user: web::Path<String>) -> Result<&'static str, SessionError> {
    session.log_in(&user)?;
    Ok("welcome")
}

fn main() -> Result<(), RunError> {
    let address = env::var("ADDR").unwrap_or("127.0.0.1:8080".into());
    run(&address, |app| {
        app.route("/", web::get().to(home))
            .route("/login/{user}", web::post().to(log_in))
    })
}
