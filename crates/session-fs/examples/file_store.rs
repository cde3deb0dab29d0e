//! The store without a web framework: what each method returns.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use session_core::{ExpiredSweep as _, KeyPrefix, Record, SessionId, SessionStore as _, Write};
use session_fs::FileStore;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = FileStore::open(std::env::temp_dir().join("session-fs-example"))?;
    println!("sessions are in {}", store.directory().display());

    // The browser keeps the id; the store sees a digest of it.
    let id = SessionId::random(SessionId::DEFAULT_BYTES);
    let key = KeyPrefix::default().hashed_key(&id);
    let record = |bytes: &'static str, seconds| Record {
        bytes: bytes.into(),
        expires_at: SystemTime::now() + Duration::from_secs(seconds),
        entry: None,
    };
    let inserted = store.insert(&key, &record("one", 60)).await?;
    println!("inserted: {}", inserted.is_stored());

    let Some(loaded) = store.load(&key).await? else {
        return Err("the record has just been inserted".into());
    };
    let (two, three) = (record("two", 60), record("three", 60));
    let first = store.update(&key, &two, &loaded.revision).await?;
    println!("updated: {}", first.is_stored());

    // Another request loaded the same bytes. Its update is refused.
    let late = store.update(&key, &three, &loaded.revision).await?;
    println!("late update refused: {}", late == Write::Refused);

    let Write::Stored(revision) = first else {
        return Err("no other request changes the record".into());
    };
    let expired = store.update(&key, &record("expired", 0), &revision).await?;
    println!(
        "expired: {}; swept: {}",
        expired.is_stored(),
        store.sweep(100).await?.removed
    );
    Ok(())
}
