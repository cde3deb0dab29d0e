//! How long loads, saves, sweeps and lists take, in a small directory and in a large one.
//!
//! `cargo run --release -p session-fs --example measure -- DIRECTORY [SESSIONS]` makes a million sessions in DIRECTORY,
//! unless told another number, and leaves them there. Before, one user logs in and out 100,000 times.
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
/// From the first log-in on, all log-outs stay in the list; enough for a slow disk.
const TOMBSTONES: Duration = Duration::from_mins(3);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .ok_or("name a directory that is not there yet")?;
    let sessions = arguments
        .next()
        .map_or(Ok(1_000_000), |number| number.parse())?;
    let store = FileStore::open(directory)?;

    devices(&store).await?;
    let mut keys = insert(&store, SMALL, Duration::from_hours(24)).await?;
    requests(&store, &keys, "").await?;
    sweep(&store, &keys).await?;
    let begun = Instant::now();
    keys.extend(insert(&store, sessions - SMALL, Duration::from_hours(24)).await?);
    println!("{} inserted in {:.1?}", sessions - SMALL, begun.elapsed());
    requests(&store, &keys, "").await?;
    sweep(&store, &keys).await?;

    insert(&store, EXPIRED, Duration::ZERO).await?;
    let (mut batches, mut removed) = (Vec::new(), 0);
    loop {
        let begun = Instant::now();
        let batch = store.sweep(500).await?;
        removed += batch;
        if batch < 500 {
            break;
        }
        batches.push(begun.elapsed());
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

/// A session of some three hundred bytes, as most are.
fn record(expires_at: SystemTime) -> Record {
    Record {
        bytes: vec![b'x'; 300].into(),
        expires_at,
        entry: None,
    }
}

/// The list of a user who logs in and out all the time.
async fn devices(store: &FileStore) -> Result<(), Box<dyn Error>> {
    let owner = KeyPrefix::default().owner_key("ada");
    let begun = Instant::now();
    let until = SystemTime::now() + TOMBSTONES;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, owner) = (store.clone(), owner.clone());
        writers.spawn(async move {
            for _ in 0..LOG_INS / WRITERS {
                let key =
                    KeyPrefix::default().hashed_key(&SessionId::random(SessionId::DEFAULT_BYTES));
                let session = owned(&owner, SystemTime::now() + Duration::from_hours(24));
                if let Write::Stored(revision) = store.insert(&key, &session).await? {
                    let answer = store.update(&key, &owned(&owner, until), &revision).await?;
                    assert!(answer.is_stored(), "nobody else changes it");
                }
            }
            Ok::<_, session_core::Error>(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    println!("{LOG_INS} log-ins and log-outs in {:.1?}", begun.elapsed());
    list(store, &owner, "tombstones in the list").await?;
    tokio::time::sleep(TOMBSTONES.saturating_sub(begun.elapsed())).await;
    list(store, &owner, "their time has passed").await?;
    let begun = Instant::now();
    store.sweep(usize::MAX).await?;
    println!("    swept in {:.1?}", begun.elapsed());
    list(store, &owner, "swept").await
}

fn owned(owner: &OwnerKey, expires_at: SystemTime) -> Record {
    let owner = owner.clone();
    Record {
        entry: Some(IndexEntry { owner, expires_at }),
        ..record(expires_at)
    }
}

async fn list(store: &FileStore, owner: &OwnerKey, when: &str) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let (mut records, mut cursor) = (0, None);
    loop {
        let page = store.owned_by(owner, cursor.as_ref(), 1000).await?;
        records += page.records.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    println!("    {when}: {records} listed in {:.1?}", begun.elapsed());
    Ok(())
}

async fn requests(store: &FileStore, keys: &[StoreKey], when: &str) -> Result<(), Box<dyn Error>> {
    let (mut loads, mut saves) = (Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        // Far apart, so that no directory is met twice in a row.
        let key = &keys[sample * 7919 % keys.len()];
        let begun = Instant::now();
        let loaded = store.load(key).await?.ok_or("a session is missing")?;
        loads.push(begun.elapsed());
        let next = record(SystemTime::now() + Duration::from_hours(24));
        let begun = Instant::now();
        let answer = store.update(key, &next, &loaded.revision).await?;
        saves.push(begun.elapsed());
        assert!(answer.is_stored(), "nobody else changes it");
    }
    println!("{} sessions{when}", keys.len());
    println!("    load {}", spread(&mut loads));
    println!("    save {}", spread(&mut saves));
    Ok(())
}

/// A sweep that finds nothing to remove, with requests beside it.
async fn sweep(store: &FileStore, keys: &[StoreKey]) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    store.sweep(500).await?;
    println!("    sweep of live sessions alone: {:.1?}", begun.elapsed());
    let sweeping = tokio::spawn({
        let store = store.clone();
        async move { store.sweep(500).await }
    });
    requests(store, keys, " beside a sweep").await?;
    sweeping.await??;
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
