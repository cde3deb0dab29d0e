//! Lists the sessions of an owner: `OwnerIndex` for `RedisStore`.

use std::time::SystemTime;

use futures_util::future::try_join_all;
use session_core::{
    Bytes, Cursor, Listed, OwnerIndex, OwnerKey, Page, Record, Result, SessionStore, StoreKey,
    async_trait,
};

use crate::{RedisStore, expiry::unix_millis};

// How many records are read at the same time.
const MAX_READS: usize = 256;

#[async_trait]
impl OwnerIndex for RedisStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let (keys, next) = match cursor {
            None => match self.all_keys(owner, limit).await? {
                Some(keys) => (keys, None),
                None => self.scan_keys(owner, b"0", limit).await?,
            },
            Some(cursor) => self.scan_keys(owner, cursor.as_bytes(), limit).await?,
        };
        let records = self.heads(&keys).await?;
        Ok(Page { records, next })
    }
}

impl RedisStore {
    /// All keys that the index names, or `None` if they are more than `limit`. The query skips
    /// entries whose time has passed, however many there are.
    async fn all_keys(&self, owner: &OwnerKey, limit: usize) -> Result<Option<Vec<String>>> {
        let now = unix_millis(SystemTime::now()).to_string();
        let count = limit.saturating_add(1).to_string();
        let (owner, now, count) = (owner.as_str().as_bytes(), now.as_bytes(), count.as_bytes());
        let range = [b"ZRANGEBYSCORE", owner, now, b"+inf", b"LIMIT", b"0", count];
        let keys: Vec<String> = self.read(&range).await?;
        Ok((keys.len() <= limit).then_some(keys))
    }

    /// About `limit` keys that the index names, and the cursor of the next page.
    ///
    /// `ZSCAN`, because it is the only paging command that finds every entry that exists during the
    /// whole scan, also if entries move meanwhile.
    async fn scan_keys(
        &self,
        owner: &OwnerKey,
        cursor: &[u8],
        limit: usize,
    ) -> Result<(Vec<String>, Option<Cursor>)> {
        let (owner, count) = (owner.as_str().as_bytes(), limit.max(1).to_string());
        let scan = [b"ZSCAN", owner, cursor, b"COUNT", count.as_bytes()];
        let (next, entries): (String, Vec<(String, i64)>) = self.read(&scan).await?;
        let now = unix_millis(SystemTime::now());
        let keys = entries.into_iter().filter(|(_, time)| *time >= now);
        let keys = keys.map(|(key, _)| key).collect();
        Ok((keys, (next != "0").then(|| Cursor::new(next))))
    }

    /// The first bytes of the records. Leaves out keys without a record.
    pub(crate) async fn heads(&self, keys: &[String]) -> Result<Vec<Listed>> {
        let last = (Record::HEAD - 1).to_string();
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MAX_READS) {
            let heads = keys.iter().map(async |key| {
                let key = StoreKey::from_stored(key.as_str());
                let range = [b"GETRANGE", key.as_str().as_bytes(), b"0", last.as_bytes()];
                let head = match self.read_string(&range).await? {
                    // The answer is the same for an empty record and for no record.
                    Some(empty) if empty.is_empty() => self.load(&key).await?.map(|it| it.bytes),
                    head => head.map(Bytes::from),
                };
                Ok(head.map(|head| Listed { key, head }))
            });
            found.extend(try_join_all(heads).await?.into_iter().flatten());
        }
        Ok(found)
    }
}
