//! The store by itself: `cargo run -p session-memcached --example memcached_store`, with a memcached on its usual port.

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
        expires_at: SystemTime::now() + Duration::from_mins(30),
        entry: None,
    };

    let Write::Stored(first) = store.insert(&key, &record("a cart")).await? else {
        return Err("random keys do not collide".into());
    };
    // Two requests loaded the same revision: one of them must load again.
    let Write::Stored(_) = store.update(&key, &record("a fuller cart"), &first).await? else {
        return Err("nobody else changed the record".into());
    };
    let late = store.update(&key, &record("another cart"), &first).await?;
    assert_eq!(late, Write::Refused);

    let loaded = store.load(&key).await?.ok_or("the record is there")?;
    assert_eq!(loaded.bytes, "a fuller cart");

    store.delete(&key).await?;
    assert!(store.load(&key).await?.is_none());
    Ok(())
}
