//! Stores, updates, lists and deletes a record in `MongoDB`.
//!
//! Run it with:
//! `SESSION_MONGODB=mongodb://127.0.0.1:27017 cargo run -p session-mongo --example mongo_store`

use std::time::{Duration, SystemTime};

use session_core::{
    IndexEntry, KeyPrefix, OwnerIndex, Record, SessionId, SessionStore, Write, config::Env,
};
use session_mongo::MongoStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = MongoStore::from_env(&Env::of_process()).await?;
    store.ensure_indexes().await?;

    let prefix = KeyPrefix::default();
    let (key, ada) = (
        prefix.hashed_key(&SessionId::random(32)),
        prefix.owner_key("ada"),
    );
    let until = SystemTime::now() + Duration::from_secs(60);
    let record = |bytes: &'static str| Record {
        bytes: bytes.into(),
        expires_at: until,
        entry: Some(IndexEntry {
            provider_session: None,
            owner: ada.clone(),
            expires_at: until,
        }),
    };
    let Write::Stored(first) = store.insert(&key, &record("one")).await? else {
        return Err("the random key exists already".into());
    };
    // Two requests loaded the same session. Only the first update succeeds.
    let first_update = store.update(&key, &record("two"), &first).await?;
    let second_update = store.update(&key, &record("three"), &first).await?;
    assert!(first_update.is_stored() && !second_update.is_stored());

    let page = store.owned_by(&ada, None, 10).await?;
    let listed = page.records.iter().find(|listed| listed.key == key);
    assert!(listed.is_some_and(|listed| listed.head == "two"));
    store.delete(&key).await?;
    assert!(store.load(&key).await?.is_none());
    Ok(())
}
