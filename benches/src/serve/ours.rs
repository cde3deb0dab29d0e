//! The program that uses this library.

use std::sync::Arc;

use actix_web::{App, HttpServer, get, post, rt};
use session_actix::{
    Session, SessionError, SessionMiddleware,
    session_core::{SecretKeys, Sessions, Settings},
};
use session_fs::FileStore;
use session_memcached::MemcachedStore;
use session_mongo::MongoStore;
use session_redis::RedisStore;

use super::{LIFETIME, PATIENCE, SECRET, WORKERS, announce};
use crate::{Result, record};

#[post("/fill")]
async fn fill(session: Session) -> Result<&'static str, SessionError> {
    for (key, text) in record::TEXTS {
        session.insert(key, text)?;
    }
    session.insert(record::FILLER, &record::filler())?;
    session.insert(record::CHANGED, &0_u64)?;
    if let Some(owner) = record::owner() {
        session.log_in(&owner)?;
    }
    Ok("filled")
}

#[get("/read")]
async fn read(session: Session) -> Result<String, SessionError> {
    Ok(session.get(record::READ)?.unwrap_or_default())
}

#[post("/change")]
async fn change(session: Session) -> Result<String, SessionError> {
    let visits = session.update(record::CHANGED, |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(visits.to_string())
}

#[get("/plain")]
async fn plain() -> &'static str {
    "plain"
}

pub(super) fn redis(url: &str) -> Result<()> {
    let store = RedisStore::connect(url)?.with_response_timeout(PATIENCE);
    serve(Sessions::new(settings()?, Arc::new(store))?)
}

pub(super) fn memcached(nodes: &str) -> Result<()> {
    let store = Arc::new(MemcachedStore::connect(nodes)?.with_timeout(PATIENCE));
    let builder = Sessions::builder(settings()?, store);
    serve(builder.without_owner_lists().build()?)
}

pub(super) fn sql(url: &str) -> Result<()> {
    let store = session_sql::connect(url)?;
    let migrated = store.clone();
    rt::System::new().block_on(async move { migrated.migrate().await })?;
    serve(Sessions::new(settings()?, store)?)
}

pub(super) fn mongo(url: &str) -> Result<()> {
    // The driver's tasks live as long as the runtime that the client was made on.
    rt::System::new().block_on(async {
        let store = MongoStore::connect(url).await?;
        run(Sessions::new(settings()?, Arc::new(store))?).await
    })
}

pub(super) fn files(directory: &str) -> Result<()> {
    let store = FileStore::open(directory)?;
    serve(Sessions::new(settings()?, Arc::new(store))?)
}

fn settings() -> Result<Settings> {
    Ok(Settings::new(SecretKeys::new(SECRET)?)
        .with_idle_timeout(LIFETIME)
        .with_store_timeout(PATIENCE))
}

fn serve(sessions: Sessions) -> Result<()> {
    rt::System::new().block_on(run(sessions))
}

async fn run(sessions: Sessions) -> Result<()> {
    let app = move || {
        App::new()
            .wrap(SessionMiddleware::new(sessions.clone()))
            .service((fill, read, change, plain))
    };
    let server = HttpServer::new(app).workers(WORKERS).bind("127.0.0.1:0")?;
    announce(server.addrs()[0]);
    Ok(server.run().await?)
}
