use std::time::{SystemTime, UNIX_EPOCH};

use session_core::{Loaded, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait};

use crate::{
    RedisStore,
    exchange::Resend,
    failure::failed_with,
    script::{DELETE, ENTER_AFTER, ENTER_BEFORE, INSERT, UPDATE},
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
        self.write(key, record, None).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.write(key, record, Some(revision)).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.run(&DELETE, &[key.as_str()], &[]).await
    }
}

impl RedisStore {
    /// The string that a command reads; somebody else's hash or list is no session, and none of our business.
    pub(crate) async fn read_string(&self, words: &[&[u8]]) -> Result<Option<Vec<u8>>> {
        let answer = self.exchange(words, Resend::Once).await;
        if failed_with(&answer, "WRONGTYPE") {
            return Ok(None);
        }
        self.read_answer(answer)
    }

    /// Writes a record where nothing is, or in the place of the one that was `loaded`, and its entry in the owner's index.
    async fn write(
        &self,
        key: &StoreKey,
        record: &Record,
        loaded: Option<&Revision>,
    ) -> Result<Write> {
        let (key, until) = (key.as_str(), millis(record.expires_at).to_string());
        let entry = record.entry.as_ref();
        let entry = entry.map(|it| (it.owner.as_str(), millis(it.expires_at).to_string()));
        let old = loaded.map_or(&b""[..], Revision::as_bytes);
        let mut keys = vec![key];
        let mut args = vec![old, &record.bytes, until.as_bytes()];
        // The later time that the entry had and still has.
        let mut later = 0_i64;
        match &entry {
            // By a script of its own before the record's: a cluster's scripts reach only one key.
            Some((index, time)) if self.server.is_cluster() => {
                let args = [key.as_bytes(), time.as_bytes()];
                later = self.run(&ENTER_BEFORE, &[index], &args).await?;
            }
            Some((index, time)) => {
                keys.push(index);
                args.push(time.as_bytes());
            }
            None => {}
        }
        let done: bool = match loaded {
            Some(_) => self.run(&UPDATE, &keys, &args).await?,
            None if keys.len() > 1 => self.run(&INSERT, &keys, &args).await?,
            None => {
                let (key, until) = (key.as_bytes(), until.as_bytes());
                let set = [b"SET", key, &record.bytes, b"NX", b"PXAT", until];
                self.read_answer(self.exchange(&set, Resend::Never).await)?
            }
        };
        if !done {
            return Ok(Write::Refused);
        }
        if let Some((index, time)) = &entry
            && later != 0
        {
            let later = later.to_string();
            let args = [key.as_bytes(), time.as_bytes(), later.as_bytes()];
            self.run::<()>(&ENTER_AFTER, &[index], &args).await?;
        }
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
