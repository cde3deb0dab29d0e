use std::time::SystemTime;

use futures_util::future::try_join_all;
use redis::{Pipeline, RedisResult};
use session_core::{Loaded, OwnerIndex, OwnerKey, Result, SessionStore, StoreKey, async_trait};

use crate::{RedisStore, expiry::last_millisecond, failure::backend, script::FORGET};

// How many of the oldest entries an insert looks at: more than it adds, so that an index shrinks in the end.
const CHECKED: usize = 4;
// How many records are asked for at once.
const BATCH: usize = 64;

#[async_trait]
impl OwnerIndex for RedisStore {
    async fn owned_by(&self, owner: &OwnerKey) -> Result<Vec<(StoreKey, Loaded)>> {
        let commands = |commands: &mut Pipeline| {
            commands.cmd("ZRANGE").arg(owner.as_str()).arg(0).arg(-1);
        };
        let (keys,): (Vec<String>,) = self.lanes.read(&commands).await.map_err(backend)?;
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(BATCH) {
            let loads = keys.iter().map(|key| async move {
                let key = StoreKey::from_stored(key.as_str());
                let loaded = self.load(&key).await?;
                Ok(loaded.map(|loaded| (key, loaded)))
            });
            found.extend(try_join_all(loads).await?.into_iter().flatten());
        }
        Ok(found)
    }
}

impl RedisStore {
    /// Enters a record that exists by now under its owner, and tidies up a little.
    ///
    /// The index has no end of its own: a session that is only read moves its end without the index hearing of it,
    /// and an index that ended before its sessions would hide them from a log-out.
    pub(crate) async fn add_to_index(
        &self,
        owner: &OwnerKey,
        key: &StoreKey,
        expires_at: SystemTime,
    ) -> Result<()> {
        let now = last_millisecond(SystemTime::now());
        let commands = |commands: &mut Pipeline| {
            commands
                .cmd("ZADD")
                .arg(owner.as_str())
                .arg("GT")
                .arg(last_millisecond(expires_at))
                .arg(key.as_str());
            commands
                .cmd("ZRANGEBYSCORE")
                .arg(owner.as_str())
                .arg("-inf")
                .arg(now)
                .arg("LIMIT")
                .arg(0)
                .arg(CHECKED);
        };
        let (_, overdue): (i64, Vec<String>) =
            self.lanes.write(&commands).await.map_err(backend)?;
        if !overdue.is_empty()
            && let Err(error) = self.tidy(owner, &overdue, now).await
        {
            // The record and its entry stand; the next insert will look again.
            tracing::debug!(%error, "an owner's index was not tidied");
        }
        Ok(())
    }

    /// Removes entries whose time has passed and whose record is absent, and corrects the time of the others.
    async fn tidy(&self, owner: &OwnerKey, overdue: &[String], now: i64) -> RedisResult<()> {
        let ends = overdue.iter().map(|key| async move {
            let commands = |commands: &mut Pipeline| {
                commands.cmd("PTTL").arg(key);
            };
            let (ttl,): (i64,) = self.lanes.read(&commands).await?;
            RedisResult::Ok((key, ttl))
        });
        let ends = try_join_all(ends).await?;
        let (live, gone): (Vec<_>, Vec<_>) = ends.into_iter().partition(|(_, ttl)| *ttl >= 0);
        let moved = |commands: &mut Pipeline| {
            let times = commands.cmd("ZADD").arg(owner.as_str());
            times.arg("XX").arg("GT");
            for (key, ttl) in &live {
                times.arg(now.saturating_add(*ttl)).arg(*key);
            }
        };
        if !live.is_empty() {
            let _: (i64,) = self.lanes.write(&moved).await?;
        }
        if !gone.is_empty() {
            let now = now.to_string();
            let mut args = vec![now.as_bytes()];
            args.extend(gone.iter().map(|(key, _)| key.as_bytes()));
            self.lanes.run(&FORGET, owner.as_str(), &args).await?;
        }
        Ok(())
    }
}
