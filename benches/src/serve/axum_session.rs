//! The programs that use `axum_session`: as its README has it, where a session stays in the memory of
//! the process for an hour, and without this memory, so that processes can share their sessions.

use axum::{
    Router,
    routing::{get, post},
};
use axum_session::{Session, SessionConfig, SessionLayer, SessionStore};
use axum_session_redispool::SessionRedisPool;
use redis_pool::{RedisPool, SingleRedisPool};
use session_redis::redis::Client;
use time::Duration;
use tokio::net::TcpListener;

use super::{LIFETIME, announce, runtime};
use crate::{Result, record};

type Visit = Session<SessionRedisPool>;

async fn fill(session: Visit) -> &'static str {
    for (key, text) in record::TEXTS {
        session.set(key, text);
    }
    session.set(record::FILLER, record::filler());
    session.set(record::CHANGED, 0_u64);
    "filled"
}

async fn read(session: Visit) -> String {
    session.get(record::READ).unwrap_or_default()
}

async fn change(session: Visit) -> String {
    let visits = session.get::<u64>(record::CHANGED).unwrap_or(0) + 1;
    session.set(record::CHANGED, visits);
    visits.to_string()
}

pub(super) fn redis(url: &str) -> Result<()> {
    serve(url, SessionConfig::default())
}

pub(super) fn redis_shared(url: &str) -> Result<()> {
    let config = SessionConfig::default().with_memory_lifetime(Duration::ZERO);
    serve(url, config)
}

fn serve(url: &str, config: SessionConfig) -> Result<()> {
    runtime()?.block_on(async {
        let client = Client::open(url)?;
        let pool: SingleRedisPool = RedisPool::from(client);
        let config = config.with_lifetime(Duration::try_from(LIFETIME)?);
        let store = SessionStore::<SessionRedisPool>::new(Some(pool.into()), config).await?;
        let app = Router::new()
            .route("/fill", post(fill))
            .route("/read", get(read))
            .route("/change", post(change))
            .layer(SessionLayer::new(store));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?);
        Ok(axum::serve(listener, app).await?)
    })
}
