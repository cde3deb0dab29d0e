use std::time::SystemTime;

use redis::{Cmd, Pipeline, RedisResult};
use session_core::{
    Error, Loaded, Record, Result, Revision, SessionStore, StoreKey, Touch, Write, async_trait,
};

use crate::{
    RedisStore,
    expiry::{end, last_millisecond},
    failure::{backend, has_code},
    script::{DELETE, REPLACE, REPLACE_WHEN_FULL, TOUCH},
};

#[async_trait]
impl SessionStore for RedisStore {
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        let commands = |commands: &mut Pipeline| {
            for name in ["GET", "PTTL"] {
                let mut command = Cmd::with_capacity(2, name.len() + key.as_str().len());
                command.arg(name).arg(key.as_str());
                commands.add_command(command);
            }
        };
        let asked = SystemTime::now();
        let reply: RedisResult<(Option<Vec<u8>>, i64)> = self.lanes.read(&commands).await;
        let (payload, ttl) = match reply {
            Ok(reply) => reply,
            // Somebody else's hash or list is no session, and none of our business.
            Err(error) if has_code(&error, "WRONGTYPE") => return Ok(None),
            Err(error) => return Err(backend(error)),
        };
        Ok(payload
            .zip(end(asked, ttl))
            .map(|(payload, expires_at)| Loaded {
                revision: revision(&payload),
                payload,
                expires_at,
            }))
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.check_size(record)?;
        let commands = |commands: &mut Pipeline| {
            commands
                .cmd("SET")
                .arg(key.as_str())
                .arg(&record.payload)
                .arg("NX")
                .arg("PXAT")
                .arg(last_millisecond(record.expires_at));
        };
        let (answer,): (Option<String>,) = self.lanes.write(&commands).await.map_err(backend)?;
        if answer.is_none() {
            return Ok(Write::Refused);
        }
        if let Some(owner) = &record.owner {
            self.add_to_index(owner, key, record.expires_at).await?;
        }
        Ok(Write::Stored(revision(&record.payload)))
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.check_size(record)?;
        let expires_at = last_millisecond(record.expires_at).to_string();
        let args = [revision.as_bytes(), &record.payload, expires_at.as_bytes()];
        let answer = match self.lanes.run(&REPLACE, key.as_str(), &args).await {
            Err(error) if has_code(&error, "OOM") => {
                self.lanes
                    .run(&REPLACE_WHEN_FULL, key.as_str(), &args)
                    .await
            }
            answer => answer,
        };
        Ok(match answer.map_err(backend)? {
            1 => Write::Stored(self::revision(&record.payload)),
            _ => Write::Refused,
        })
    }

    async fn touch(&self, key: &StoreKey, expires_at: SystemTime) -> Result<Touch> {
        let expires_at = last_millisecond(expires_at).to_string();
        let args = [expires_at.as_bytes()];
        let answer = self.lanes.run(&TOUCH, key.as_str(), &args).await;
        Ok(match answer.map_err(backend)? {
            1 => Touch::Moved,
            _ => Touch::Refused,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        let answer = self.lanes.run(&DELETE, key.as_str(), &[]).await;
        answer.map_err(backend)?;
        Ok(())
    }
}

impl RedisStore {
    fn check_size(&self, record: &Record) -> Result<()> {
        let (size, limit) = (record.payload.len(), self.limit);
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        Ok(())
    }
}

/// The bytes themselves: comparing them costs the server less than a digest would, and no two are ever confused.
fn revision(payload: &[u8]) -> Revision {
    Revision::new(payload.to_vec())
}
