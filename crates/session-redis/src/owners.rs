use std::time::SystemTime;

use futures_util::future::try_join_all;
use redis::Pipeline;
use session_core::{
    Cursor, Listed, OwnerIndex, OwnerKey, Page, Record, Result, StoreKey, async_trait,
};

use crate::{
    RedisStore,
    failure::backend,
    records::millis,
    script::{ENTER_AFTER, ENTER_BEFORE},
};

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
        if cursor.is_none()
            && let Some(keys) = self.few(owner, limit).await?
        {
            let records = self.heads(keys).await?;
            return Ok(Page {
                records,
                next: None,
            });
        }
        let from = cursor.map_or(b"0".as_slice(), Cursor::as_bytes);
        let commands = |commands: &mut Pipeline| {
            let scan = commands.cmd("ZSCAN").arg(owner.as_str()).arg(from);
            scan.arg("COUNT").arg(limit.max(1));
        };
        // Of the commands that page, this alone finds whatever is there all the time, wherever entries move meanwhile.
        let answer = self.lanes.read(&commands).await.map_err(backend)?;
        let ((next, entries),): ((String, Vec<(String, i64)>),) = answer;
        let now = millis(SystemTime::now());
        let keys = entries.into_iter().filter(|(_, time)| *time >= now);
        Ok(Page {
            records: self.heads(keys.map(|(key, _)| key).collect()).await?,
            next: (next != "0").then(|| Cursor::new(next)),
        })
    }
}

impl RedisStore {
    /// All keys that the index names, unless they are more than `limit`: found without a look at those whose time has
    /// passed, however many are left of them.
    async fn few(&self, owner: &OwnerKey, limit: usize) -> Result<Option<Vec<String>>> {
        let commands = |commands: &mut Pipeline| {
            let range = commands.cmd("ZRANGEBYSCORE").arg(owner.as_str());
            range.arg(millis(SystemTime::now())).arg("+inf");
            range.arg("LIMIT").arg(0).arg(limit.saturating_add(1));
        };
        let (keys,): (Vec<String>,) = self.lanes.read(&commands).await.map_err(backend)?;
        Ok((keys.len() <= limit).then_some(keys))
    }

    async fn heads(&self, keys: Vec<String>) -> Result<Vec<Listed>> {
        let end = (Record::HEAD - 1).to_string();
        let mut found = Vec::with_capacity(keys.len());
        let mut keys = keys.into_iter().map(StoreKey::from_stored).peekable();
        while keys.peek().is_some() {
            let heads = keys.by_ref().take(BATCH).map(|key| async {
                let command = ["GETRANGE", key.as_str(), "0", &end];
                let head = self.read_string(&command).await?;
                // An empty one is what Redis makes of a key that is not there.
                let head = head.filter(|head| !head.is_empty());
                Ok(head.map(|head| Listed {
                    key,
                    head: head.into(),
                }))
            });
            found.extend(try_join_all(heads).await?.into_iter().flatten());
        }
        Ok(found)
    }

    /// The record's entry, where one script can write both: the index and the time.
    pub(crate) fn entry_beside<'r>(&self, record: &'r Record) -> Option<(&'r str, String)> {
        entry(record).filter(|_| !self.lanes.server.is_cluster())
    }

    /// Names a record before it is written, where one script cannot write both. Answers with the later time that the
    /// entry has and keeps, or 0.
    pub(crate) async fn enter_before(&self, key: &StoreKey, record: &Record) -> Result<i64> {
        let Some((index, time)) = entry(record).filter(|_| self.lanes.server.is_cluster()) else {
            return Ok(0);
        };
        let args = [key.as_str().as_bytes(), time.as_bytes()];
        let answer = self.lanes.run(&ENTER_BEFORE, &[index], &args).await;
        answer.map_err(backend)
    }

    /// Moves the entry of a record that was written to its time, from the `later` one that it had.
    pub(crate) async fn enter_after(
        &self,
        key: &StoreKey,
        record: &Record,
        later: i64,
    ) -> Result<()> {
        if let Some((index, time)) = entry(record).filter(|_| later != 0) {
            let (key, later) = (key.as_str().as_bytes(), later.to_string());
            let args = [key, time.as_bytes(), later.as_bytes()];
            let answer = self.lanes.run(&ENTER_AFTER, &[index], &args).await;
            answer.map_err(backend)?;
        }
        Ok(())
    }
}

fn entry(record: &Record) -> Option<(&str, String)> {
    let entry = record.entry.as_ref()?;
    let time = millis(entry.expires_at).to_string();
    Some((entry.owner.as_str(), time))
}
