//! The scan of a broken store, with its defects.

use session_core::{Cursor, KeyPrefix, Listed, Scan};

use super::*;

impl BrokenStore {
    /// All records whose keys `wanted` accepts, on one page.
    async fn all(&self, wanted: impl Fn(&str) -> bool) -> Result<Page> {
        let mut keys = self.observed().keys.clone();
        keys.retain(|key| wanted(key.as_str()));
        let mut records = Vec::new();
        for key in keys {
            if let Some(loaded) = self.inner.load(&key).await? {
                let head = loaded.bytes;
                records.push(Listed { key, head });
            }
        }
        let next = None;
        Ok(Page { records, next })
    }

    /// A page whose cursor is the number of its first record.
    async fn by_number(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let mut page = self.inner.records(prefix, None, usize::MAX).await?;
        let first = cursor.map_or(0, |cursor| {
            let bytes = cursor.as_bytes().try_into();
            usize::from_be_bytes(bytes.expect("it is that of this store"))
        });
        let last = first.saturating_add(limit);
        let more = page.records.len() > last;
        page.records.truncate(last);
        page.records.drain(..first.min(page.records.len()));
        page.next = more.then(|| Cursor::new(last.to_be_bytes().to_vec()));
        Ok(page)
    }
}

#[async_trait]
impl Scan for BrokenStore {
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        match self.defect {
            Defect::ScanIgnoresThePrefix => return self.all(|_| true).await,
            Defect::ScanIgnoresCase => {
                let prefix = prefix.as_str().to_lowercase();
                return self
                    .all(|key| key.to_lowercase().starts_with(&prefix))
                    .await;
            }
            Defect::ScanGivesAllAtOnce => {
                return self.all(|key| prefix.is_of_record(key)).await;
            }
            Defect::ScanPagesByNumber => return self.by_number(prefix, cursor, limit).await,
            _ => {}
        }
        let mut page = self.inner.records(prefix, cursor, limit).await?;
        match self.defect {
            Defect::ScanForgets => drop(page.records.pop()),
            Defect::ScanGivesNoHead => {
                page.records
                    .iter_mut()
                    .for_each(|it| it.head = Bytes::new());
            }
            Defect::ScanMixesAnswers => {
                let mut pages = self.pages.lock().await;
                pages.push_back(page);
                tokio::task::yield_now().await;
                page = pages.pop_front().expect("one was put there");
            }
            _ => {}
        }
        Ok(page)
    }
}
