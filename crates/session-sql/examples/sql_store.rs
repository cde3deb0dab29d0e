//! One record's life in a SQL database:
//! `SESSION_SQL=sqlite::memory: cargo run -p session-sql --features sqlite --example sql_store`

use std::time::{Duration, SystemTime};

use session_core::{KeyPrefix, Record, SessionId, Write, config::Env};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = session_sql::from_env(&Env::of_process())?;
    store.migrate().await?;

    let prefix = KeyPrefix::default();
    let key = prefix.hashed_key(&SessionId::random(32));
    let ada = prefix.owner_key("ada");
    let record = |payload: &str, seconds| Record {
        payload: payload.as_bytes().to_vec(),
        expires_at: SystemTime::now() + Duration::from_secs(seconds),
        owner: Some(ada.clone()),
    };

    let Write::Stored(first) = store.insert(&key, &record("one", 60)).await? else {
        return Err("a random key was taken".into());
    };
    // Two requests loaded the same session; only one of them changes it.
    let winner = store.update(&key, &record("two", 60), &first).await?;
    let loser = store.update(&key, &record("three", 60), &first).await?;
    assert!(winner.is_stored() && !loser.is_stored());

    let owned = store.owned_by(&ada).await?;
    assert!(
        owned
            .iter()
            .any(|(owned, loaded)| *owned == key && loaded.payload == b"two")
    );

    // An expired record is absent at once; a sweep makes room.
    let _ = store.touch(&key, SystemTime::now()).await?;
    assert!(store.load(&key).await?.is_none());
    assert!(store.sweep(1000).await? >= 1);
    Ok(())
}
