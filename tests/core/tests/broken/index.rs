//! The owner's index of a broken store, with its defects.

use session_core::{Cursor, Listed, OwnerIndex};

use super::*;

impl Observed {
    fn note(&mut self, entry: &IndexEntry, key: &StoreKey) {
        for name in entry.names() {
            let list = self.listed.entry(name.clone()).or_default();
            list.insert(key.clone(), entry.expires_at);
        }
    }
}

impl BrokenStore {
    /// The record with the entry that the inner store is given for it.
    pub(super) fn as_listed(&self, key: &StoreKey, record: &Record) -> Record {
        let mut record = record.clone();
        if self.defect == Defect::IndexListsTheUnlisted && record.entry.is_none() {
            let seen = self.observed();
            record.entry = seen.listed.keys().next().map(|owner| IndexEntry {
                owner: owner.clone(),
                provider_session: None,
                expires_at: record.expires_at,
            });
        }
        if self.defect == Defect::IndexOnlyExtends
            && let Some(entry) = &mut record.entry
            && let Some(held) = self.entry_of(&entry.owner, key)
        {
            entry.expires_at = entry.expires_at.max(held);
        }
        if self.defect == Defect::IndexForgetsTheSecondName
            && let Some(entry) = &mut record.entry
        {
            entry.provider_session = None;
        }
        record
    }

    fn entry_of(&self, owner: &OwnerKey, key: &StoreKey) -> Option<SystemTime> {
        self.observed().listed.get(owner)?.get(key).copied()
    }

    /// Keeps an index of this store's own, for the defects that have one.
    pub(super) async fn list(&self, key: &StoreKey, record: &Record, write: &Write) -> Result<()> {
        let Some(entry) = record.entry.clone() else {
            if self.defect == Defect::IndexForgetsAtAnUpdateWithout && write.is_stored() {
                for list in self.observed().listed.values_mut() {
                    list.remove(key);
                }
            }
            return Ok(());
        };
        if !write.is_stored() {
            if self.defect == Defect::IndexFollowsTheRefused {
                self.observed().note(&entry, key);
            }
            return Ok(());
        }
        self.observed()
            .heads
            .entry(key.clone())
            .or_insert_with(|| record.bytes.clone());
        if self.defect == Defect::IndexReadsThenWrites {
            let lists = self.observed().listed.clone();
            Self::between().await;
            for name in entry.names() {
                let mut list = lists.get(name).cloned().unwrap_or_default();
                list.insert(key.clone(), entry.expires_at);
                self.observed().listed.insert(name.clone(), list);
            }
        } else {
            if self.defect == Defect::IndexWritesLate {
                Self::between().await;
            }
            self.observed().note(&entry, key);
        }
        Ok(())
    }

    /// All that is under `owner` in this store's own index, by time.
    fn by_time(&self, owner: &OwnerKey) -> Vec<(SystemTime, StoreKey)> {
        let list = self
            .observed()
            .listed
            .get(owner)
            .cloned()
            .unwrap_or_default();
        let mut by_time: Vec<_> = list.into_iter().map(|(key, end)| (end, key)).collect();
        by_time.sort();
        by_time
    }

    /// A page whose cursor is a number, or the time and the key of an entry.
    async fn page_of_own_order(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let all = self.inner.owned_by(owner, None, usize::MAX).await?.records;
        let (mut keys, position) = (Vec::new(), cursor.map(Cursor::as_bytes));
        if self.defect == Defect::IndexPagesByTime {
            for (end, key) in self.by_time(owner) {
                let since = end
                    .duration_since(UNIX_EPOCH)
                    .expect("no entry is that old");
                let place = [&since.as_nanos().to_be_bytes()[..], key.as_str().as_bytes()].concat();
                keys.push((place, key));
            }
        } else {
            let keys_of_all = all.iter().map(|listed| listed.key.clone());
            keys.extend((1_u64..).map(|n| n.to_be_bytes().to_vec()).zip(keys_of_all));
        }
        keys.retain(|(place, _)| position.is_none_or(|position| &place[..] > position));
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys
            .last()
            .filter(|_| more)
            .map(|(place, _)| Cursor::new(place.clone()));
        let mut records: Vec<Listed> = all;
        records.retain(|listed| keys.iter().any(|(_, key)| *key == listed.key));
        Ok(Page { records, next })
    }
}

#[async_trait]
impl OwnerIndex for BrokenStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let owner = &self.mangled_owner(owner);
        let now = SystemTime::now();
        match self.defect {
            Defect::IndexGivesAllAtOnce => {
                return self.inner.owned_by(owner, None, usize::MAX).await;
            }
            Defect::IndexFillsUp => return self.timeless.owned_by(owner, cursor, limit).await,
            Defect::IndexPagesByNumber | Defect::IndexPagesByTime => {
                return self.page_of_own_order(owner, cursor, limit).await;
            }
            _ => {}
        }
        let index = match self.defect {
            Defect::IndexHidesTheDead => &self.timeless,
            _ => &self.inner,
        };
        let mut page = index.owned_by(owner, cursor, limit).await?;
        match self.defect {
            Defect::IndexForgets => drop(page.records.pop()),
            Defect::IndexGivesNoHead => {
                page.records
                    .iter_mut()
                    .for_each(|it| it.head = Bytes::new());
            }
            Defect::IndexKeepsTheFirstHead => {
                let seen = self.observed();
                for listed in &mut page.records {
                    listed.head = seen.heads[&listed.key].clone();
                }
            }
            Defect::IndexMixesAnswers => {
                let mut pages = self.pages.lock().await;
                pages.push_back(page);
                tokio::task::yield_now().await;
                page = pages.pop_front().expect("one was put there");
            }
            Defect::IndexPagesNeverEnd => page.next = Some(Cursor::new(Bytes::new())),
            Defect::IndexReadsThenWrites | Defect::IndexForgetsAtAnUpdateWithout => {
                page.records
                    .retain(|it| self.entry_of(owner, &it.key).is_some());
            }
            Defect::IndexFollowsTheRefused
            | Defect::IndexHidesTheDead
            | Defect::IndexWritesLate => {
                page.records
                    .retain(|it| self.entry_of(owner, &it.key) > Some(now));
            }
            Defect::IndexRemembersTheDeleted => {
                let seen = self.observed();
                page.records.retain(|it| !seen.deleted.contains(&it.key));
            }
            _ => {}
        }
        Ok(page)
    }
}
