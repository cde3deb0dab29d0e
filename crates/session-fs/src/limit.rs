/// The largest payload a store can be told to accept, in bytes: 64 MiB.
pub(crate) const LARGEST: usize = 64 << 20;

/// The largest payload a store accepts unless it is told otherwise, in bytes: 1 MiB.
pub(crate) const DEFAULT: usize = 1 << 20;
