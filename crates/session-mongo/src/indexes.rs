//! `MongoStore::ensure_indexes`, and helpers to create indexes.

use std::time::Duration;

use mongodb::{IndexModel, bson::doc, options::IndexOptions};
use session_core::Result;

use crate::{
    MongoStore,
    collection::{CollectionHandle, Target},
    error::{backend_error, unsuitable_error},
    unsuitable,
};

impl MongoStore {
    /// Creates two indexes: one lets the server remove expired documents, one finds an owner's
    /// sessions.
    ///
    /// Idempotent, and safe if many processes call it at once. Needs the right `createIndex` on the
    /// collection. If the application does not have it, an administrator can run the two commands
    /// in the README. Sessions work without the indexes, but expired documents then stay, and
    /// listing an owner's sessions reads the whole collection.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or refuses, if an index of the same name has other options,
    /// or if the collection holds documents that are not sessions of this library, such as
    /// Flask-Session's.
    pub async fn ensure_indexes(&self) -> Result<()> {
        // This library's ids are binary. The query reads one entry of the index on _id, however
        // large the collection is.
        let foreign = doc! { "_id": { "$type": ["objectId", "string", "number", "object"] } };
        if let Some(document) = self.collection.find_one(foreign).await? {
            return Err(unsuitable_error(unsuitable::reason(&document)));
        }
        let owner = IndexModel::builder().keys(doc! { "owner": 1, "_id": 1, "listed_until": 1 });
        let indexes = [expiry_index("expires_at"), owner.build()];
        create(&self.collection, indexes)
            .await?
            .map_err(backend_error)
    }
}

/// The index that makes the server remove documents after the date in `field`.
pub(crate) fn expiry_index(field: &str) -> IndexModel {
    let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
    IndexModel::builder()
        .keys(doc! { field: 1 })
        .options(options)
        .build()
}

/// The inner error is one of the driver's. The outer one means that the call did not run.
pub(crate) async fn create(
    collection: &CollectionHandle,
    indexes: [IndexModel; 2],
) -> Result<mongodb::error::Result<()>> {
    let create = |target: Target| async move {
        Ok(target.documents.create_indexes(indexes).await.map(drop))
    };
    collection.run(create).await
}
