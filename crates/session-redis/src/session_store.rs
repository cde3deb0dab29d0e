//! Loads and writes records: `SessionStore` for `RedisStore`.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use session_core::{
    Connections, Finding, IndexEntry, Loaded, OwnerIndex, OwnerKey, Record, Result, Revision, Scan,
    SessionStore, StoreKey, Write, async_trait,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    RedisStore,
    command::Retry,
    error::{has_code, is_syntax_error},
    expiry::unix_millis,
    script::{DELETE, EXTEND_ENTRY, INSERT, SHORTEN_ENTRY, UPDATE, UPDATE_ON_OOM, UPDATE_TAGGED},
};

/// In bytes. Longer records are compared by their digest, where the server knows it: from here on
/// that takes the server less time than to receive and compare the bytes.
const DIGEST_ABOVE: usize = 1024;

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

    fn next_revision(&self, record: &Record) -> Option<Revision> {
        // Each thread has one connection, and what it sends there keeps its order, but for commands
        // of more than 32 KiB beside shorter ones, and those that wait for a new connection.
        Some(Revision::new(record.bytes.clone()))
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.run(&DELETE, &[key.as_str()], &[]).await
    }

    fn owner_index(self: Arc<Self>) -> Option<Arc<dyn OwnerIndex>> {
        Some(self)
    }

    fn scan(self: Arc<Self>) -> Option<Arc<dyn Scan>> {
        Some(self)
    }

    fn connections(&self) -> Option<Connections> {
        Some(Connections {
            used: self.connections.open() as u64,
            ..Connections::default()
        })
    }

    async fn diagnose(&self) -> Result<Vec<Finding>> {
        self.findings().await
    }
}

impl RedisStore {
    /// Reads a string. A value of another type, such as a hash or a list, is no record: `None`.
    pub(crate) async fn read_string(&self, command: &[&[u8]]) -> Result<Option<Vec<u8>>> {
        let answer = self.send(command, Retry::Once).await;
        if has_code(&answer, "WRONGTYPE") {
            return Ok(None);
        }
        self.parse_answer(answer)
    }

    /// Inserts a record, or replaces the one with the revision `loaded`, and writes its entry to
    /// the owner's index.
    async fn write(
        &self,
        key: &StoreKey,
        record: &Record,
        loaded: Option<&Revision>,
    ) -> Result<Write> {
        let until = unix_millis(record.expires_at);
        let (key, expires_at) = (key.as_str(), until.to_string());
        let names = record.entry.iter().flat_map(IndexEntry::names);
        let time = record.entry.as_ref().map(|it| unix_millis(it.expires_at));
        let time = time.map_or(String::new(), |it| it.to_string());
        let mut keys = vec![key];
        let mut args = vec![&b""[..], &record.bytes, expires_at.as_bytes()];
        // Indexes whose entry had a later time than the new one, and that time.
        let mut later = Vec::new();
        if self.server.address.is_cluster() {
            // The entry needs a script of its own, because the index may be on another node than
            // the record.
            for index in names.map(OwnerKey::as_str) {
                let args = [key.as_bytes(), time.as_bytes()];
                match self.run::<i64>(&EXTEND_ENTRY, &[index], &args).await? {
                    0 => {}
                    before => later.push((index, before.to_string())),
                }
            }
        } else if record.entry.is_some() {
            keys.extend(names.map(OwnerKey::as_str));
            args.push(time.as_bytes());
        }
        let stored: bool = match loaded {
            Some(loaded) => self.replace(loaded, until, &keys, &mut args).await?,
            None if keys.len() > 1 => self.run(&INSERT, &keys, &args).await?,
            None => {
                let (key, expires_at) = (key.as_bytes(), expires_at.as_bytes());
                let set = [b"SET", key, &record.bytes, b"NX", b"PXAT", expires_at];
                self.parse_answer(self.send(&set, Retry::Never).await)?
            }
        };
        if !stored {
            return Ok(Write::Refused);
        }
        for (index, before) in later {
            let args = [key.as_bytes(), time.as_bytes(), before.as_bytes()];
            self.run::<()>(&SHORTEN_ENTRY, &[index], &args).await?;
        }
        Ok(Write::stored_bytes(record))
    }

    /// Replaces the record with the revision `loaded`; whether it was still there. The first of
    /// `args`, which are those of the scripts, is not set yet.
    async fn replace<'a>(
        &self,
        loaded: &'a Revision,
        until: i64,
        keys: &[&str],
        args: &mut [&'a [u8]],
    ) -> Result<bool> {
        args[0] = loaded.as_bytes();
        // An entry needs a script in any case. Without a runtime, the script is the error.
        if let ([key], &mut [old, new, _]) = (keys, &mut *args)
            && let Ok(worker) = self.worker()
        {
            // Each write has a random tag, so two have the same digest once in 2^64.
            let is_long = old.len() > DIGEST_ABOVE && loaded.tagged_start().is_some();
            let digest = if is_long && worker.digests.load(Relaxed) {
                digest_of(old)
            } else {
                String::new()
            };
            let by_digest = (&b"IFDEQ"[..], digest.as_bytes(), &worker.digests);
            let by_bytes = (&b"IFEQ"[..], old, &worker.compares);
            let first = usize::from(digest.is_empty());
            // With an expiry in seconds, the server sends its replicas a plain `SET`. With `PXAT` it
            // would send the command as it is, and a replica that is older would refuse it, go on,
            // and so bring back what was changed if it becomes the primary.
            let seconds = (until / 1000 + 1).to_string();
            for (word, value, known) in &[by_digest, by_bytes][first..] {
                if !known.load(Relaxed) {
                    continue;
                }
                let set = [
                    b"SET",
                    key.as_bytes(),
                    new,
                    word,
                    value,
                    b"EXAT",
                    seconds.as_bytes(),
                ];
                let answer = self.send_by(&worker, &set, Retry::Never).await;
                if has_code(&answer, "WRONGTYPE") {
                    return Ok(false);
                }
                if has_code(&answer, "OOM") {
                    return Box::pin(self.run(&UPDATE_ON_OOM, keys, args)).await;
                }
                // The server has written nothing.
                if !is_syntax_error(&answer) {
                    return self.parse_answer(answer);
                }
                known.store(false, Relaxed);
            }
        }
        // The tag is enough, and less to send and to compare.
        let script = match loaded.tagged_start() {
            Some(tag) => {
                args[0] = tag;
                &UPDATE_TAGGED
            }
            None => &UPDATE,
        };
        self.run(script, keys, args).await
    }
}

/// What the server's `DIGEST` answers for a value of these bytes. The driver's own function copies
/// them twice, which takes longer than the digest.
fn digest_of(value: &[u8]) -> String {
    format!("{:016x}", xxh3_64(value))
}
