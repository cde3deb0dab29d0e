use std::os::fd::OwnedFd;

use rustix::{
    fs::{self, AtFlags, FlockOperation, flock},
    io::{self, Errno},
};

use crate::{directory::Directory, fault::Fault, layout::MAGIC, mode::FileMode};

const PREFIX: &[u8] = b".staged-";
const DIGITS: usize = 16;

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
    file: OwnedFd,
    placed: bool,
}

impl<'a> Staged<'a> {
    /// Writes `bytes` to a new file in `directory`.
    pub(crate) fn write(
        directory: &'a Directory,
        bytes: &[u8],
        staging: Staging,
    ) -> Result<Self, Fault> {
        let staged = Self::create(directory, staging)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = io::retry_on_intr(|| io::write(&staged.file, rest))?;
            rest = &rest[written..];
        }
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

    fn create(directory: &'a Directory, staging: Staging) -> Result<Self, Fault> {
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
                file,
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

/// Whether `name` is one that a file staged with `suffix` could have.
pub(crate) fn is_staged_name(name: &[u8], suffix: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|name| name.strip_suffix(suffix.as_bytes()))
        .is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Whether `start` is how a staged file could begin that was cut off anywhere.
pub(crate) fn is_staged_start(start: &[u8]) -> bool {
    let length = start.len().min(MAGIC.len());
    start[..length] == MAGIC[..length]
}
