//! One record's life in Redis: `SESSION_REDIS=redis://127.0.0.1:6379 cargo run -p session-redis --example redis_store`

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
        return Err("a random key was taken".into());
    };
    // Two requests loaded the same session; only one of them changes it.
    let winner = store.update(&key, &record("two"), &first).await?;
    let loser = store.update(&key, &record("three"), &first).await?;
    assert!(winner.is_stored() && !loser.is_stored());

    let loaded = store.load(&key).await?.ok_or("the session ended")?;
    assert_eq!(loaded.bytes, "two");
    store.delete(&key).await?;
    assert!(store.load(&key).await?.is_none());
    Ok(())
}
