//! Measures the store: with many sessions, and over TLS.
//!
//! `cargo run --release -p session-sql --all-features --example measure_sql -- sqlite`. In place of
//! `sqlite` it takes `postgres` or `mariadb`, which start a server of their own, or the URL of a
//! database.
//!
//! One table has 1,000 sessions, another 1,000,000. The program uses both alternately, so that other
//! load of the machine affects both: the 1,000 sessions of the first, 1,000 of the second, and
//! random ones of the second. Then it sweeps 100,000 expired records while a client saves, and lets
//! the client save without a sweep for as long.
//!
//! With `tls` as a second word it measures updates of records of several sizes on a plain
//! connection, over TLS, and on the server's Unix socket. Only `postgres` and `mariadb`. Needs
//! `openssl`.
//!
//! The tables are `measured_few` and `measured_many`. In a database of yours they are not removed.
#![allow(clippy::print_stdout, reason = "the program prints its results")]

mod database;
mod fill;
mod sample;
mod tls;

use std::time::Instant;

use database::{Measured, measure_database};
use fill::{EXPIRED, FEW, MANY};
use sample::{Times, load, save};
use session_core::ExpiredSweep;
use session_sql::{SqlStore, TableName};

type BoxResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SAMPLES: usize = 6_000;
/// Calls before the measurement, which prepare statements and fill caches.
const UNTIMED: usize = 2 * FEW;

#[tokio::main]
async fn main() -> BoxResult<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        [name, "tls"] => tls::measure(name).await,
        [name] => measure_database(name).await,
        _ => Err("name the database: sqlite, postgres, mariadb or a URL".into()),
    }
}

const TABLES: [&str; 2] = ["measured_few", "measured_many"];

async fn measure<D: Measured>(store: SqlStore<D>) -> BoxResult<()> {
    let [few, many] = [TableName::new(TABLES[0])?, TableName::new(TABLES[1])?]
        .map(|table| store.clone().with_table(table));
    few.migrate().await?;
    many.migrate().await?;
    fill::live(&few, TABLES[0], FEW).await?;
    fill::live(&many, TABLES[1], MANY).await?;
    compare_tables(&few, &many).await?;
    fill::expired(&many, TABLES[1]).await?;
    save_during_a_sweep(&many).await
}

async fn compare_tables<D: Measured>(few: &SqlStore<D>, many: &SqlStore<D>) -> BoxResult<()> {
    let [mut loads, mut saves] = [(); 2].map(|()| [(); 3].map(|()| Times::default()));
    for number in 0..UNTIMED + SAMPLES {
        let busy = number * 241 % FEW;
        let any = number.wrapping_mul(0x9e37_79b1) % MANY;
        for (index, (store, row)) in [(few, busy), (many, busy), (many, any)]
            .into_iter()
            .enumerate()
        {
            let times = (load(store, row).await?, save(store, row).await?);
            if number >= UNTIMED {
                loads[index].push(times.0);
                saves[index].push(times.1);
            }
        }
    }
    for (what, times) in [("load", loads), ("save", saves)] {
        let [few, busy, any] = times;
        println!("{what} of 1,000: {few}");
        println!(
            "{what} of 1,000 among 1,000,000: {busy}, {:.2} times",
            busy.median() / few.median()
        );
        println!(
            "{what} of any of 1,000,000: {any}, {:.2} times",
            any.median() / few.median()
        );
    }
    Ok(())
}

async fn save_during_a_sweep<D: Measured>(store: &SqlStore<D>) -> BoxResult<()> {
    let sweeper = store.clone();
    let began = Instant::now();
    let sweep = tokio::spawn(async move {
        let mut removed = 0;
        loop {
            let swept = sweeper.sweep(usize::MAX).await?;
            removed += swept.removed;
            if swept.is_done {
                return Ok::<_, session_core::Error>(removed);
            }
        }
    });
    let mut during = Times::default();
    while !sweep.is_finished() {
        during.push(save(store, during.len() % FEW).await?);
    }
    let (removed, took) = (sweep.await??, began.elapsed());
    if removed != EXPIRED as u64 {
        return Err("another program sweeps this table".into());
    }
    let (mut without, began) = (Times::default(), Instant::now());
    while began.elapsed() < took {
        without.push(save(store, without.len() % FEW).await?);
    }
    println!("sweep: {removed} removed in {:.1} s", took.as_secs_f64());
    println!("save during the sweep: {during}");
    println!("save without a sweep: {without}");
    Ok(())
}
