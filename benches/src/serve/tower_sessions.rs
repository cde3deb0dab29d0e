//! The program that uses tower-sessions.

use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};
use tokio::net::TcpListener;
use tower_sessions::{
    Expiry, Session, SessionManagerLayer, SessionStore, cookie::time::Duration, session::Error,
};
use tower_sessions_redis_store::{
    RedisStore,
    fred::prelude::{ClientLike, Config, Pool},
};
use tower_sessions_sqlx_store::{
    PostgresStore, SqliteStore,
    sqlx::{
        Database,
        pool::PoolOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
    },
};

use super::{LIFETIME, announce, runtime};
use crate::{Result, record};

/// As many as in the example of its README.
const REDIS_CONNECTIONS: usize = 6;

async fn fill(session: Session) -> Result<&'static str, StatusCode> {
    for (key, text) in record::TEXTS {
        session.insert(key, text).await.map_err(failed)?;
    }
    session
        .insert(record::FILLER, record::filler())
        .await
        .map_err(failed)?;
    session
        .insert(record::CHANGED, 0_u64)
        .await
        .map_err(failed)?;
    Ok("filled")
}

async fn read(session: Session) -> Result<String, StatusCode> {
    let text = session.get(record::READ).await.map_err(failed)?;
    Ok(text.unwrap_or_default())
}

async fn change(session: Session) -> Result<String, StatusCode> {
    let visits: Option<u64> = session.get(record::CHANGED).await.map_err(failed)?;
    let visits = visits.unwrap_or(0) + 1;
    session
        .insert(record::CHANGED, visits)
        .await
        .map_err(failed)?;
    Ok(visits.to_string())
}

async fn plain() -> &'static str {
    "plain"
}

fn failed(_: Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

pub(super) fn redis(url: &str) -> Result<()> {
    runtime()?.block_on(async {
        let pool = Pool::new(Config::from_url(url)?, None, None, None, REDIS_CONNECTIONS)?;
        pool.connect();
        pool.wait_for_connect().await?;
        serve(RedisStore::new(pool)).await
    })
}

pub(super) fn postgres(url: &str) -> Result<()> {
    runtime()?.block_on(async {
        let store = PostgresStore::new(pool_options(10).connect(url).await?);
        store.migrate().await?;
        serve(store).await
    })
}

/// The file is kept as `session-sql` keeps it: the default waits for the disk at every change,
/// which would not be fair.
pub(super) fn sqlite(url: &str) -> Result<()> {
    runtime()?.block_on(async {
        let options = url
            .parse::<SqliteConnectOptions>()?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .pragma("cache_size", "-16384")
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "33554432");
        let store = SqliteStore::new(pool_options(4).connect_with(options).await?);
        store.migrate().await?;
        serve(store).await
    })
}

/// The settings of the pool that `session-sql` makes. With the defaults, which its README has, each
/// call pings its connection before it uses it.
fn pool_options<D: Database>(most: u32) -> PoolOptions<D> {
    PoolOptions::new()
        .max_connections(most)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn serve<S: SessionStore + Clone>(store: S) -> Result<()> {
    let lifetime = Duration::try_from(LIFETIME)?;
    let sessions = SessionManagerLayer::new(store).with_expiry(Expiry::OnInactivity(lifetime));
    let app = Router::new()
        .route("/fill", post(fill))
        .route("/read", get(read))
        .route("/change", post(change))
        .route("/plain", get(plain))
        .layer(sessions);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
