use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use session_core::config::ConfigError;

use crate::{
    directory::Directory,
    fault::Fault,
    lock::{Lock, PATIENCE},
    staged::{Staged, Staging},
};

/// `given` as it counts from the current directory of now, without a slash at its end, behind which a symbolic link
/// would be followed.
pub(crate) fn fixed(given: PathBuf) -> PathBuf {
    let absolute = std::path::absolute(&given).unwrap_or(given);
    absolute.components().collect()
}

/// Makes the directory at `path` if need be, and tries it out.
pub(crate) fn check(path: &Path, staging: Staging) -> Result<(), ConfigError> {
    try_out(path, staging).map_err(|fault| {
        let path = path.display();
        let reason = match fault {
            Fault::Directory(refusal) => format!("{refusal} ({path})"),
            Fault::Io(error) => {
                format!("must name a directory that this program can write: {path}: {error}")
            }
            other => format!("cannot be used now: {path}: {other}"),
        };
        ConfigError::new("SESSION_FILE_DIR", reason)
    })
}

fn try_out(path: &Path, staging: Staging) -> Result<(), Fault> {
    let directory = Directory::open_or_create(path, staging.durable)?;
    let _lock = Lock::acquire(&directory, Instant::now() + PATIENCE)?;
    Staged::write(&directory, &[], staging).map(drop)
}
