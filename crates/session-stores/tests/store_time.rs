//! How long the drivers of Redis and memcached wait for a server that is frozen, by the store time.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use session_stores::{
    StoreType,
    session_core::{SecretKeys, SessionStore, Settings, StoreKey, config::Env},
};
use session_tests::{Memcached, RedisServer, Server};

const KEY: &str = "correct-horse-battery-staple-41-bottles";

/// How long a call waits: for an answer, or, if the store has no connection yet, for one.
async fn waited(server: &Server, env: &Env, store_time: Duration, is_connected: bool) -> Duration {
    let settings = Settings::new(SecretKeys::new(KEY).unwrap()).with_store_timeout(store_time);
    let opened = StoreType::of(env).unwrap().open(&settings, env).await;
    let store: Arc<dyn SessionStore> = opened.unwrap().store;
    let key = StoreKey::from_stored("session:a");
    if is_connected {
        while store.load(&key).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    server.freeze();
    let begin = Instant::now();
    let loaded = store.load(&key).await;
    let took = begin.elapsed();
    server.thaw();
    loaded.unwrap_err();
    took
}

async fn waits_for(store_time: Duration, expected: Duration) {
    let redis = RedisServer::start(&[]).await;
    let memcached = Memcached::start(&[]).await;
    let (url, node) = (redis.url(), memcached.addr());
    let of = |store_type, setting, address| {
        Env::from_iter([("SESSION_TYPE", store_type), (setting, address)])
    };
    let servers: [(&Server, Env); 2] = [
        (&redis, of("redis", "SESSION_REDIS", &*url)),
        (&memcached, of("memcached", "SESSION_MEMCACHED", &*node)),
    ];
    for (server, env) in &servers {
        for is_connected in [true, false] {
            let mut tries = 0;
            loop {
                let took = waited(server, env, store_time, is_connected).await;
                assert!(
                    took >= expected,
                    "{env:?}, connected: {is_connected}: {took:?}"
                );
                // A busy machine may have been late.
                if took < expected * 2 {
                    break;
                }
                tries += 1;
                assert!(tries < 5, "{env:?}, connected: {is_connected}: {took:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_waits_for_half_of_a_long_store_time() {
    waits_for(Duration::from_secs(3), Duration::from_millis(1500)).await;
}

#[tokio::test]
async fn a_short_store_time_makes_no_call_give_up_sooner() {
    waits_for(Duration::from_millis(100), Duration::from_millis(500)).await;
}
