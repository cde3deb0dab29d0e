//! Records as Flask-Session writes them: the payload alone, its end known to the node's clock only.

use std::time::{Duration, SystemTime};

use session_core::{Loaded, Record, Result, Revision, Touch, Write};

use super::{Place, exptime::exptime};
use crate::driver::{Condition, Item};

/// What is told of an item that never ends, as Flask writes for a lifetime under a second.
const FOREVER: Duration = Duration::from_hours(365 * 24);
const BARE: u8 = b'c';

pub(crate) async fn load(place: &Place<'_>) -> Result<Option<Loaded>> {
    let item = place.link.reads.get(place.key).await?;
    Ok(item.map(loaded))
}

pub(super) fn loaded(item: Item) -> Loaded {
    // The node's clock ticks once a second: the item ends at the last tick of those left, so up to a second sooner.
    let left = item.seconds_left.map_or(FOREVER, |seconds| {
        Duration::from_secs(seconds.saturating_sub(1))
    });
    Loaded {
        payload: item.value,
        expires_at: SystemTime::now() + left,
        revision: revision(item.cas),
    }
}

pub(crate) async fn insert(place: &Place<'_>, record: &Record) -> Result<Write> {
    put(place, record, Condition::Absent).await
}

pub(crate) async fn update(
    place: &Place<'_>,
    record: &Record,
    revision: &Revision,
) -> Result<Write> {
    match cas(revision) {
        Some(cas) => put(place, record, Condition::Cas(cas)).await,
        None => Ok(Write::Refused),
    }
}

pub(crate) async fn touch(place: &Place<'_>, expires_at: SystemTime) -> Result<Touch> {
    let client = &place.link.client;
    Ok(
        if client
            .touch(place.key.as_str(), exptime(expires_at))
            .await?
        {
            Touch::Moved
        } else {
            Touch::Refused
        },
    )
}

async fn put(place: &Place<'_>, record: &Record, condition: Condition) -> Result<Write> {
    let client = &place.link.client;
    let exptime = exptime(record.expires_at);
    let stored = client
        .set(place.key.as_str(), &record.payload, exptime, condition)
        .await?;
    Ok(stored.map_or(Write::Refused, |cas| Write::Stored(revision(cas))))
}

/// A CAS number, told from the revision in a stamp by its first byte.
fn revision(cas: u64) -> Revision {
    let mut bytes = [BARE; 1 + size_of::<u64>()];
    bytes[1..].copy_from_slice(&cas.to_be_bytes());
    Revision::new(bytes.to_vec())
}

fn cas(revision: &Revision) -> Option<u64> {
    let (&BARE, cas) = revision.as_bytes().split_first()? else {
        return None;
    };
    // The protocol takes 0 for "without condition".
    cas.try_into()
        .ok()
        .map(u64::from_be_bytes)
        .filter(|cas| *cas != 0)
}
