//! Every write as the command that is sent.
//!
//! They go out as plain commands because the driver sends its own `update_one` a second time when a reply is lost, if
//! the application's client says so, and a compare-and-set must never be sent twice.

use std::time::SystemTime;

use mongodb::bson::{Document, doc, oid::ObjectId};
use session_core::{Record, StoreKey};

use crate::document::{binary, encode, instant};

/// One atomic step: replaces the document of `key` if it has expired, adds one if there is none, and runs into the
/// `_id` of one that lives.
pub(crate) fn insert(
    collection: &str,
    key: &StoreKey,
    record: &Record,
    revision: ObjectId,
    now: SystemTime,
) -> Document {
    update_command(
        collection,
        doc! {
            "q": { "_id": binary(key.as_str()), "expires_at": { "$lte": instant(now) } },
            "u": encode(key, record, revision),
            "upsert": true,
        },
    )
}

pub(crate) fn update(
    collection: &str,
    key: &StoreKey,
    record: &Record,
    (loaded, new): (ObjectId, ObjectId),
    now: SystemTime,
) -> Document {
    update_command(
        collection,
        doc! {
            "q": {
                "_id": binary(key.as_str()),
                "revision": loaded,
                "expires_at": { "$gt": instant(now) },
            },
            "u": encode(key, record, new),
        },
    )
}

pub(crate) fn touch(
    collection: &str,
    key: &StoreKey,
    expires_at: SystemTime,
    now: SystemTime,
) -> Document {
    update_command(
        collection,
        doc! {
            "q": { "_id": binary(key.as_str()), "expires_at": { "$gt": instant(now) } },
            "u": { "$set": { "expires_at": instant(expires_at) } },
        },
    )
}

pub(crate) fn delete(collection: &str, key: &StoreKey) -> Document {
    delete_command(
        collection,
        doc! { "q": { "_id": binary(key.as_str()) }, "limit": 1 },
    )
}

pub(crate) fn delete_command(collection: &str, statement: Document) -> Document {
    doc! {
        "delete": collection,
        "deletes": [statement],
        "writeConcern": { "w": "majority" },
    }
}

pub(crate) fn update_command(collection: &str, statement: Document) -> Document {
    doc! {
        "update": collection,
        "updates": [statement],
        "writeConcern": { "w": "majority" },
    }
}
