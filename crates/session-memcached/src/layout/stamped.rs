//! Records that carry their expiry: kept to the millisecond, by the clock of the application.
//!
//! What a Flask application wrote beside them is read, changed and touched as it is.

use std::time::SystemTime;

use session_core::{Loaded, Record, Result, Revision, Touch, Write};

use super::{Place, exptime::exptime_to_spare, flask, seen::Sight, stamp::Stamp};
use crate::{
    driver::{Condition, Item},
    failure::Failure,
};

/// How often an item that others keep changing is read again.
const ATTEMPTS: usize = 32;

enum Found {
    Live(Live),
    /// Its time has passed, which the node has not noticed; with its CAS number.
    Ended(u64),
    /// Flask's.
    Bare(Item),
}

struct Live {
    payload: Vec<u8>,
    stamp: Stamp,
    cas: u64,
}

pub(crate) async fn load(place: &Place<'_>) -> Result<Option<Loaded>> {
    Ok(match find(place).await? {
        Some(Found::Live(live)) => {
            remember(place, live.stamp, live.cas);
            Some(Loaded {
                payload: live.payload,
                expires_at: live.stamp.expires_at(),
                revision: live.stamp.revision.into(),
            })
        }
        Some(Found::Bare(item)) => Some(flask::loaded(item)),
        Some(Found::Ended(_)) | None => None,
    })
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
            Some(Found::Live(_) | Found::Bare(_)) => return Ok(Write::Refused),
            Some(Found::Ended(cas)) => Condition::Cas(cas),
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
        return flask::update(place, record, revision).await;
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
            Some(Found::Live(live)) if live.stamp.revision == revision => Some(live.cas),
            _ => return Ok(Write::Refused),
        };
    }
    Err(Failure::Contended.into())
}

pub(crate) async fn touch(place: &Place<'_>, expires_at: SystemTime) -> Result<Touch> {
    for _ in 0..ATTEMPTS {
        let live = match find(place).await? {
            Some(Found::Live(live)) => live,
            Some(Found::Bare(_)) => return flask::touch(place, expires_at).await,
            Some(Found::Ended(_)) | None => return Ok(Touch::Refused),
        };
        let stamp = live.stamp.moved(expires_at);
        let value = stamp.put_behind(&live.payload);
        let condition = Condition::Cas(live.cas);
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
        return Ok(Some(Found::Bare(item)));
    };
    if stamp.key != place.hash {
        return Err(Failure::Protocol.into());
    }
    Ok(Some(if stamp.is_live() {
        Found::Live(Live {
            payload: item.value,
            stamp,
            cas: item.cas,
        })
    } else {
        Found::Ended(item.cas)
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
