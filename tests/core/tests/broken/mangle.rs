//! Damages keys, bytes and revisions, for the defects of a broken store.

use super::*;

/// How many characters of a key of ours follow the prefix.
const DIGEST: usize = 64;

impl BrokenStore {
    pub(super) fn mangled_key(&self, key: &StoreKey) -> Result<StoreKey> {
        let text = key.as_str();
        Ok(StoreKey::from_stored(match self.defect {
            Defect::PrefixIsIgnored => text[text.len().saturating_sub(DIGEST)..].to_owned(),
            Defect::CaseIsIgnored => text.to_ascii_lowercase(),
            Defect::KeysAreCut => text[..text.len().min(200)].to_owned(),
            Defect::KeysArePaths if text.contains("..") => {
                return Err(Error::backend("broken", "no such directory"));
            }
            _ => text.to_owned(),
        }))
    }

    pub(super) fn mangled_owner(&self, owner: &OwnerKey) -> OwnerKey {
        let text = owner.as_str();
        match self.defect {
            Defect::OwnerPrefixIsIgnored => OwnerKey::from_stored(&text[text.len() - DIGEST..]),
            Defect::IndexIgnoresTheOwner => OwnerKey::from_stored("everyone"),
            _ => owner.clone(),
        }
    }

    pub(super) fn mangled_record(&self, record: &Record) -> Record {
        let mut bytes = record.bytes.clone();
        match self.defect {
            Defect::BytesEndAtNul => {
                bytes.truncate(
                    bytes
                        .iter()
                        .position(|byte| *byte == 0)
                        .unwrap_or(usize::MAX),
                );
            }
            Defect::BytesAreTruncated => bytes.truncate(65_535),
            _ => {}
        }
        let mut entry = record.entry.clone();
        if let Some(entry) = &mut entry {
            entry.owner = self.mangled_owner(&entry.owner);
        }
        Record {
            bytes,
            expires_at: self.mangled_expiry(record.expires_at),
            entry,
        }
    }

    pub(super) fn mangled_expiry(&self, expires_at: SystemTime) -> SystemTime {
        let last = match self.defect {
            Defect::ExpiryIsRoundedUp => {
                let age = expires_at
                    .duration_since(UNIX_EPOCH)
                    .expect("no test writes before 1970");
                return UNIX_EPOCH + Duration::from_secs(age.as_secs() + 1);
            }
            Defect::ExpiryBeyond30DaysIsCut => {
                SystemTime::now() + Duration::from_secs(30 * 24 * 3600)
            }
            Defect::ExpiryHas31Bits => UNIX_EPOCH + Duration::from_secs(0x7fff_ffff),
            Defect::ExpiryHas32Bits => UNIX_EPOCH + Duration::from_secs(0xffff_ffff),
            _ => return expires_at,
        };
        expires_at.min(last)
    }

    pub(super) fn remember(&self, key: &StoreKey, record: &Record) {
        let mut seen = self.observed();
        seen.keys.push(key.clone());
        seen.bytes = record.bytes.clone();
        seen.versions.insert(key.clone(), 1);
    }

    /// An update by a version that each record counts for itself.
    pub(super) async fn update_version(
        &self,
        key: &StoreKey,
        record: &Record,
        revision: &Revision,
        loaded: &Loaded,
    ) -> Result<Write> {
        let version = self.observed().versions[key];
        if revision.as_u64() != Some(version) {
            return Ok(Write::Refused);
        }
        let write = self.inner.update(key, record, &loaded.revision).await?;
        self.observed().versions.insert(key.clone(), version + 1);
        Ok(match write {
            Write::Stored(_) => Write::Stored((version + 1).into()),
            Write::Refused => Write::Refused,
        })
    }
}
