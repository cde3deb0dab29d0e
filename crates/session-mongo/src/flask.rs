//! Documents as Flask-Session lays them out, so that a Flask application and this one can share live sessions.

mod commands;
mod document;
mod indexes;

use std::time::SystemTime;

use session_core::{
    Error, Loaded, Record, Result, Revision, SessionStore, StoreKey, Touch, Write, async_trait,
};

use crate::{MongoStore, place::Place};

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
}

#[async_trait]
impl SessionStore for FlaskMongoStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let live = document::live(key, SystemTime::now());
        let found = self.place.find_one(live).await?;
        found.as_deref().map(document::decode).transpose()
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.place.check(&record.payload)?;
        let command = commands::insert(self.place.name(), key, record, SystemTime::now());
        let revision = document::token(&record.payload);
        Ok(self.place.write(command).await?.written(revision))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.place.check(&record.payload)?;
        // Flask may have stored a larger one: both must fit the command.
        let (size, limit) = (revision.as_bytes().len(), MongoStore::DEFAULT_LIMIT);
        if size > limit - record.payload.len() {
            return Err(Error::TooLarge { size, limit });
        }
        let command = commands::update(self.place.name(), key, record, revision, SystemTime::now());
        let revision = document::token(&record.payload);
        Ok(self.place.write(command).await?.written(revision))
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let command = commands::touch(self.place.name(), key, expires_at, SystemTime::now());
        Ok(self.place.write(command).await?.moved())
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let command = commands::delete(self.place.name(), key);
        self.place.write(command).await.map(drop)
    }
}
