//! Records as Flask-Session writes them: the payload alone, its end known to the node's clock only.

use std::time::{Duration, SystemTime};

use session_core::{Loaded, Record, Result, Revision, Touch, Write};

use super::{Place, exptime::exptime};
use crate::driver::Condition;

/// What is told of an item that never ends, as Flask writes for a lifetime under a second.
const FOREVER: Duration = Duration::from_hours(365 * 24);

pub(crate) async fn load(place: &Place<'_>) -> Result<Option<Loaded>> {
    let Some(item) = place.link.reads.get(place.key).await? else {
        return Ok(None);
    };
    // The node's clock ticks once a second: the item ends at the last tick of those left, so up to a second sooner.
    let left = item.seconds_left.map_or(FOREVER, |seconds| {
        Duration::from_secs(seconds.saturating_sub(1))
    });
    Ok(Some(Loaded {
        payload: item.value,
        expires_at: SystemTime::now() + left,
        revision: item.cas.into(),
    }))
}

pub(crate) async fn insert(place: &Place<'_>, record: &Record) -> Result<Write> {
    put(place, record, Condition::Absent).await
}

pub(crate) async fn update(
    place: &Place<'_>,
    record: &Record,
    revision: &Revision,
) -> Result<Write> {
    match revision.as_u64() {
        // The protocol takes a CAS token of 0 for "without condition".
        None | Some(0) => Ok(Write::Refused),
        Some(cas) => put(place, record, Condition::Cas(cas)).await,
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
    Ok(stored.map_or(Write::Refused, |cas| Write::Stored(cas.into())))
}
