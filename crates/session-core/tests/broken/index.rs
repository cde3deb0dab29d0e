use session_core::OwnerIndex;

use super::*;

impl BrokenStore {
    /// Writes the entry of an index of this store's own, for the faults that have one.
    pub(super) async fn file(&self, key: &StoreKey, record: &Record) {
        let Some(owner) = &record.owner else {
            return;
        };
        let mut list = self.seen().owned.get(owner).cloned().unwrap_or_default();
        let entry = (key.clone(), record.expires_at);
        if self.fault == Fault::IndexReadsThenWrites {
            Self::between().await;
            list.push(entry);
            self.seen().owned.insert(owner.clone(), list);
        } else if self.fault != Fault::IndexFillsUp || list.len() < 20 {
            self.seen()
                .owned
                .entry(owner.clone())
                .or_default()
                .push(entry);
        }
    }

    pub(super) async fn sweep_without_care(&self) -> Result<u64> {
        let mut expired = Vec::new();
        let keys = self.seen().keys.clone();
        for key in keys {
            let ended = self.inner.load(&key).await?.is_none();
            if ended && self.timeless.load(&key).await?.is_some() {
                expired.push(key);
            }
        }
        Self::between().await;
        for key in &expired {
            self.inner.delete(key).await?;
        }
        Ok(expired.len() as u64)
    }
}

#[async_trait]
impl OwnerIndex for BrokenStore {
    async fn owned_by(&self, owner: &OwnerKey) -> Result<Vec<(StoreKey, Loaded)>> {
        let owner = &self.mangled_owner(owner);
        let mut listed = self.inner.owned_by(owner).await?;
        let own_list = self.seen().owned.get(owner).cloned().unwrap_or_default();
        match self.fault {
            Fault::IndexForgets => drop(listed.pop()),
            Fault::IndexGivesNoPayload => {
                for (_, loaded) in &mut listed {
                    loaded.payload.clear();
                }
            }
            Fault::IndexReadsThenWrites | Fault::IndexFillsUp => {
                listed.retain(|(key, _)| own_list.iter().any(|(own, _)| own == key));
            }
            Fault::IndexGoesByTimeAlone => {
                let now = SystemTime::now();
                listed
                    .retain(|(key, _)| own_list.iter().any(|(own, end)| own == key && *end > now));
            }
            Fault::IndexKeepsTheEnded => listed = self.timeless.owned_by(owner).await?,
            _ => {}
        }
        Ok(listed)
    }
}
