//! Sessions that are encrypted anew, because the key was changed.

use super::{AllSessions, Copied, CopiedPage, within};
use crate::{
    config::ConfigError,
    encryption::EncryptionKeys,
    error::{Error, Result},
    header::{Header, Kind},
    record::{Cursor, Listed, Record},
};

/// How often the write of a record is tried. Another try follows if a request wrote it meanwhile, which
/// has encrypted it anew itself, if its process has the new key.
const ATTEMPTS: usize = 8;

impl AllSessions {
    /// Encrypts a page of the sessions with the newest key of the settings, from `cursor` or from the
    /// start, unless they are already. `copied` are those that it encrypted, `present` the others.
    ///
    /// Applications may use the sessions meanwhile. All of them must have the new key, at least as a
    /// [fallback](EncryptionKeys::with_fallback), and the settings here the old one. It may be stopped
    /// at any time, and begun again. Not while sessions [move](crate::Moving).
    ///
    /// # Errors
    ///
    /// If the settings have no key, or if the store fails. Records that cannot be encrypted anew are on
    /// the page.
    pub async fn encrypt_anew(&self, cursor: Option<&Cursor>, limit: usize) -> Result<CopiedPage> {
        let rules = &self.shared.rules;
        let Some(keys) = &rules.settings.encryption else {
            let reason = "is needed: nothing else says how to encrypt";
            let error = ConfigError::new("SESSION_ENCRYPTION_KEY", reason);
            return Err(Error::encode(error));
        };
        let page = self.scan.records(&rules.settings.prefix, cursor, limit);
        let page = within(rules, page).await?;
        let records = page.records.into_iter();
        let records = records.map(|listed| within(rules, self.encrypt_record(keys, listed)));
        Ok(CopiedPage::of(records, page.next).await)
    }

    async fn encrypt_record(&self, keys: &EncryptionKeys, listed: Listed) -> Result<Copied> {
        let (rules, store, key) = (&self.shared.rules, &self.shared.store, &listed.key);
        if is_done(keys, &listed.head)? {
            return Ok(Copied::Before);
        }
        for _ in 0..ATTEMPTS {
            let Some(loaded) = store.load(key).await? else {
                return Ok(Copied::Expired);
            };
            if is_done(keys, &loaded.bytes)? {
                return Ok(Copied::Before);
            }
            let (header, _) = Header::parse(&loaded.bytes)?;
            // As whoever wrote it has said, whatever timeouts the settings here have.
            let kept_until = header.expires_at.after(Record::KEPT_AFTER_END);
            if kept_until <= self.shared.now() {
                return Ok(Copied::Expired);
            }
            let bytes = rules.encoded_anew(rules, key, key, &loaded.bytes)?;
            let (size, limit) = (bytes.len(), rules.store_limit());
            if size > limit {
                return Err(Error::TooLarge { size, limit });
            }
            let record = Record {
                bytes,
                expires_at: kept_until.into(),
                entry: None,
            };
            if store
                .update(key, &record, &loaded.revision)
                .await?
                .is_stored()
            {
                return Ok(Copied::Now);
            }
        }
        Err(Error::Contended)
    }
}

/// Whether nothing is left to do for the record that begins so: the newest key has encrypted it, or it
/// holds nothing.
fn is_done(keys: &EncryptionKeys, head: &[u8]) -> Result<bool> {
    let (header, length) = Header::parse(head)?;
    let payload = head.get(length..).unwrap_or_default();
    Ok(header.kind != Kind::Live || (header.is_encrypted && keys.is_of_newest(payload)))
}
