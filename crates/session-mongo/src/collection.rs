//! `CollectionHandle`, the collection of the sessions with the commands that read and write it.

use std::fmt;

use mongodb::{
    Collection, Database,
    bson::{Document, RawDocumentBuf, doc},
    options::{CollectionOptions, ReadPreference, SelectionCriteria},
};
use session_core::{Connections, Result, Revision, Write};

use crate::{
    call_limit::CallLimit,
    clients::Clients,
    names::{CollectionName, DatabaseName},
    reply::wrote_document,
};

/// How long a write waits for the majority, in milliseconds: less than a request waits for its
/// store. Without a limit, writes would hold all connections when too few members are up.
const MAJORITY: i32 = 800;

/// The collection of the sessions. A clone is a handle on the same client.
#[derive(Clone)]
pub(crate) struct CollectionHandle {
    clients: Clients,
    database: DatabaseName,
    name: CollectionName,
    call_limit: CallLimit,
    pub(crate) limit: usize,
}

/// The database and the collection of one call.
pub(crate) struct Target {
    pub(crate) database: Database,
    pub(crate) documents: Collection<RawDocumentBuf>,
}

impl CollectionHandle {
    pub(crate) fn new(clients: Clients, pool_size: u32, limit: usize) -> Self {
        Self {
            clients,
            database: DatabaseName::default(),
            name: CollectionName::default(),
            call_limit: CallLimit::new(pool_size),
            limit,
        }
    }

    pub(crate) fn in_database(self, database: DatabaseName) -> Self {
        Self { database, ..self }
    }

    pub(crate) fn in_collection(self, name: CollectionName) -> Self {
        Self { name, ..self }
    }

    /// Runs a call that does not wait for the majority.
    pub(crate) async fn run<T, F>(
        &self,
        call: impl FnOnce(Target) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = mongodb::error::Result<T>> + Send + 'static,
    {
        self.call_limit.run(self.clone().on_target(call)).await
    }

    async fn on_target<T, F>(self, call: impl FnOnce(Target) -> F) -> mongodb::error::Result<T>
    where
        F: Future<Output = mongodb::error::Result<T>>,
    {
        let client = self.clients.for_call();
        let database = client.client.database(self.database.as_str());
        let result = call(Target {
            documents: primary_collection(&database, self.name.as_str()),
            database,
        });
        let result = result.await;
        client.answered();
        result
    }

    /// Those that calls use.
    pub(crate) fn connections(&self) -> Connections {
        let (used, max) = self.call_limit.used();
        Connections {
            used: used as u64,
            max: Some(max as u64),
            ..Connections::default()
        }
    }

    pub(crate) async fn find_one(&self, filter: Document) -> Result<Option<RawDocumentBuf>> {
        self.run(|target| async move { target.documents.find_one(filter).await })
            .await
    }

    /// Finds the first `limit` documents that match `filter`, in the order of `_id`. Reads `_id`
    /// and `head` only.
    pub(crate) async fn find_heads(
        &self,
        filter: Document,
        limit: u32,
    ) -> Result<Vec<RawDocumentBuf>> {
        let find = move |target: Target| async move {
            let mut cursor = target
                .documents
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
        };
        self.run(find).await
    }

    /// Inserts `document`, which is then at `revision`. Refused if a unique index has its key.
    pub(crate) async fn insert(&self, document: Document, revision: Revision) -> Result<Write> {
        let written = self.write("insert", "documents", document).await?;
        Ok(write_result(written, revision))
    }

    /// Sets the fields of `change` in the document that matches `filter`, which is then at
    /// `revision`.
    pub(crate) async fn update(
        &self,
        filter: Document,
        change: Document,
        revision: Revision,
    ) -> Result<Write> {
        let statement = doc! { "q": filter, "u": { "$set": change } };
        let written = self.write("update", "updates", statement).await?;
        Ok(write_result(written, revision))
    }

    /// Removes all documents that match `filter`.
    pub(crate) async fn delete(&self, filter: Document) -> Result<()> {
        // With a limit of 1, DocumentDB 1.0 can keep the document and answer that it removed
        // none, if the delete waited for another write of it: a log-out that was not done.
        const ALL: i32 = 0;
        let statement = doc! { "q": filter, "limit": ALL };
        self.write("delete", "deletes", statement).await.map(drop)
    }

    /// Sends a write as a plain command and returns whether it wrote a document.
    ///
    /// The driver's own `update_one` is sent again when a reply is lost, if the application's
    /// client has `retryWrites`. A compare-and-set must never be sent twice.
    async fn write(&self, verb: &str, field: &str, statement: Document) -> Result<bool> {
        let mut command = Document::new();
        command.insert(verb, self.name.as_str());
        command.insert(field, [statement]);
        command.insert(
            "writeConcern",
            doc! { "w": "majority", "wtimeout": MAJORITY },
        );
        let write = |target: Target| async move { target.database.run_command(command).await };
        let write = self.clone().on_target(write);
        wrote_document(&self.call_limit.write(write).await?)
    }
}

fn write_result(written: bool, revision: Revision) -> Write {
    if written {
        Write::Stored(revision)
    } else {
        Write::Refused
    }
}

/// Reads go to the primary, because only the primary has every log-out.
fn primary_collection(database: &Database, name: &str) -> Collection<RawDocumentBuf> {
    let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
    let options = CollectionOptions::builder()
        .selection_criteria(primary)
        .build();
    database.collection_with_options(name, options)
}

impl fmt::Debug for CollectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the client, because its options hold a password.
        f.debug_struct("CollectionHandle")
            .field(
                "collection",
                &format_args!("{}.{}", self.database.as_str(), self.name.as_str()),
            )
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
