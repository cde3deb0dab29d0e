use std::fmt;

use mongodb::{
    Client, Collection, Database,
    bson::{Document, RawDocumentBuf, doc},
    options::{CollectionOptions, ReadPreference, SelectionCriteria},
};
use session_core::{Result, Revision, Write};

use crate::{
    calls::Calls,
    names::{CollectionName, DatabaseName},
    reply::wrote,
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

    pub(crate) async fn find_one(&self, filter: Document) -> Result<Option<RawDocumentBuf>> {
        let collection = self.collection.clone();
        let found = self
            .calls
            .run(async move { collection.find_one(filter).await });
        found.await
    }

    /// The first `limit` documents that answer `filter`, by `_id`, without what follows the records' heads.
    pub(crate) async fn find_heads(
        &self,
        filter: Document,
        limit: u32,
    ) -> Result<Vec<RawDocumentBuf>> {
        let collection = self.collection.clone();
        let found = self.calls.run(async move {
            let mut cursor = collection
                .find(filter)
                .sort(doc! { "_id": 1 })
                .projection(doc! { "head": 1 })
                .limit(limit.into())
                .batch_size(limit)
                .await?;
            let mut found = Vec::new();
            while cursor.advance().await? {
                found.push(cursor.current().to_owned());
            }
            Ok(found)
        });
        found.await
    }

    /// Adds `document`, which is then at `revision`; refused if it runs into another.
    pub(crate) async fn insert(&self, document: Document, revision: Revision) -> Result<Write> {
        let done = self.write("insert", "documents", document).await?;
        Ok(answer(done, revision))
    }

    /// Sets the fields of `change` in the document that answers `filter`, which is then at `revision`.
    pub(crate) async fn update(
        &self,
        filter: Document,
        change: Document,
        revision: Revision,
    ) -> Result<Write> {
        let statement = doc! { "q": filter, "u": { "$set": change } };
        let done = self.write("update", "updates", statement).await?;
        Ok(answer(done, revision))
    }

    /// Removes all documents that answer `filter`.
    pub(crate) async fn delete(&self, filter: Document) -> Result<()> {
        const ALL: i32 = 0;
        let statement = doc! { "q": filter, "limit": ALL };
        self.write("delete", "deletes", statement).await.map(drop)
    }

    /// Writes go out as plain commands because the driver sends its own `update_one` a second time when a reply is lost,
    /// if the application's client says so, and a compare-and-set must never be sent twice.
    async fn write(&self, verb: &str, field: &str, statement: Document) -> Result<bool> {
        let (database, mut command) = (self.database.clone(), Document::new());
        command.insert(verb, self.collection.name());
        command.insert(field, [statement]);
        command.insert("writeConcern", doc! { "w": "majority" });
        let reply = self
            .calls
            .run(async move { database.run_command(command).await });
        wrote(&reply.await?)
    }
}

fn answer(done: bool, revision: Revision) -> Write {
    if done {
        Write::Stored(revision)
    } else {
        Write::Refused
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
