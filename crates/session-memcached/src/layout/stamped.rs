//! Records that carry their expiry: kept to the millisecond, by the clock of the application.

use std::time::SystemTime;

use session_core::{Error, Loaded, Record, Result, Revision, Touch, Write};

use super::{Place, exptime::exptime_to_spare, seen::Sight, stamp::Stamp};
use crate::{driver::Condition, failure::Failure};

/// How often an item that others keep changing is read again.
const ATTEMPTS: usize = 32;

struct Found {
    payload: Vec<u8>,
    stamp: Stamp,
    cas: u64,
}

pub(crate) async fn load(place: &Place<'_>) -> Result<Option<Loaded>> {
    let found = find(place).await?.filter(|found| found.stamp.is_live());
    Ok(found.map(|found| {
        remember(place, found.stamp, found.cas);
        Loaded {
            payload: found.payload,
            expires_at: found.stamp.expires_at(),
            revision: found.stamp.revision.into(),
        }
    }))
}

pub(crate) async fn insert(place: &Place<'_>, record: &Record) -> Result<Write> {
    let stamp = Stamp::new(place.hash, record.expires_at);
    let value = stamp.put_behind(&record.payload);
    let mut condition = Condition::Absent;
    for _ in 0..ATTEMPTS {
        if let Some(written) = put(place, stamp, &value, record.expires_at, condition).await? {
            return Ok(written);
        }
        condition = match find(place).await? {
            Some(found) if found.stamp.is_live() => return Ok(Write::Refused),
            // Its time has passed, which the node has not noticed.
            Some(found) => Condition::Cas(found.cas),
            None => Condition::Absent,
        };
    }
    Err(Failure::Contended.into())
}

pub(crate) async fn update(
    place: &Place<'_>,
    record: &Record,
    revision: &Revision,
) -> Result<Write> {
    let Some(revision) = revision.as_u64() else {
        return Ok(Write::Refused);
    };
    let stamp = Stamp::new(place.hash, record.expires_at);
    let value = stamp.put_behind(&record.payload);
    let mut cas = place
        .seen
        .get(place.hash, revision)
        .filter(|sight| sight.stamp.is_live())
        .map(|sight| sight.cas);
    for _ in 0..ATTEMPTS {
        if let Some(cas) = cas {
            let condition = Condition::Cas(cas);
            if let Some(written) = put(place, stamp, &value, record.expires_at, condition).await? {
                return Ok(written);
            }
        }
        // Touched, changed or gone, or never seen by this process.
        cas = match find(place).await? {
            Some(found) if found.stamp.revision == revision && found.stamp.is_live() => {
                Some(found.cas)
            }
            _ => return Ok(Write::Refused),
        };
    }
    Err(Failure::Contended.into())
}

pub(crate) async fn touch(place: &Place<'_>, expires_at: SystemTime) -> Result<Touch> {
    for _ in 0..ATTEMPTS {
        let Some(found) = find(place).await?.filter(|found| found.stamp.is_live()) else {
            return Ok(Touch::Refused);
        };
        let stamp = found.stamp.moved(expires_at);
        let value = stamp.put_behind(&found.payload);
        let condition = Condition::Cas(found.cas);
        if put(place, stamp, &value, expires_at, condition)
            .await?
            .is_some()
        {
            return Ok(Touch::Moved);
        }
    }
    Err(Failure::Contended.into())
}

async fn find(place: &Place<'_>) -> Result<Option<Found>> {
    let Some(mut item) = place.link.reads.get(place.key).await? else {
        return Ok(None);
    };
    let Some(stamp) = Stamp::cut_off(&mut item.value) else {
        return Err(Error::corrupt("the item was not written by this store"));
    };
    if stamp.key != place.hash {
        return Err(Failure::Protocol.into());
    }
    Ok(Some(Found {
        payload: item.value,
        stamp,
        cas: item.cas,
    }))
}

/// `None` if the condition did not hold.
async fn put(
    place: &Place<'_>,
    stamp: Stamp,
    value: &[u8],
    expires_at: SystemTime,
    condition: Condition,
) -> Result<Option<Write>> {
    let client = &place.link.client;
    let stored = client
        .set(
            place.key.as_str(),
            value,
            exptime_to_spare(expires_at),
            condition,
        )
        .await?;
    Ok(stored.map(|cas| {
        remember(place, stamp, cas);
        Write::Stored(stamp.revision.into())
    }))
}

fn remember(place: &Place<'_>, stamp: Stamp, cas: u64) {
    place.seen.put(Sight { stamp, cas });
}
