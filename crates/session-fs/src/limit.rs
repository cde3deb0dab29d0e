/// The largest payload a store can be told to accept, in bytes: 64 MiB.
pub(crate) const LARGEST: usize = 64 << 20;
