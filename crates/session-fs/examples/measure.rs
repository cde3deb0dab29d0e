//! Measures loads, saves, sweeps and lists, in a small directory and in a large one.
//!
//! `cargo run --release -p session-fs --example measure -- DIRECTORY [SESSIONS]` first lets one
//! user log in and out 100,000 times. Then it stores SESSIONS sessions (default: a million) in
//! DIRECTORY and leaves them there.
#![allow(clippy::print_stdout, reason = "the figures are the result")]

use std::{
    error::Error,
    time::{Duration, Instant, SystemTime},
};

use session_core::{
    ExpiredSweep as _, IndexEntry, KeyPrefix, OwnerIndex as _, OwnerKey, Record, SessionId,
    SessionStore as _, StoreKey, Write,
};
use session_fs::FileStore;
use tokio::task::JoinSet;

const SMALL: usize = 1000;
const SAMPLES: usize = 5000;
const EXPIRED: usize = 10_000;
const WRITERS: usize = 8;
const LOG_INS: usize = 100_000;
/// How long ended sessions stay in the list. Long enough for all log-ins and log-outs on a slow
/// disk.
const TOMBSTONES: Duration = Duration::from_secs(3 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .ok_or("pass a directory that does not exist yet")?;
    let sessions = arguments
        .next()
        .map_or(Ok(1_000_000), |number| number.parse())?;
    let store = FileStore::open(directory)?;

    devices(&store).await?;
    let mut keys = insert(&store, SMALL, Duration::from_secs(24 * 3600)).await?;
    requests(&store, &keys, "").await?;
    sweep(&store, &keys).await?;
    let started = Instant::now();
    keys.extend(insert(&store, sessions - SMALL, Duration::from_secs(24 * 3600)).await?);
    println!("{} inserted in {:.1?}", sessions - SMALL, started.elapsed());
    requests(&store, &keys, "").await?;
    sweep(&store, &keys).await?;

    insert(&store, EXPIRED, Duration::ZERO).await?;
    let (mut batches, mut removed) = (Vec::new(), 0);
    loop {
        let started = Instant::now();
        let batch = store.sweep(500).await?;
        removed += batch.removed;
        if batch.is_done {
            break;
        }
        batches.push(started.elapsed());
    }
    println!(
        "{removed} expired swept; a batch of 500: {}",
        spread(&mut batches)
    );
    Ok(())
}

async fn insert(
    store: &FileStore,
    count: usize,
    life: Duration,
) -> Result<Vec<StoreKey>, Box<dyn Error>> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let share = count / WRITERS + usize::from(writer < count % WRITERS);
        let store = store.clone();
        writers.spawn(async move {
            let mut keys = Vec::with_capacity(share);
            for _ in 0..share {
                let id = SessionId::random(SessionId::DEFAULT_BYTES);
                let key = KeyPrefix::default().hashed_key(&id);
                let inserted = store
                    .insert(&key, &record(SystemTime::now() + life))
                    .await?;
                assert!(inserted.is_stored(), "a random key was taken");
                keys.push(key);
            }
            Ok::<_, session_core::Error>(keys)
        });
    }
    let mut keys = Vec::with_capacity(count);
    while let Some(share) = writers.join_next().await {
        keys.extend(share??);
    }
    Ok(keys)
}

/// A record of 300 bytes, the size of a typical session.
fn record(expires_at: SystemTime) -> Record {
    Record {
        bytes: vec![b'x'; 300].into(),
        expires_at,
        entry: None,
    }
}

/// Measures the list of a user who logs in and out again and again.
async fn devices(store: &FileStore) -> Result<(), Box<dyn Error>> {
    let owner = KeyPrefix::default().owner_key("ada");
    let started = Instant::now();
    let until = SystemTime::now() + TOMBSTONES;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, owner) = (store.clone(), owner.clone());
        writers.spawn(async move {
            for _ in 0..LOG_INS / WRITERS {
                let key =
                    KeyPrefix::default().hashed_key(&SessionId::random(SessionId::DEFAULT_BYTES));
                let session = owned(&owner, SystemTime::now() + Duration::from_secs(24 * 3600));
                if let Write::Stored(revision) = store.insert(&key, &session).await? {
                    let result = store.update(&key, &owned(&owner, until), &revision).await?;
                    assert!(result.is_stored(), "no other request changes the record");
                }
            }
            Ok::<_, session_core::Error>(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    println!(
        "{LOG_INS} log-ins and log-outs in {:.1?}",
        started.elapsed()
    );
    list(store, &owner, "tombstones in the list").await?;
    tokio::time::sleep(TOMBSTONES.saturating_sub(started.elapsed())).await;
    list(store, &owner, "expired entries in the list").await?;
    let started = Instant::now();
    all(store).await?;
    println!("    swept in {:.1?}", started.elapsed());
    list(store, &owner, "swept").await
}

fn owned(owner: &OwnerKey, expires_at: SystemTime) -> Record {
    let owner = owner.clone();
    Record {
        entry: Some(IndexEntry {
            owner,
            provider_session: None,
            expires_at,
        }),
        ..record(expires_at)
    }
}

async fn list(store: &FileStore, owner: &OwnerKey, when: &str) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let (mut records, mut cursor) = (0, None);
    loop {
        let page = store.owned_by(owner, cursor.as_ref(), 1000).await?;
        records += page.records.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    println!("    {when}: {records} listed in {:.1?}", started.elapsed());
    Ok(())
}

async fn requests(store: &FileStore, keys: &[StoreKey], when: &str) -> Result<(), Box<dyn Error>> {
    let (mut loads, mut saves) = (Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        // Keys that are far apart, so that successive calls use different directories.
        let key = &keys[sample * 7919 % keys.len()];
        let started = Instant::now();
        let loaded = store.load(key).await?.ok_or("a session is missing")?;
        loads.push(started.elapsed());
        let next = record(SystemTime::now() + Duration::from_secs(24 * 3600));
        let started = Instant::now();
        let result = store.update(key, &next, &loaded.revision).await?;
        saves.push(started.elapsed());
        assert!(result.is_stored(), "no other request changes the record");
    }
    println!("{} sessions{when}", keys.len());
    println!("    load {}", spread(&mut loads));
    println!("    save {}", spread(&mut saves));
    Ok(())
}

/// Measures a sweep that finds nothing to remove, alone and with concurrent requests.
async fn sweep(store: &FileStore, keys: &[StoreKey]) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    all(store).await?;
    println!("    sweep of live sessions only: {:.1?}", started.elapsed());
    let sweeping = tokio::spawn({
        let store = store.clone();
        async move { all(&store).await }
    });
    requests(store, keys, " during a sweep").await?;
    sweeping.await??;
    Ok(())
}

/// Sweeps until all files are looked at.
async fn all(store: &FileStore) -> session_core::Result<()> {
    while !store.sweep(500).await?.is_done {}
    Ok(())
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!(
        "p50 {:.1?}, p99 {:.1?}, longest {:.1?}",
        at(50),
        at(99),
        at(100)
    )
}
