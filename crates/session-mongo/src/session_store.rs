//! The implementation of `SessionStore`.

use std::sync::Arc;

use mongodb::bson::oid::ObjectId;
use session_core::{
    Connections, Finding, Loaded, OwnerIndex, Record, Result, Revision, Scan, SessionStore,
    StoreKey, Write, async_trait,
};

use crate::{
    MongoStore,
    layout::{decode, decode_revision, encode_revision, fields, id},
};

#[async_trait]
impl SessionStore for MongoStore {
    fn limit(&self) -> usize {
        self.collection.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let found = self.collection.find_one(id(key)).await?;
        found.as_deref().map(decode).transpose()
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let (mut document, revision) = (id(key), ObjectId::new());
        document.extend(fields(record, revision));
        let revision = encode_revision(revision);
        self.collection.insert(document, revision).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let Some(loaded) = decode_revision(revision) else {
            return Ok(Write::Refused);
        };
        let (mut filter, new) = (id(key), ObjectId::new());
        filter.insert("revision", loaded);
        let change = fields(record, new);
        let revision = encode_revision(new);
        self.collection.update(filter, change, revision).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.collection.delete(id(key)).await
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        Some(self)
    }

    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        Some(self)
    }

    fn connections(&self) -> Option<Connections> {
        Some(self.collection.connections())
    }

    async fn diagnose(&self) -> Result<Vec<Finding>> {
        self.findings().await
    }
}
