use std::fmt;

use mongodb::{
    Client, Collection, Database,
    bson::{Document, RawDocumentBuf},
    options::{CollectionOptions, ReadPreference, SelectionCriteria},
};
use session_core::{Error, Result};

use crate::{
    calls::Calls,
    names::{CollectionName, DatabaseName},
    reply::{Outcome, outcome},
};

/// Where sessions are kept, and the ways to read and write there.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) database: Database,
    pub(crate) collection: Collection<RawDocumentBuf>,
    pub(crate) calls: Calls,
    pub(crate) limit: usize,
}

impl Place {
    pub(crate) fn new(
        client: &Client,
        database: &DatabaseName,
        collection: &CollectionName,
        limit: usize,
    ) -> Self {
        let database = client.database(database.as_str());
        Self {
            collection: sessions(&database, collection.as_str()),
            database,
            calls: Calls::new(),
            limit,
        }
    }

    pub(crate) fn in_database(self, database: &DatabaseName) -> Self {
        let database = self.database.client().database(database.as_str());
        Self {
            collection: sessions(&database, self.collection.name()),
            database,
            ..self
        }
    }

    pub(crate) fn in_collection(self, collection: &CollectionName) -> Self {
        Self {
            collection: sessions(&self.database, collection.as_str()),
            ..self
        }
    }

    /// The collection's name, as commands need it.
    pub(crate) fn name(&self) -> &str {
        self.collection.name()
    }

    pub(crate) fn check(&self, payload: &[u8]) -> Result<()> {
        let (size, limit) = (payload.len(), self.limit);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
    }

    pub(crate) async fn find_one(&self, filter: Document) -> Result<Option<RawDocumentBuf>> {
        let collection = self.collection.clone();
        let found = self
            .calls
            .run(async move { collection.find_one(filter).await });
        found.await
    }

    pub(crate) async fn write(&self, command: Document) -> Result<Outcome> {
        let database = self.database.clone();
        let reply = self
            .calls
            .run(async move { database.run_command(command).await });
        outcome(&reply.await?)
    }
}

/// Of the nodes only the primary knows of every logout.
fn sessions(database: &Database, name: &str) -> Collection<RawDocumentBuf> {
    let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let options = CollectionOptions::builder()
        .selection_criteria(primary)
        .build();
    database.collection_with_options(name, options)
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the client, whose options hold a password.
        f.debug_struct("Place")
            .field(
                "collection",
                &format_args!("{}", self.collection.namespace()),
            )
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
