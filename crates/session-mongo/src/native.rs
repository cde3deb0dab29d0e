use std::time::SystemTime;

use mongodb::bson::{doc, oid::ObjectId};
use session_core::{
    Cursor, Error, Listed, Loaded, OwnerIndex, OwnerKey, Page, Record, Result, Revision,
    SessionStore, StoreKey, Write, async_trait,
};

use crate::{
    MongoStore,
    document::{blob, bytes, decode, decode_listed, fields, id, instant, stored_revision, token},
};

#[async_trait]
impl SessionStore for MongoStore {
    fn limit(&self) -> usize {
        self.place.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let found = self.place.find_one(id(key)).await?;
        found.as_deref().map(decode).transpose()
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let (mut document, revision) = (id(key), ObjectId::new());
        document.extend(fields(record, revision));
        self.place.insert(document, token(revision)).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let Some(loaded) = stored_revision(revision) else {
            return Ok(Write::Refused);
        };
        let (mut unchanged, new) = (id(key), ObjectId::new());
        unchanged.insert("revision", loaded);
        let change = fields(record, new);
        self.place.update(unchanged, change, token(new)).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.place.delete(id(key)).await
    }
}

#[async_trait]
impl OwnerIndex for MongoStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let mut listed = doc! {
            "owner": blob(owner.as_str().as_bytes()),
            "listed_until": { "$gt": instant(SystemTime::now()) },
        };
        if let Some(cursor) = cursor {
            listed.insert("_id", doc! { "$gt": blob(cursor.as_bytes()) });
        }
        let limit = u32::try_from(limit.max(1)).unwrap_or(u32::MAX);
        let found = self.place.find_heads(listed, limit).await?;
        let mut records: Vec<Listed> = Vec::new();
        for document in &found {
            match decode_listed(document) {
                Ok(listed) => records.push(listed),
                // One unreadable record must not keep the owner's others alive.
                Err(Error::Corrupt { source }) => {
                    tracing::warn!(%source, "a session record cannot be read and counts as absent");
                }
                Err(error) => return Err(error),
            }
        }
        let next = found
            .get(limit as usize - 1)
            .map(|last| bytes(last, "_id").map(|id| Cursor::new(id.to_vec())))
            .transpose()?;
        Ok(Page { records, next })
    }
}
