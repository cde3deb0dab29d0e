use std::{ops::Range, sync::Arc};

/// A part of a buffer that several share; a clone counts once more and copies nothing.
#[derive(Clone, Default)]
pub(super) struct Slice {
    buffer: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Slice {
    /// The part of `buffer` within `range`, which does not reach behind its end.
    pub(super) fn new(buffer: &Arc<Vec<u8>>, range: Range<usize>) -> Self {
        Self {
            buffer: Arc::clone(buffer),
            range,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

impl From<Vec<u8>> for Slice {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            range: 0..bytes.len(),
            buffer: Arc::new(bytes),
        }
    }
}
