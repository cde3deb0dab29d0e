//! Inserts, updates, loads and deletes a record in Redis.
//!
//! `SESSION_REDIS=redis://127.0.0.1:6379 cargo run -p session-redis --example redis_store`

use std::time::{Duration, SystemTime};

use session_core::{KeyPrefix, Record, SessionId, SessionStore, Write, config::Env};
use session_redis::RedisStore;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = RedisStore::from_env(&Env::of_process())?;
    let key = KeyPrefix::default().hashed_key(&SessionId::random(32));
    let record = |text: &str| Record {
        bytes: text.to_owned().into(),
        expires_at: SystemTime::now() + Duration::from_secs(60),
        entry: None,
    };

    let Write::Stored(first) = store.insert(&key, &record("one")).await? else {
        return Err("there is a record under a random key".into());
    };
    // Two requests loaded the same revision. Only the first update is stored; the second request
    // must load the record again.
    let stored = store.update(&key, &record("two"), &first).await?;
    let refused = store.update(&key, &record("three"), &first).await?;
    assert!(stored.is_stored() && !refused.is_stored());

    let loaded = store.load(&key).await?.ok_or("the record is missing")?;
    assert_eq!(loaded.bytes, "two");
    store.delete(&key).await?;
    assert!(store.load(&key).await?.is_none());
    Ok(())
}
