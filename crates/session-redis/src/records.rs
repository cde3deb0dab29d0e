use std::time::{SystemTime, UNIX_EPOCH};

use redis::RedisResult;
use session_core::{Loaded, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait};

use crate::{
    RedisStore,
    batch::command,
    exchange::Resend,
    failure::{backend, failed_with},
    owners::Entry,
    script::{DELETE, INSERT, UPDATE},
};

// Redis refuses 0 and negative instants, and an index's times are exact up to 2^53.
const EARLIEST: i64 = 1;
const LATEST: i64 = (1 << 53) - 1;

#[async_trait]
impl SessionStore for RedisStore {
    fn limit(&self) -> usize {
        self.limit
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let bytes = self.read_string(&[b"GET", key.as_str().as_bytes()]).await?;
        Ok(bytes.map(Loaded::compared_by_bytes))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let entry = self.enter_before(key, record).await?;
        let until = millis(record.expires_at).to_string();
        let done = if let Entry::Beside(index, time) = &entry {
            let args = [&record.bytes[..], until.as_bytes(), time.as_bytes()];
            self.lanes.run(&INSERT, &[key.as_str(), index], &args).await
        } else {
            let (key, until) = (key.as_str().as_bytes(), until.as_bytes());
            let set = || command(&[b"SET", key, &record.bytes, b"NX", b"PXAT", until]);
            let answer: RedisResult<Option<String>> =
                self.lanes.exchange(&set, Resend::Never).await;
            answer.map(|answer| answer.is_some())
        };
        self.written(key, record, entry, done).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let entry = self.enter_before(key, record).await?;
        let until = millis(record.expires_at).to_string();
        let mut keys = vec![key.as_str()];
        let mut args = vec![revision.as_bytes(), &record.bytes, until.as_bytes()];
        if let Entry::Beside(index, time) = &entry {
            keys.push(index);
            args.push(time.as_bytes());
        }
        let done = self.lanes.run(&UPDATE, &keys, &args).await;
        self.written(key, record, entry, done).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let answer = self.lanes.run(&DELETE, &[key.as_str()], &[]).await;
        answer.map_err(backend)
    }
}

impl RedisStore {
    /// The string that a command reads; somebody else's hash or list is no session, and none of our business.
    pub(crate) async fn read_string(&self, words: &[&[u8]]) -> Result<Option<Vec<u8>>> {
        let answer = self.lanes.exchange(&|| command(words), Resend::Once).await;
        if failed_with(&answer, "WRONGTYPE") {
            return Ok(None);
        }
        answer.map_err(backend)
    }

    async fn written(
        &self,
        key: &StoreKey,
        record: &Record,
        entry: Entry<'_>,
        done: RedisResult<bool>,
    ) -> Result<Write> {
        if !done.map_err(backend)? {
            return Ok(Write::Refused);
        }
        self.enter_after(key, entry).await?;
        Ok(Write::stored_bytes(record))
    }
}

/// An instant as Redis takes it, in whole milliseconds: what has it as its end is there until that millisecond is over.
pub(crate) fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis())
        .unwrap_or(LATEST)
        .clamp(EARLIEST, LATEST)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_out_of_range_stay_legal() {
        assert_eq!(millis(UNIX_EPOCH - Duration::from_secs(9)), 1);
        assert_eq!(millis(UNIX_EPOCH), 1);
        for far in [1 << 50, 1 << 60] {
            assert_eq!(millis(UNIX_EPOCH + Duration::from_secs(far)), LATEST);
        }
    }

    #[test]
    fn the_last_millisecond_is_the_one_in_which_the_end_lies() {
        for micros in [9_000, 9_001, 9_999] {
            assert_eq!(millis(UNIX_EPOCH + Duration::from_micros(micros)), 9);
        }
    }
}
