//! What the store costs, and that its cost does not grow with the number of sessions:
//! `cargo run --release -p session-sql --all-features --example measure_sql -- postgres://…`
//!
//! Prints the median and the 99th percentile of a load and of a save (load and update) at 1,000 and at 1,000,000
//! stored sessions, and the slowest request beside a sweep of 100,000 expired records. The table is
//! `session_measurement`, and stays.
#![allow(clippy::print_stdout, reason = "what a program that measures is for")]

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use session_core::{Record, StoreKey, Write, config::Env};
use session_sql::SqlSessions;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
const EXPIRED: usize = 100_000;
const SAMPLES: usize = 4_000;
const FILLERS: usize = 8;

#[tokio::main]
async fn main() -> Outcome<()> {
    let url = std::env::args()
        .nth(1)
        .ok_or("the database's URL is missing")?;
    let settings = [
        ("SESSION_SQL", url.as_str()),
        ("SESSION_SQL_TABLE", "session_measurement"),
    ];
    let store = session_sql::from_env(&settings.into_iter().collect::<Env>())?;
    store.migrate().await?;

    fill(&store, "live", 0..FEW, Duration::from_secs(86_400)).await?;
    report(&store, "at 1,000").await?;
    fill(&store, "live", FEW..MANY, Duration::from_secs(86_400)).await?;
    report(&store, "at 1,000,000").await?;

    fill(&store, "expired", 0..EXPIRED, Duration::ZERO).await?;
    let sweeper = Arc::clone(&store);
    let began = Instant::now();
    let sweep = tokio::spawn(async move { sweeper.sweep(usize::MAX).await });
    let mut beside = vec![];
    while !sweep.is_finished() {
        beside.push(save(&store, beside.len()).await?);
    }
    let removed = sweep.await??;
    println!("sweep: {removed} removed in {:?}", began.elapsed());
    print("save beside the sweep", beside);
    Ok(())
}

async fn report(store: &Arc<dyn SqlSessions>, when: &str) -> Outcome<()> {
    // Statements are prepared and caches filled.
    for number in 0..FEW {
        save(store, number).await?;
    }
    let (mut loads, mut saves) = (vec![], vec![]);
    for number in 0..SAMPLES {
        let began = Instant::now();
        store
            .load(&key("live", number * 241 % FEW))
            .await?
            .ok_or("a session is gone")?;
        loads.push(began.elapsed());
        saves.push(save(store, number * 241).await?);
    }
    print(&format!("load {when}"), loads);
    print(&format!("save {when}"), saves);
    Ok(())
}

async fn save(store: &Arc<dyn SqlSessions>, number: usize) -> Outcome<Duration> {
    let key = key("live", number % FEW);
    let began = Instant::now();
    let loaded = store.load(&key).await?.ok_or("a session is gone")?;
    let changed = record(Duration::from_secs(86_400));
    let Write::Stored(_) = store.update(&key, &changed, &loaded.revision).await? else {
        return Err("another program measures on this table".into());
    };
    Ok(began.elapsed())
}

async fn fill(
    store: &Arc<dyn SqlSessions>,
    kind: &'static str,
    numbers: std::ops::Range<usize>,
    lasting: Duration,
) -> Outcome<()> {
    let fillers: Vec<_> = (0..FILLERS)
        .map(|filler| {
            let (store, numbers) = (Arc::clone(store), numbers.clone());
            tokio::spawn(async move {
                for number in numbers.skip(filler).step_by(FILLERS) {
                    let _ = store.insert(&key(kind, number), &record(lasting)).await?;
                }
                Outcome::Ok(())
            })
        })
        .collect();
    for filler in fillers {
        filler.await??;
    }
    Ok(())
}

/// As long and as scattered as a digest.
fn key(kind: &str, number: usize) -> StoreKey {
    let scattered = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    StoreKey::from_stored(format!("{kind}:{scattered:064x}"))
}

fn record(lasting: Duration) -> Record {
    Record {
        payload: vec![7; 300],
        expires_at: SystemTime::now() + lasting,
        owner: None,
    }
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!(
        "{what}: p50 {:?}, p99 {:?}, longest {:?}, {} requests",
        at(50),
        at(99),
        at(100),
        times.len()
    );
}
