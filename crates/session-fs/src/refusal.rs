use std::{error, fmt};

/// Why a directory is not safe to keep sessions in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is a symbolic link, or no directory at all.
    NoDirectory,
    /// It belongs to the user `owner`, not to `us`.
    NotOurs { owner: u32, us: u32 },
    /// Its mode lets others than its owner write.
    Writable { mode: u32 },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDirectory => {
                f.write_str("must be a directory itself, not a symbolic link or a file")
            }
            Self::NotOurs { owner, us } => write!(
                f,
                "must belong to the user that runs this program ({us}), not to user {owner}"
            ),
            Self::Writable { mode } => write!(
                f,
                "must not be writable by group or others (mode {mode:04o}): run chmod 0700 on it"
            ),
        }
    }
}

impl error::Error for Refusal {}
