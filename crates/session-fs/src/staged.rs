use std::{ffi::CStr, fs::File, io::Write as _};

use rustix::{
    fs::{self, AtFlags, FlockOperation, Mode, OFlags, flock},
    io::{self, Errno},
};

use crate::{
    directory::Directory,
    fault::{Fault, Result},
    file,
    layout::MAGIC,
    mode::FileMode,
    name::unhex,
};

const PREFIX: &[u8] = b".staged-";

/// How the files of a store are staged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Staging {
    pub(crate) mode: FileMode,
    /// Whether what was written is on the disk before it takes its place.
    pub(crate) durable: bool,
    /// How the names of staged files end.
    pub(crate) suffix: &'static str,
}

/// A file that is written under a name of its own before it takes its place; dropped, it is removed.
///
/// Whoever writes one holds a lock on it, which ends with the process: a sweep can tell what a killed process left.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    directory: &'a Directory,
    name: String,
    file: File,
    placed: bool,
}

impl<'a> Staged<'a> {
    /// Writes `bytes` to a new file in `directory`.
    pub(crate) fn write(at: &'a Directory, bytes: &[u8], staging: Staging) -> Result<Self> {
        let staged = Self::create(at, staging)?;
        (&staged.file).write_all(bytes)?;
        if staging.durable {
            fs::fsync(&staged.file)?;
        }
        Ok(staged)
    }

    /// Gives the file the name `target`, in place of the one that has it.
    pub(crate) fn replace(mut self, target: &str) -> io::Result<()> {
        let at = self.directory.fd();
        fs::renameat(at, self.name.as_str(), at, target)?;
        self.placed = true;
        Ok(())
    }

    /// Gives the file the name `target`, which must be free.
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
                placed: false,
            };
            // A sweep that finds the file before it is locked takes it for left behind.
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
        if !self.placed {
            // If this fails, the next sweep does it.
            let _ = fs::unlinkat(self.directory.fd(), self.name.as_str(), AtFlags::empty());
        }
    }
}

/// Removes the file called `name` if it was staged with `suffix` by a writer that is no more.
pub(crate) fn remove_if_orphaned(at: &Directory, name: &CStr, suffix: &str) -> Result<()> {
    let text = name.to_bytes().strip_prefix(PREFIX);
    let digits = text.and_then(|text| text.strip_suffix(suffix.as_bytes()));
    if digits.and_then(unhex::<8>).is_none() {
        return Ok(());
    }
    let found = file::open(at, name, OFlags::RDONLY).or_else(Fault::unless_unreadable)?;
    let Some((file, _)) = found else {
        return Ok(());
    };
    let mut start = [0; MAGIC.len()];
    let length = io::pread(&file, &mut start, 0)?;
    // Killed before it could write, its writer left but the name and the mode to know it by.
    let mode = Mode::from_raw_mode(fs::fstat(&file)?.st_mode);
    let marked = MAGIC.starts_with(&start[..length]) || !suffix.is_empty();
    if mode.intersects(Mode::RWXG | Mode::RWXO) || !marked {
        return Ok(());
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(()),
        locked => Ok(locked.and_then(|()| at.unlink(name)).map(drop)?),
    }
}
