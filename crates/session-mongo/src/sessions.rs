use std::time::SystemTime;

use mongodb::bson::{doc, oid::ObjectId};
use session_core::{
    Loaded, Record, Result, Revision, SessionStore, StoreKey, Touch, Write, async_trait,
};

use crate::{
    MongoStore, commands,
    document::{binary, decode, instant, stored_revision, token},
};

#[async_trait]
impl SessionStore for MongoStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let live = doc! {
            "_id": binary(key.as_str()),
            "expires_at": { "$gt": instant(SystemTime::now()) },
        };
        let found = self.place.find_one(live).await?;
        found.as_deref().map(decode).transpose()
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.place.check(&record.payload)?;
        let (revision, now) = (ObjectId::new(), SystemTime::now());
        let command = commands::insert(self.place.name(), key, record, revision, now);
        Ok(self.place.write(command).await?.written(token(revision)))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.place.check(&record.payload)?;
        let Some(loaded) = stored_revision(revision) else {
            return Ok(Write::Refused);
        };
        let (new, now) = (ObjectId::new(), SystemTime::now());
        let command = commands::update(self.place.name(), key, record, (loaded, new), now);
        Ok(self.place.write(command).await?.written(token(new)))
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
