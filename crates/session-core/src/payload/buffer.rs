//! Where a value is encoded.

use std::io;

use bytes::Bytes;

/// Most values have fewer bytes.
const USUAL_LEN: usize = 64;

/// The bytes of a value while it is encoded. Usual ones become one allocation, with the counter of
/// those who share them.
pub(super) enum Buffer {
    Usual(Usual),
    Long(Vec<u8>),
}

pub(super) struct Usual {
    bytes: [u8; USUAL_LEN],
    len: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self::Usual(Usual {
            bytes: [0; USUAL_LEN],
            len: 0,
        })
    }
}

impl AsRef<[u8]> for Usual {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Usual(usual) => usual.as_ref(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl From<Buffer> for Bytes {
    fn from(buffer: Buffer) -> Self {
        match buffer {
            Buffer::Usual(usual) => Self::from_owner(usual),
            Buffer::Long(bytes) => bytes.into(),
        }
    }
}

impl io::Write for Buffer {
    #[inline]
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        match self {
            Self::Usual(usual) => {
                let end = usual.len + more.len();
                if let Some(place) = usual.bytes.get_mut(usual.len..end) {
                    place.copy_from_slice(more);
                    usual.len = end;
                } else {
                    *self = Self::Long([usual.as_ref(), more].concat());
                }
            }
            Self::Long(bytes) => bytes.extend_from_slice(more),
        }
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
