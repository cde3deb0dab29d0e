//! Reads one file, or overwrites it in place.

use std::{fs::File, io::Read as _};

use rustix::{
    fs::{self, FileType, Mode, OFlags},
    io::{self, Errno},
    path::Arg,
};
use session_core::Bytes;

use crate::{
    directory::Directory,
    error::{CallError, Result},
    layout::{LARGEST, OVERHEAD, StoredRecord},
    name::Name,
};

/// The record in the file called `name`, if there is one.
pub(crate) fn read(directory: &Directory, name: &Name) -> Result<Option<StoredRecord>> {
    let file = start(directory, name.to_string(), OVERHEAD + LARGEST)?;
    file.map(|it| StoredRecord::decode(name, &it)).transpose()
}

/// The first bytes, at most `most`, of the file called `name`, if there is one.
pub(crate) fn start(directory: &Directory, name: impl Arg, most: usize) -> Result<Option<Bytes>> {
    let Some((file, size)) = open(directory, name, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(most);
    let mut bytes = Vec::with_capacity(size);
    file.take(size as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes.into()))
}

/// Overwrites the file called `name` with `bytes` in one call, then truncates it to their length.
///
/// This needs no space on the disk if `bytes` fit into the file's first block. They then also fit
/// into one page, so a process that is killed leaves either the old bytes or the new ones.
pub(crate) fn overwrite(
    directory: &Directory,
    name: &Name,
    bytes: &[u8],
    durable: bool,
) -> Result<()> {
    let (file, _) = open(directory, name.to_string(), OFlags::WRONLY)?.ok_or(Errno::NOENT)?;
    if io::pwrite(&file, bytes, 0)? != bytes.len() {
        return Err(Errno::NOSPC.into());
    }
    fs::ftruncate(&file, bytes.len() as u64)?;
    if durable {
        fs::fsync(&file)?;
    }
    Ok(())
}

/// Opens the regular file called `name`, if there is one. Returns it with its size.
pub(crate) fn open(
    directory: &Directory,
    name: impl Arg,
    access: OFlags,
) -> Result<Option<(File, u64)>> {
    // Without NONBLOCK, opening a FIFO would block.
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match fs::openat(directory.fd(), name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        // A symbolic link, a socket or a directory.
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Err(CallError::ForeignFile),
        other => other?,
    };
    let stat = fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(CallError::ForeignFile);
    }
    Ok(Some((file.into(), stat.st_size.unsigned_abs())))
}
