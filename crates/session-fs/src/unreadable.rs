use std::{error, fmt};

/// Why a file is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It does not begin as this store's files do, or is no regular file.
    Foreign,
    /// A later version of this library wrote it.
    Later,
    /// This store made it, but it was cut short or changed.
    Damaged,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "the file under the record's name was not made by this store",
            Self::Later => "the file was written by a later version of this library",
            Self::Damaged => "the file is cut short or changed",
        })
    }
}

impl error::Error for Unreadable {}
