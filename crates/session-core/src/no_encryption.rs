//! Without the feature `encryption` there are no keys.

use bytes::Bytes;

use crate::{error::Result, key::StoreKey};

/// No value of it exists.
#[derive(Clone, Debug)]
pub(crate) enum EncryptionKeys {}

impl EncryptionKeys {
    pub(crate) fn accepts_plain(&self) -> bool {
        match *self {}
    }

    pub(crate) fn encrypt(&self, _: &StoreKey, _: &mut Vec<u8>, _: &[u8]) -> Result<()> {
        match *self {}
    }

    pub(crate) fn decrypt(&self, _: &StoreKey, _: &[u8], _: usize) -> Result<Bytes> {
        match *self {}
    }
}
