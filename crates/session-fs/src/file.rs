use std::os::fd::OwnedFd;

use rustix::{
    fs::{self, FileType, Mode, OFlags},
    io::{self, Errno},
    path::Arg,
};

use crate::{
    directory::Directory,
    fault::Fault,
    layout::{HEADER, Kind, Stored},
    limit::LARGEST,
    name::Name,
    unreadable::Unreadable,
};

/// What is under a name.
pub(crate) enum Slot {
    Empty,
    Holds(Stored),
    Unreadable(Unreadable),
}

/// The record or entry called `name`.
pub(crate) fn read(directory: &Directory, kind: Kind, name: &Name) -> Result<Slot, Fault> {
    Ok(match bytes(directory, name.to_string())? {
        None => Slot::Empty,
        Some(bytes) => match bytes.and_then(|bytes| Stored::decode(kind, name, bytes)) {
            Ok(stored) => Slot::Holds(stored),
            Err(reason) => Slot::Unreadable(reason),
        },
    })
}

/// All bytes of the file called `name`, if there is one.
pub(crate) fn bytes(
    directory: &Directory,
    name: impl Arg,
) -> Result<Option<Result<Vec<u8>, Unreadable>>, Fault> {
    let (file, size) = match open(directory, name, OFlags::RDONLY)? {
        Found::Nothing => return Ok(None),
        Found::Foreign => return Ok(Some(Err(Unreadable::Foreign))),
        Found::File(file, size) => (file, size),
    };
    let Some(size) = usize::try_from(size)
        .ok()
        .filter(|size| *size <= HEADER + LARGEST)
    else {
        return Ok(Some(Err(Unreadable::Foreign)));
    };
    let mut bytes = vec![0; size];
    let length = read_up_to(&file, &mut bytes)?;
    bytes.truncate(length);
    Ok(Some(Ok(bytes)))
}

/// Reads the first bytes of the file called `name`, at most as many as a header has; none if it is no regular file.
pub(crate) fn start(directory: &Directory, name: impl Arg) -> Result<Option<Start>, Fault> {
    let Found::File(file, _) = open(directory, name, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let mut bytes = [0; HEADER];
    let length = read_up_to(&file, &mut bytes)?;
    Ok(Some(Start {
        file,
        bytes,
        length,
    }))
}

/// The beginning of an open file.
pub(crate) struct Start {
    pub(crate) file: OwnedFd,
    bytes: [u8; HEADER],
    length: usize,
}

impl Start {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Writes `bytes` over the file called `name` in one piece, then cuts off what is left of the old ones.
///
/// This takes no space on the disk where `bytes` fit into the file's first block. As they fit into one page as well, a
/// process that is killed leaves the old bytes or the new ones.
pub(crate) fn overwrite(
    directory: &Directory,
    name: &Name,
    bytes: &[u8],
    durable: bool,
) -> Result<(), Fault> {
    let Found::File(file, _) = open(directory, name.to_string(), OFlags::WRONLY)? else {
        return Err(Errno::NOENT.into());
    };
    if io::pwrite(&file, bytes, 0)? != bytes.len() {
        return Err(Errno::NOSPC.into());
    }
    fs::ftruncate(&file, bytes.len() as u64)?;
    if durable {
        fs::fsync(&file)?;
    }
    Ok(())
}

enum Found {
    Nothing,
    Foreign,
    File(OwnedFd, u64),
}

fn open(directory: &Directory, name: impl Arg, access: OFlags) -> Result<Found, Fault> {
    // A FIFO would block without NONBLOCK.
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match fs::openat(directory.fd(), name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        // A symbolic link, a socket, a directory.
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Ok(Found::Foreign),
        other => other?,
    };
    let stat = fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(Found::Foreign);
    }
    Ok(Found::File(file, stat.st_size.unsigned_abs()))
}

fn read_up_to(file: &OwnedFd, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match io::retry_on_intr(|| io::read(file, &mut bytes[length..]))? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}
