use std::time::{SystemTime, UNIX_EPOCH};

use redis::{Cmd, Pipeline, RedisResult};
use session_core::{Loaded, Record, Result, Revision, SessionStore, StoreKey, Write, async_trait};

use crate::{
    RedisStore,
    failure::{backend, has_code},
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
        let bytes = self.read_string(&["GET", key.as_str()]).await?;
        Ok(bytes.map(Loaded::compared_by_bytes))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        let later = self.enter_before(key, record).await?;
        let until = millis(record.expires_at).to_string();
        let done = match self.entry_beside(record) {
            Some((index, time)) => {
                let args = [&record.bytes[..], until.as_bytes(), time.as_bytes()];
                let answer = self.lanes.run(&INSERT, &[key.as_str(), index], &args).await;
                answer.map(|answer| answer == 1)
            }
            None => {
                let commands = |commands: &mut Pipeline| {
                    let set = commands.cmd("SET").arg(key.as_str()).arg(&record.bytes[..]);
                    set.arg("NX").arg("PXAT").arg(&until);
                };
                let answer: RedisResult<(Option<String>,)> = self.lanes.write(&commands).await;
                answer.map(|(answer,)| answer.is_some())
            }
        };
        self.written(key, record, done, later).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        let later = self.enter_before(key, record).await?;
        let until = millis(record.expires_at).to_string();
        let entry = self.entry_beside(record);
        let mut keys = vec![key.as_str()];
        let mut args = vec![revision.as_bytes(), &record.bytes, until.as_bytes()];
        if let Some((index, time)) = &entry {
            keys.push(index);
            args.push(time.as_bytes());
        }
        let answer = self.lanes.run(&UPDATE, &keys, &args).await;
        self.written(key, record, answer.map(|answer| answer == 1), later)
            .await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let answer = self.lanes.run(&DELETE, &[key.as_str()], &[]).await;
        answer.map_err(backend)?;
        Ok(())
    }
}

impl RedisStore {
    /// The string that a command reads; somebody else's hash or list is no session, and none of our business.
    pub(crate) async fn read_string(&self, words: &[&str]) -> Result<Option<Vec<u8>>> {
        let commands = |commands: &mut Pipeline| {
            let size = words.iter().map(|word| word.len()).sum();
            let mut command = Cmd::with_capacity(words.len(), size);
            command.arg(words);
            commands.add_command(command);
        };
        match self.lanes.read(&commands).await {
            Ok((bytes,)) => Ok(bytes),
            Err(error) if has_code(&error, "WRONGTYPE") => Ok(None),
            Err(error) => Err(backend(error)),
        }
    }

    async fn written(
        &self,
        key: &StoreKey,
        record: &Record,
        done: RedisResult<bool>,
        later: i64,
    ) -> Result<Write> {
        if !done.map_err(backend)? {
            return Ok(Write::Refused);
        }
        self.enter_after(key, record, later).await?;
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
