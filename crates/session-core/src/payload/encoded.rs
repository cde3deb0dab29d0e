use std::borrow::Cow;

use super::{
    Format,
    dynamic::{self, Dynamic},
    malformed::Malformed,
    unwritable::Unwritable,
};

/// A value's bytes at hand, and how they are encoded.
#[derive(Clone, Copy)]
pub(super) struct Encoded<'a> {
    bytes: &'a [u8],
    format: Format,
}

impl<'a> Encoded<'a> {
    pub(super) fn new(bytes: &'a [u8], format: Format) -> Self {
        Self { bytes, format }
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The value in `format`: its own bytes if it has that format already.
    pub(super) fn in_format(self, format: Format) -> Result<Cow<'a, [u8]>, Unwritable> {
        if self.format == format {
            return Ok(Cow::Borrowed(self.bytes));
        }
        self.take_apart()?.write(format).map(Cow::Owned)
    }

    pub(super) fn take_apart(self) -> Result<Dynamic, Malformed> {
        match self.format {
            Format::MessagePack => dynamic::from_msgpack(self.bytes),
            Format::Json => dynamic::from_json(self.bytes),
        }
    }
}
