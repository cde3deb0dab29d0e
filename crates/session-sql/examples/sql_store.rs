//! Inserts, updates, lists and removes one record in a SQL database.
//!
//! `SESSION_SQL=sqlite::memory: cargo run -p session-sql --features sqlite --example sql_store`

use std::time::{Duration, SystemTime};

use session_core::{IndexEntry, KeyPrefix, Record, SessionId, Write, config::Env};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = session_sql::from_env(&Env::of_process())?;
    store.migrate().await?;

    let prefix = KeyPrefix::default();
    let key = prefix.hashed_key(&SessionId::random(32));
    let ada = prefix.owner_key("ada");
    let record = |text: &'static str, seconds| Record {
        bytes: text.into(),
        expires_at: SystemTime::now() + Duration::from_secs(seconds),
        entry: Some(IndexEntry {
            provider_session: None,
            owner: ada.clone(),
            expires_at: SystemTime::now() + Duration::from_secs(seconds),
        }),
    };

    let Write::Stored(first) = store.insert(&key, &record("one", 60)).await? else {
        return Err("the random key exists".into());
    };
    // Two requests loaded the same session. Only the first update is stored.
    let first_update = store.update(&key, &record("two", 60), &first).await?;
    let second_update = store.update(&key, &record("three", 60), &first).await?;
    assert!(first_update.is_stored() && !second_update.is_stored());

    let page = store.owned_by(&ada, None, 10).await?;
    let listed = page.records.iter().find(|listed| listed.key == key);
    assert!(listed.is_some_and(|listed| listed.head == "two"));

    // An expired record exists until a sweep removes it.
    let loaded = store.load(&key).await?.ok_or("the record is missing")?;
    let expired = store
        .update(&key, &record("expired", 0), &loaded.revision)
        .await?;
    assert!(expired.is_stored());
    assert!(store.sweep(1000).await?.removed >= 1);
    assert!(store.load(&key).await?.is_none());
    Ok(())
}
