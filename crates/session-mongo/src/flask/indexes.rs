use mongodb::{IndexModel, bson::doc, error::ErrorKind, options::IndexOptions};
use session_core::Result;

use super::FlaskMongoStore;
use crate::{
    failure::failed,
    foreign::Foreign,
    indexes::{create, removal},
    reply::DUPLICATE_KEY,
};

impl FlaskMongoStore {
    /// Creates the index that lets the server remove expired documents, as Flask-Session does, and the unique one on `id`
    /// that it lacks.
    ///
    /// Idempotent, and safe while many processes do it at once. Without the unique index every request reads the whole
    /// collection, and a session that Flask-Session stores at the same moment may be there twice.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or refuses, if an index of the same name has other options, if `id`s are there
    /// twice already, or if the collection holds sessions in this library's own layout.
    pub async fn ensure_indexes(&self) -> Result<()> {
        let ours = doc! { "_id": { "$type": "binData" } };
        if self.place.find_one(ours).await?.is_some() {
            return Err(failed(Foreign::OwnLayout));
        }
        let id = IndexOptions::builder().unique(true).build();
        let id = IndexModel::builder().keys(doc! { "id": 1 }).options(id);
        let made = create(&self.place, [removal("expiration"), id.build()]).await?;
        made.map_err(|error| match *error.kind {
            ErrorKind::Command(ref command) if command.code == DUPLICATE_KEY => {
                failed(Foreign::Duplicates)
            }
            _ => failed(error),
        })
    }
}
