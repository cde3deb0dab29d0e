use std::{error, fmt, time::Duration};

use mongodb::{
    IndexModel,
    bson::{RawDocument, doc},
    options::IndexOptions,
};
use session_core::Result;

use crate::{MongoStore, failure::failed};

impl MongoStore {
    /// Creates the index that lets the server remove expired documents, and the one that finds an owner's sessions.
    ///
    /// Idempotent, and safe while many processes do it at once. Needs the right `createIndex` on the collection; for an
    /// application without it the README has the two commands. No session depends on the indexes: without them expired
    /// documents stay, and an owner's sessions are found by reading the whole collection.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or refuses, if an index of the same name has other options, or if the collection
    /// holds documents that are none of this library's sessions, such as Flask-Session's.
    pub async fn ensure_indexes(&self) -> Result<()> {
        // Ours are binary. One look into the index of _id, however large the collection.
        let foreign = doc! { "_id": { "$type": ["objectId", "string", "number", "object"] } };
        let collection = self.collection.clone();
        let found = self
            .calls
            .run(async move { collection.find_one(foreign).await });
        if let Some(document) = found.await? {
            return Err(failed(ForeignDocuments {
                flask_session: is_flask_session(&document),
            }));
        }
        let expired = IndexOptions::builder().expire_after(Duration::ZERO).build();
        let expired = IndexModel::builder()
            .keys(doc! { "expires_at": 1 })
            .options(expired);
        let owner = IndexOptions::builder().sparse(true).build();
        let owner = IndexModel::builder()
            .keys(doc! { "owner": 1 })
            .options(owner);
        let indexes = [expired.build(), owner.build()];
        let collection = self.collection.clone();
        let made = self
            .calls
            .run(async move { collection.create_indexes(indexes).await });
        made.await.map(drop)
    }
}

fn is_flask_session(document: &RawDocument) -> bool {
    ["id", "val", "expiration"]
        .iter()
        .all(|field| matches!(document.get(field), Ok(Some(_))))
}

/// The collection is somebody else's; an index that removes documents has no business there.
#[derive(Debug)]
struct ForeignDocuments {
    flask_session: bool,
}

impl fmt::Display for ForeignDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.flask_session {
            "the collection holds sessions of Flask-Session; name another with SESSION_MONGODB_COLLECT"
        } else {
            "the collection holds documents that are no sessions; name another with SESSION_MONGODB_COLLECT"
        })
    }
}

impl error::Error for ForeignDocuments {}
