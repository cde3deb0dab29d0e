use std::time::SystemTime;

use futures_util::future::try_join_all;
use session_core::{
    Bytes, Cursor, Listed, OwnerIndex, OwnerKey, Page, Record, Result, SessionStore, StoreKey,
    async_trait,
};

use crate::{RedisStore, records::millis};

// How many records are asked for at once.
const BATCH: usize = 256;

#[async_trait]
impl OwnerIndex for RedisStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let (keys, next) = match cursor {
            None => match self.few(owner, limit).await? {
                Some(keys) => (keys, None),
                None => self.some(owner, b"0", limit).await?,
            },
            Some(cursor) => self.some(owner, cursor.as_bytes(), limit).await?,
        };
        let records = self.heads(&keys).await?;
        Ok(Page { records, next })
    }
}

impl RedisStore {
    /// All keys that the index names, unless they are more than `limit`: found without a look at those whose time has
    /// passed, however many are left of them.
    async fn few(&self, owner: &OwnerKey, limit: usize) -> Result<Option<Vec<String>>> {
        let now = millis(SystemTime::now()).to_string();
        let most = limit.saturating_add(1).to_string();
        let (owner, now, most) = (owner.as_str().as_bytes(), now.as_bytes(), most.as_bytes());
        let range = [b"ZRANGEBYSCORE", owner, now, b"+inf", b"LIMIT", b"0", most];
        let keys: Vec<String> = self.read(&range).await?;
        Ok((keys.len() <= limit).then_some(keys))
    }

    /// About `limit` keys that the index names, and where to go on. Of the commands that page, this one alone finds
    /// whatever is there all the time, wherever entries move meanwhile.
    async fn some(
        &self,
        owner: &OwnerKey,
        from: &[u8],
        limit: usize,
    ) -> Result<(Vec<String>, Option<Cursor>)> {
        let (owner, count) = (owner.as_str().as_bytes(), limit.max(1).to_string());
        let scan = [b"ZSCAN", owner, from, b"COUNT", count.as_bytes()];
        let (next, entries): (String, Vec<(String, i64)>) = self.read(&scan).await?;
        let now = millis(SystemTime::now());
        let keys = entries.into_iter().filter(|(_, time)| *time >= now);
        let keys = keys.map(|(key, _)| key).collect();
        Ok((keys, (next != "0").then(|| Cursor::new(next))))
    }

    async fn heads(&self, keys: &[String]) -> Result<Vec<Listed>> {
        let last = (Record::HEAD - 1).to_string();
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(BATCH) {
            let heads = keys.iter().map(async |key| {
                let key = StoreKey::from_stored(key.as_str());
                let range = [b"GETRANGE", key.as_str().as_bytes(), b"0", last.as_bytes()];
                let head = match self.read_string(&range).await? {
                    // Nothing, or an empty record: Redis says the same of both.
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
