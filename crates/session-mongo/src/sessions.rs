use std::time::SystemTime;

use mongodb::bson::{doc, oid::ObjectId};
use session_core::{
    Loaded, Record, Result, Revision, SessionStore, StoreKey, Touch, Write, async_trait,
};

use crate::{
    MongoStore, commands,
    document::{binary, decode, instant, stored_revision, token},
    reply::Outcome,
};

#[async_trait]
impl SessionStore for MongoStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let live = doc! {
            "_id": binary(key.as_str()),
            "expires_at": { "$gt": instant(SystemTime::now()) },
        };
        let collection = self.collection.clone();
        let found = self
            .calls
            .run(async move { collection.find_one(live).await });
        found.await?.as_deref().map(decode).transpose()
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.check(&record.payload)?;
        let revision = ObjectId::new();
        let command = commands::insert(
            self.collection.name(),
            key,
            record,
            revision,
            SystemTime::now(),
        );
        Ok(written(self.write(command).await?, revision))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.check(&record.payload)?;
        let Some(loaded) = stored_revision(revision) else {
            return Ok(Write::Refused);
        };
        let new = ObjectId::new();
        let command = commands::update(
            self.collection.name(),
            key,
            record,
            (loaded, new),
            SystemTime::now(),
        );
        Ok(written(self.write(command).await?, new))
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let command = commands::touch(self.collection.name(), key, expires_at, SystemTime::now());
        Ok(match self.write(command).await? {
            Outcome::Done => Touch::Moved,
            Outcome::NoMatch | Outcome::Taken => Touch::Refused,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.write(commands::delete(self.collection.name(), key))
            .await
            .map(drop)
    }
}

fn written(outcome: Outcome, revision: ObjectId) -> Write {
    match outcome {
        Outcome::Done => Write::Stored(token(revision)),
        Outcome::NoMatch | Outcome::Taken => Write::Refused,
    }
}
