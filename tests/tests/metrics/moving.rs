//! Sessions that move from a Redis to a PostgreSQL: how many have moved is told, and that a store is away.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;
use session_core::{Finish, Moving, SecretKeys, SessionStore, Sessions, Settings};
use session_redis::RedisStore;
use session_sql::PostgresStore;
use session_tests::{Postgres, RedisServer};

use crate::{CALLS, MOVED, failures::KEY, page::Page};

/// One runtime thread, because the recorder is that of this thread.
#[tokio::test]
async fn a_move_and_the_outage_of_either_store_are_told() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let told = recorder.handle();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let page = || Page::read(&told.render());
    let (redis, postgres) = (RedisServer::start(&[]).await, Postgres::start().await);
    let old: Arc<dyn SessionStore> = Arc::new(RedisStore::connect(&redis.url()).unwrap());
    let new = PostgresStore::connect(&postgres.url()).unwrap();
    new.migrate().await.unwrap();
    let sessions = |store| {
        let settings = Settings::new(SecretKeys::new(KEY).unwrap());
        Sessions::new(settings, store).unwrap()
    };
    let mut cookies = Vec::new();
    for user in ["ada", "bob", "carol"] {
        let cookie = sessions(old.clone()).cookie_of(|it| it.log_in(user)).await;
        cookies.push(cookie.unwrap());
    }
    let both = sessions(Arc::new(Moving::new(Arc::new(new), old)));
    assert!(page().names().any(|it| it == MOVED), "{:?}", page());
    assert!(page().sum(MOVED, &[]).abs() < 0.5);

    for cookie in &cookies[..2] {
        change(&both, cookie).await.unwrap();
        change(&both, cookie).await.unwrap();
    }
    let moved = page().sum(MOVED, &[]);
    assert!((moved - 2.0).abs() < 0.5, "{moved}");

    let failed = || page().sum(CALLS, &["outcome=\"backend\""]);
    assert!(failed().abs() < 0.5);
    redis.kill();
    // It has moved, and needs the new store alone.
    change(&both, &cookies[0]).await.unwrap();
    assert!(change(&both, &cookies[2]).await.is_err());
    assert!(failed() > 0.5, "{:?}", page());
}

async fn change(sessions: &Sessions, cookie: &str) -> session_core::Result<()> {
    let request = sessions.begin_request();
    let session = request
        .session(&mut [cookie.as_bytes()].into_iter())
        .await?;
    session.increment("n")?;
    match request.finish() {
        Finish::Ready(_) => Ok(()),
        Finish::Pending(saving) => saving.await.map(drop),
    }
}
