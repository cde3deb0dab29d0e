//! Flask's layout: documents as Flask-Session writes them, which a Flask application can share.

use mongodb::{
    IndexModel,
    bson::{DateTime, Document, RawDocument, doc},
    error::ErrorKind,
    options::IndexOptions,
};
use session_core::{
    Error, Loaded, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait,
};

use crate::{
    MongoStore,
    collection::CollectionHandle,
    error::{backend_error, unsuitable_error},
    indexes::{create, expiry_index},
    layout::{bytes, encode_bytes},
    reply::DUPLICATE_KEY,
};

const OWN_LAYOUT: &str = "the collection holds sessions that are not in Flask-Session's layout; \
                          name another collection with SESSION_MONGODB_COLLECT";
const DUPLICATES: &str = "the collection holds two documents with one id, so the unique index \
                          cannot be created; remove all but the one that expires last";

impl MongoStore {
    /// Converts the store to Flask-Session's layout, on the same server, database and collection.
    ///
    /// Lowers the limit to at most [`FlaskMongoStore::DEFAULT_LIMIT`]. Needs the Cargo feature
    /// `flask`.
    #[must_use]
    pub fn with_flask_layout(self) -> FlaskMongoStore {
        let mut collection = self.collection;
        collection.limit = collection.limit.min(FlaskMongoStore::DEFAULT_LIMIT);
        FlaskMongoStore { collection }
    }
}

/// Sessions in a collection of Flask-Session: `{_id, id, val, expiration}`.
///
/// [`MongoStore::with_flask_layout`] creates it. Needs the Cargo feature `flask`.
///
/// Call [`ensure_indexes`](Self::ensure_indexes) before the first session: Flask-Session itself
/// creates no index on `id`, and keeps no promise that needs one. This store cannot list an owner's
/// sessions.
#[derive(Clone, Debug)]
pub struct FlaskMongoStore {
    collection: CollectionHandle,
}

impl FlaskMongoStore {
    /// The size limit of a payload: 1 MiB. It is lower than that of [`MongoStore`] because an
    /// update also sends the loaded bytes, and the server compares them.
    pub const DEFAULT_LIMIT: usize = 1024 * 1024;

    /// Creates two indexes: one lets the server remove expired documents, as Flask-Session's does,
    /// and one makes `id` unique, which Flask-Session lacks.
    ///
    /// Idempotent, and safe if many processes call it at once. Without the unique index every
    /// request reads the whole collection, and a session that Flask-Session stores at the same
    /// moment can be stored twice.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or refuses, if an index of the same name has other options,
    /// if two documents have the same `id`, or if the collection holds sessions in this library's
    /// own layout.
    pub async fn ensure_indexes(&self) -> Result<()> {
        let own_layout = doc! { "_id": { "$type": "binData" } };
        if self.collection.find_one(own_layout).await?.is_some() {
            return Err(unsuitable_error(OWN_LAYOUT));
        }
        let id = IndexOptions::builder().unique(true).build();
        let id = IndexModel::builder().keys(doc! { "id": 1 }).options(id);
        let indexes = [expiry_index("expiration"), id.build()];
        let created = create(&self.collection, indexes).await?;
        created.map_err(|error| match *error.kind {
            ErrorKind::Command(ref command) if command.code == DUPLICATE_KEY => {
                unsuitable_error(DUPLICATES)
            }
            _ => backend_error(error),
        })
    }
}

#[async_trait]
impl SessionStore for FlaskMongoStore {
    fn limit(&self) -> usize {
        self.collection.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let found = self.collection.find_one(id(key)).await?;
        found.as_deref().map(decode).transpose()
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        // The `_id` refuses the second of two inserts of one key. The unique index on `id` refuses
        // an insert of a key that Flask-Session stored.
        let mut document = doc! { "_id": key.as_str(), "id": key.as_str() };
        document.extend(fields(record));
        let revision = Revision::new(record.bytes.clone());
        self.collection.insert(document, revision).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let mut filter = id(key);
        filter.insert("val", encode_bytes(revision.as_bytes()));
        let new = Revision::new(record.bytes.clone());
        self.collection.update(filter, fields(record), new).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.collection.delete(id(key)).await
    }
}

fn id(key: &StoreKey) -> Document {
    doc! { "id": key.as_str() }
}

fn fields(record: &Record) -> Document {
    // Rounded down: `load` returns it, and it must not be later than what was stored.
    let expiry = DateTime::from_system_time(record.expires_at);
    doc! { "val": encode_bytes(&record.bytes), "expiration": expiry }
}

fn decode(document: &RawDocument) -> Result<Loaded> {
    let expiry = document
        .get_datetime("expiration")
        .map_err(Error::corrupt)?;
    Ok(Loaded {
        expires_at: Some(expiry.to_system_time()),
        ..Loaded::compared_by_bytes(bytes(document, "val")?.to_vec())
    })
}
