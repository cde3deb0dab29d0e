use std::time::Duration;

use mongodb::{IndexModel, bson::doc, options::IndexOptions};
use session_core::Result;

use crate::{MongoStore, failure::failed, foreign, place::Place};

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
        if let Some(document) = self.place.find_one(foreign).await? {
            return Err(failed(foreign::kind(&document)));
        }
        let owner = IndexModel::builder().keys(doc! { "owner": 1, "_id": 1, "listed_until": 1 });
        let made = create(&self.place, [removal("expires_at"), owner.build()]).await?;
        made.map_err(failed)
    }
}

/// The index by which the server removes documents when the date in `field` has passed.
pub(crate) fn removal(field: &str) -> IndexModel {
    let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
    IndexModel::builder()
        .keys(doc! { field: 1 })
        .options(options)
        .build()
}

/// The inner error is the server's, the outer one that it could not be asked.
pub(crate) async fn create(
    place: &Place,
    indexes: [IndexModel; 2],
) -> Result<mongodb::error::Result<()>> {
    let collection = place.collection.clone();
    let made = place
        .calls
        .run(async move { Ok(collection.create_indexes(indexes).await.map(drop)) });
    made.await
}
