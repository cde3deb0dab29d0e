use std::time::SystemTime;

use mongodb::bson::{Document, doc};
use session_core::{Record, Revision, StoreKey};

use super::document::live;
use crate::{
    commands::{delete_command, update_command},
    document::{blob, instant},
};

/// Of two at once for one key the second runs into the `_id`; into the unique index on `id` if Flask made the first.
pub(super) fn insert(
    collection: &str,
    key: &StoreKey,
    record: &Record,
    now: SystemTime,
) -> Document {
    update_command(
        collection,
        doc! {
            "q": { "id": key.as_str(), "expiration": { "$lte": instant(now) } },
            "u": { "$set": fields(record), "$setOnInsert": { "_id": key.as_str() } },
            "upsert": true,
        },
    )
}

pub(super) fn update(
    collection: &str,
    key: &StoreKey,
    record: &Record,
    revision: &Revision,
    now: SystemTime,
) -> Document {
    let mut unchanged = live(key, now);
    unchanged.insert("val", blob(revision.as_bytes()));
    update_command(
        collection,
        doc! { "q": unchanged, "u": { "$set": fields(record) } },
    )
}

pub(super) fn touch(
    collection: &str,
    key: &StoreKey,
    expires_at: SystemTime,
    now: SystemTime,
) -> Document {
    let later = doc! { "$set": { "expiration": instant(expires_at) } };
    update_command(collection, doc! { "q": live(key, now), "u": later })
}

/// All of them: what Flask-Session stored before there was a unique index may be there twice.
pub(super) fn delete(collection: &str, key: &StoreKey) -> Document {
    const ALL: i32 = 0;
    delete_command(
        collection,
        doc! { "q": { "id": key.as_str() }, "limit": ALL },
    )
}

fn fields(record: &Record) -> Document {
    doc! { "val": blob(&record.payload), "expiration": instant(record.expires_at) }
}
