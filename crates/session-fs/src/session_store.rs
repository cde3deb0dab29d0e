//! The implementation of `SessionStore`: each call runs on a thread that may block.

use std::sync::Arc;

use session_core::{
    Finding, Loaded, OwnerIndex, Record, Result, Revision, Scan, SessionStore, StoreKey, Write,
    async_trait,
};

use crate::{blocking::blocking, name::Name, store::FileStore};

#[async_trait]
impl SessionStore for FileStore {
    fn limit(&self) -> usize {
        self.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let (root, name) = (self.root.clone(), Name::of(key.as_str()));
        let found = blocking(&self.root, move || root.load(&name)).await?;
        Ok(found.map(|stored| Loaded::compared_by_bytes(stored.record)))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let (root, key, record) = (self.root.clone(), key.clone(), record.clone());
        let result = blocking(&self.root, move || root.insert(&key, &record)).await?;
        self.sweep_above_threshold();
        Ok(result)
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let (root, key, record) = (self.root.clone(), key.clone(), record.clone());
        let (shard, loaded) = (Name::of(key.as_str()).shard(), revision.clone());
        let update = move || root.update(&key, &record, &loaded);
        self.writers.run(&self.root, shard, update).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let (root, name) = (self.root.clone(), Name::of(key.as_str()));
        let delete = move || root.delete(&name);
        self.writers.run(&self.root, name.shard(), delete).await
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        Some(self)
    }

    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        Some(self)
    }

    async fn diagnose(&self) -> Result<Vec<Finding>> {
        self.findings().await
    }
}
