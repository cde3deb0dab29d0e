use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::StoreKey;
use session_sql::SqlStore;

use crate::{Outcome, database::Measured};

pub(crate) const FEW: usize = 1_000;
pub(crate) const MANY: usize = 1_000_000;
pub(crate) const EXPIRED: usize = 100_000;
/// Rows of one statement.
const ROWS: usize = 2_000;

/// Fills an empty table with sessions that outlive the program.
pub(crate) async fn live<D: Measured>(
    store: &SqlStore<D>,
    table: &str,
    rows: usize,
) -> Outcome<()> {
    // A change moves the end forward, as in life.
    let in_an_hour = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_hours(1);
    let end = i64::try_from(in_an_hour.as_micros())?;
    fill(store, table, ("live", rows), end).await
}

/// Adds records that ended in 1970.
pub(crate) async fn expired<D: Measured>(store: &SqlStore<D>, table: &str) -> Outcome<()> {
    fill(store, table, ("expired", EXPIRED), 1).await
}

/// By one connection and many rows at once: as single inserts a million takes the better part of an hour.
async fn fill<D: Measured>(
    store: &SqlStore<D>,
    table: &str,
    (kind, rows): (&str, usize),
    expires_at: i64,
) -> Outcome<()> {
    let mut connection = store.pool().acquire().await?.detach();
    D::execute(&mut connection, D::PATIENT.to_owned()).await?;
    for first in (0..rows).step_by(ROWS) {
        let mut sql = format!(
            "INSERT INTO {table} (store_key, payload, revision, expires_at, sweep_at) VALUES "
        );
        for number in first..rows.min(first + ROWS) {
            let comma = if number == first { "" } else { ", " };
            let key = D::bytes(key(kind, number).as_str().as_bytes());
            let payload = D::PAYLOAD;
            // As far along as expiries are in life: no two alike.
            let expires_at = expires_at + i64::try_from(number)?;
            write!(
                sql,
                "{comma}({key}, {payload}, 1, {expires_at}, {expires_at})"
            )?;
        }
        D::execute(&mut connection, sql).await?;
    }
    Ok(())
}

/// As long and as scattered as a digest.
pub(crate) fn key(kind: &str, number: usize) -> StoreKey {
    let scattered = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    StoreKey::from_stored(format!("{kind}:{scattered:064x}"))
}
