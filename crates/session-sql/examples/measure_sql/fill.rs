//! Fills the tables that are measured.

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::StoreKey;
use session_sql::SqlStore;

use crate::{BoxResult, database::Measured};

pub(crate) const FEW: usize = 1_000;
pub(crate) const MANY: usize = 1_000_000;
pub(crate) const EXPIRED: usize = 100_000;
/// The rows that one statement inserts.
const ROWS: usize = 2_000;

/// Fills an empty table with sessions that do not expire while the program runs.
pub(crate) async fn live<D: Measured>(
    store: &SqlStore<D>,
    table: &str,
    rows: usize,
) -> BoxResult<()> {
    // An hour: saves set a later end, as those of an application do.
    let in_an_hour = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_hours(1);
    let end = i64::try_from(in_an_hour.as_micros())?;
    fill(store, table, ("live", rows), end).await
}

/// Adds records that expired in 1970.
pub(crate) async fn expired<D: Measured>(store: &SqlStore<D>, table: &str) -> BoxResult<()> {
    fill(store, table, ("expired", EXPIRED), 1).await
}

/// Uses one connection and many rows a statement. A million single inserts take most of an hour.
async fn fill<D: Measured>(
    store: &SqlStore<D>,
    table: &str,
    (kind, rows): (&str, usize),
    expires_at: i64,
) -> BoxResult<()> {
    let mut connection = store.pool().acquire().await?.detach();
    D::execute(&mut connection, D::NO_TIMEOUT.to_owned()).await?;
    for first in (0..rows).step_by(ROWS) {
        let mut sql = format!(
            "INSERT INTO {table} (store_key, payload, revision, expires_at, sweep_at) VALUES "
        );
        for number in first..rows.min(first + ROWS) {
            let comma = if number == first { "" } else { ", " };
            let key = D::bytes(key(kind, number).as_str().as_bytes());
            let payload = D::PAYLOAD;
            // No two expiries are equal, as in an application.
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

/// A key that is as long and as scattered as a digest.
pub(crate) fn key(kind: &str, number: usize) -> StoreKey {
    let digest = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    StoreKey::from_stored(format!("{kind}:{digest:064x}"))
}
