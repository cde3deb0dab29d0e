//! What the store costs, and that its cost does not grow with the number of sessions:
//! `cargo run --release -p session-sql --all-features --example measure_sql -- sqlite`, or `postgres` or `mariadb`, which
//! start a server of their own, or the URL of a database.
//!
//! Two tables, of 1,000 and of 1,000,000 sessions, are read and written in turns, so that whatever else the machine does
//! is the same for both: a thousand busy sessions of each, and any of the larger one. Then 100,000 expired records are swept beside one
//! client that saves, after the same client has saved alone for as long. The tables are `measured_few` and
//! `measured_many`; in a database of yours they stay.
#![allow(clippy::print_stdout, reason = "what a program that measures is for")]

mod database;
mod fill;
mod sample;

use std::time::Instant;

use database::{Measured, measure_database};
use fill::{EXPIRED, FEW, MANY};
use sample::{Times, load, save};
use session_core::ExpiredSweep;
use session_sql::{SqlStore, TableName};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SAMPLES: usize = 6_000;
/// Statements are prepared and caches filled.
const UNTIMED: usize = 2 * FEW;

#[tokio::main]
async fn main() -> Outcome<()> {
    let name = std::env::args().nth(1).ok_or("which database is missing")?;
    measure_database(&name).await
}

const TABLES: [&str; 2] = ["measured_few", "measured_many"];

async fn measure<D: Measured>(store: SqlStore<D>) -> Outcome<()> {
    let [few, many] = [TableName::new(TABLES[0])?, TableName::new(TABLES[1])?]
        .map(|table| store.clone().with_table(table));
    few.migrate().await?;
    many.migrate().await?;
    fill::live(&few, TABLES[0], FEW).await?;
    fill::live(&many, TABLES[1], MANY).await?;
    flat(&few, &many).await?;
    fill::expired(&many, TABLES[1]).await?;
    beside_a_sweep(&many).await
}

async fn flat<D: Measured>(few: &SqlStore<D>, many: &SqlStore<D>) -> Outcome<()> {
    let [mut loads, mut saves] = [(); 2].map(|()| [(); 3].map(|()| Times::default()));
    for number in 0..UNTIMED + SAMPLES {
        let busy = number * 241 % FEW;
        let any = number.wrapping_mul(0x9e37_79b1) % MANY;
        for (place, (store, row)) in [(few, busy), (many, busy), (many, any)]
            .into_iter()
            .enumerate()
        {
            let times = (load(store, row).await?, save(store, row).await?);
            if number >= UNTIMED {
                loads[place].push(times.0);
                saves[place].push(times.1);
            }
        }
    }
    for (what, times) in [("load", loads), ("save", saves)] {
        let [few, busy, any] = times;
        println!("{what} of 1,000: {few}");
        println!(
            "{what} of 1,000 busy of 1,000,000: {busy}, {:.2} times",
            busy.median() / few.median()
        );
        println!(
            "{what} of any of 1,000,000: {any}, {:.2} times",
            any.median() / few.median()
        );
    }
    Ok(())
}

async fn beside_a_sweep<D: Measured>(store: &SqlStore<D>) -> Outcome<()> {
    let sweeper = store.clone();
    let began = Instant::now();
    let sweep = tokio::spawn(async move { sweeper.sweep(usize::MAX).await });
    let mut beside = Times::default();
    while !sweep.is_finished() {
        beside.push(save(store, beside.len() % FEW).await?);
    }
    let (removed, took) = (sweep.await??, began.elapsed());
    if removed != EXPIRED as u64 {
        return Err("another program sweeps this table".into());
    }
    let (mut alone, began) = (Times::default(), Instant::now());
    while began.elapsed() < took {
        alone.push(save(store, alone.len() % FEW).await?);
    }
    println!("sweep: {removed} removed in {:.1} s", took.as_secs_f64());
    println!("save beside the sweep: {beside}");
    println!("save alone: {alone}");
    Ok(())
}
