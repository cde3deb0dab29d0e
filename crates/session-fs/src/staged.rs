//! `Staged`, a file that is written under a temporary name before it gets its own.

use std::{ffi::CStr, fs::File, io::Write as _};

use rustix::{
    fs::{self, AtFlags, FlockOperation, Mode, OFlags, flock},
    io::{self, Errno},
};

use crate::{
    directory::Directory,
    error::{CallError, Result},
    file,
    file_mode::FileMode,
    layout::MAGIC,
    name::unhex,
};

const PREFIX: &[u8] = b".staged-";

/// How a store stages its files.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Staging {
    pub(crate) mode: FileMode,
    /// Whether the content is flushed to the disk before the file gets its name.
    pub(crate) durable: bool,
    /// The end of the names of staged files.
    pub(crate) suffix: &'static str,
}

/// A file under a temporary name. Dropping it removes the file, unless it was renamed.
///
/// Its writer holds a lock on it, which ends with the process. A sweep can therefore recognise the
/// files that killed processes left.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    directory: &'a Directory,
    name: String,
    file: File,
    renamed: bool,
}

impl<'a> Staged<'a> {
    /// Writes `bytes` to a new file in `directory`.
    pub(crate) fn write(directory: &'a Directory, bytes: &[u8], staging: Staging) -> Result<Self> {
        let staged = Self::create(directory, staging)?;
        (&staged.file).write_all(bytes)?;
        if staging.durable {
            fs::fsync(&staged.file)?;
        }
        Ok(staged)
    }

    /// Renames the file to `target`, and so replaces the file of that name.
    pub(crate) fn replace(mut self, target: &str) -> io::Result<()> {
        let at = self.directory.fd();
        fs::renameat(at, self.name.as_str(), at, target)?;
        self.renamed = true;
        Ok(())
    }

    /// Gives the file the name `target`. Fails if there is a file of that name.
    pub(crate) fn link(self, target: &str) -> io::Result<()> {
        let at = self.directory.fd();
        fs::linkat(at, self.name.as_str(), at, target, AtFlags::empty())
    }

    fn create(directory: &'a Directory, staging: Staging) -> Result<Self> {
        loop {
            let random = getrandom::u64().map_err(std::io::Error::from)?;
            let name = format!(".staged-{random:016x}{}", staging.suffix);
            let file = match directory.create(&name, staging.mode) {
                Err(Errno::EXIST) => continue,
                other => other?,
            };
            let staged = Self {
                directory,
                name,
                file: file.into(),
                renamed: false,
            };
            // A sweep that finds the file before it is locked removes it as an orphan.
            match flock(&staged.file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => continue,
                other => other?,
            }
            if fs::fstat(&staged.file)?.st_nlink > 0 {
                return Ok(staged);
            }
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // If this fails, the next sweep removes the file.
            let _ = fs::unlinkat(self.directory.fd(), self.name.as_str(), AtFlags::empty());
        }
    }
}

/// Removes the file called `name` if it was staged with `suffix` by a process that has ended.
pub(crate) fn remove_if_orphaned(directory: &Directory, name: &CStr, suffix: &str) -> Result<()> {
    let text = name.to_bytes().strip_prefix(PREFIX);
    let digits = text.and_then(|text| text.strip_suffix(suffix.as_bytes()));
    if digits.and_then(unhex::<8>).is_none() {
        return Ok(());
    }
    let found = file::open(directory, name, OFlags::RDONLY).or_else(CallError::or_absent)?;
    let Some((file, _)) = found else {
        return Ok(());
    };
    let mut start = [0; MAGIC.len()];
    let length = io::pread(&file, &mut start, 0)?;
    // If the writer was killed before it wrote anything, only the name and the mode identify it.
    let mode = Mode::from_raw_mode(fs::fstat(&file)?.st_mode);
    let marked = MAGIC.starts_with(&start[..length]) || !suffix.is_empty();
    if mode.intersects(Mode::RWXG | Mode::RWXO) || !marked {
        return Ok(());
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(()),
        locked => Ok(locked.and_then(|()| directory.unlink(name)).map(drop)?),
    }
}
