//! Inserts, updates, loads and deletes a record in memcached.
//!
//! `SESSION_MEMCACHED=127.0.0.1:11211 cargo run -p session-memcached --example memcached_store`

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use session_core::{KeyPrefix, Record, SessionId, SessionStore, Write};
use session_memcached::MemcachedStore;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let nodes = std::env::var("SESSION_MEMCACHED").unwrap_or_else(|_| "127.0.0.1:11211".into());
    let store = MemcachedStore::connect(&nodes)?;
    let key = KeyPrefix::default().hashed_key(&SessionId::random(SessionId::DEFAULT_BYTES));
    let record = |text: &str| Record {
        bytes: text.to_owned().into(),
        expires_at: SystemTime::now() + Duration::from_secs(30 * 60),
        entry: None,
    };

    let Write::Stored(first) = store.insert(&key, &record("a cart")).await? else {
        return Err("there is a record under a random key".into());
    };
    // Two requests loaded the same revision. Only the first update is stored; the second request
    // must load the record again.
    let Write::Stored(_) = store.update(&key, &record("a fuller cart"), &first).await? else {
        return Err("another request changed the record".into());
    };
    let refused = store.update(&key, &record("another cart"), &first).await?;
    assert_eq!(refused, Write::Refused);

    let loaded = store.load(&key).await?.ok_or("the record is missing")?;
    assert_eq!(loaded.bytes, "a fuller cart");

    store.delete(&key).await?;
    assert!(store.load(&key).await?.is_none());
    Ok(())
}
