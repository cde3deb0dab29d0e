//! The program that uses actix-session.

use actix_session::{
    Session, SessionGetError, SessionInsertError, SessionMiddleware, config::PersistentSession,
    storage::RedisSessionStore,
};
use actix_web::{
    App, Error, HttpServer,
    cookie::{Key, time},
    get, post, rt,
};

use super::{LIFETIME, SECRET, WORKERS, announce};
use crate::{Result, record};

#[post("/fill")]
async fn fill(session: Session) -> Result<&'static str, SessionInsertError> {
    for (key, text) in record::TEXTS {
        session.insert(key, text)?;
    }
    session.insert(record::FILLER, record::filler())?;
    session.insert(record::CHANGED, 0_u64)?;
    Ok("filled")
}

#[get("/read")]
async fn read(session: Session) -> Result<String, SessionGetError> {
    Ok(session.get(record::READ)?.unwrap_or_default())
}

#[post("/change")]
async fn change(session: Session) -> Result<String, Error> {
    let visits = session.get::<u64>(record::CHANGED)?.unwrap_or(0) + 1;
    session.insert(record::CHANGED, visits)?;
    Ok(visits.to_string())
}

#[get("/plain")]
async fn plain() -> &'static str {
    "plain"
}

/// As in its documentation: one connection, made before the workers are, and cloned for each.
pub(super) fn redis(url: &str) -> Result<()> {
    let lifetime = time::Duration::try_from(LIFETIME)?;
    rt::System::new().block_on(async move {
        let store = RedisSessionStore::new(url).await?;
        let app = move || {
            let lifecycle = PersistentSession::default().session_ttl(lifetime);
            let sessions = SessionMiddleware::builder(store.clone(), Key::from(SECRET.as_bytes()))
                .session_lifecycle(lifecycle)
                .build();
            App::new()
                .wrap(sessions)
                .service((fill, read, change, plain))
        };
        let server = HttpServer::new(app).workers(WORKERS).bind("127.0.0.1:0")?;
        announce(server.addrs()[0]);
        Ok(server.run().await?)
    })
}
