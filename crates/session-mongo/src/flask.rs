//! Documents as Flask-Session lays them out, so that a Flask application and this one can share live sessions.

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
    document::{blob, bytes},
    failure::failed,
    foreign,
    indexes::{create, removal},
    place::Place,
    reply::DUPLICATE_KEY,
};

/// Sessions in a collection of Flask-Session: `{_id, id, val, expiration}`.
///
/// Made by [`MongoStore::with_flask_layout`](crate::MongoStore::with_flask_layout). Flask-Session has no index on `id` and
/// keeps no promise that needs one: call [`ensure_indexes`](Self::ensure_indexes) before the first session. It cannot
/// name an owner's sessions.
#[derive(Clone, Debug)]
pub struct FlaskMongoStore {
    place: Place,
}

impl FlaskMongoStore {
    /// The largest payload: 1 MiB, because a change sends the bytes that were loaded as well, and the server compares
    /// them.
    pub const DEFAULT_LIMIT: usize = 1024 * 1024;

    pub(crate) fn of(mut place: Place) -> Self {
        place.limit = place.limit.min(Self::DEFAULT_LIMIT);
        Self { place }
    }

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
            return Err(failed(foreign::OWN_LAYOUT));
        }
        let id = IndexOptions::builder().unique(true).build();
        let id = IndexModel::builder().keys(doc! { "id": 1 }).options(id);
        let made = create(&self.place, [removal("expiration"), id.build()]).await?;
        made.map_err(|error| match *error.kind {
            ErrorKind::Command(ref command) if command.code == DUPLICATE_KEY => {
                failed(foreign::DUPLICATES)
            }
            _ => failed(error),
        })
    }
}

#[async_trait]
impl SessionStore for FlaskMongoStore {
    fn limit(&self) -> usize {
        self.place.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let found = self.place.find_one(id(key)).await?;
        found.as_deref().map(decode).transpose()
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        // Of two at once for one key the second runs into the `_id`; into the unique index on `id` if Flask made the first.
        let mut document = doc! { "_id": key.as_str(), "id": key.as_str() };
        document.extend(fields(record));
        self.place
            .insert(document, Revision::new(record.bytes.clone()))
            .await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let mut unchanged = id(key);
        unchanged.insert("val", blob(revision.as_bytes()));
        let new = Revision::new(record.bytes.clone());
        self.place.update(unchanged, fields(record), new).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.place.delete(id(key)).await
    }
}

fn id(key: &StoreKey) -> Document {
    doc! { "id": key.as_str() }
}

fn fields(record: &Record) -> Document {
    // Rounded down: it is told again, and must not be later than it was given.
    let ends = DateTime::from_system_time(record.expires_at);
    doc! { "val": blob(&record.bytes), "expiration": ends }
}

fn decode(document: &RawDocument) -> Result<Loaded> {
    let ends = document
        .get_datetime("expiration")
        .map_err(Error::corrupt)?;
    Ok(Loaded {
        expires_at: Some(ends.to_system_time()),
        ..Loaded::compared_by_bytes(bytes(document, "val")?.to_vec())
    })
}
