//! `Directory`, an open directory that only its owner can change.

use std::{
    ffi::CString,
    fs::File,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{self, AtFlags, CWD, Dir, Mode, OFlags},
    io::{Errno, Result as IoResult},
    path::Arg,
    process::geteuid,
};

use crate::{
    error::{CallError, Result},
    file_mode::FileMode,
};

/// An open directory that no other user can write.
///
/// Names are resolved relative to its descriptor, so a rename of the directory cannot redirect an
/// operation.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    /// The path it was opened by, for messages only.
    pub(crate) path: PathBuf,
}

impl Directory {
    /// Opens the directory at `path`, if there is one.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        Self::open_at(CWD, path, path.to_owned())
    }

    /// Opens the directory at `path`. Creates it with mode 0700 if it is absent, and its parents as
    /// well. Each created directory survives a power loss.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Self::open(path)?.ok_or(Errno::NOENT)?);
        };
        let (opened, path) = (File::open(above), above.to_owned());
        let above = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => Self::open_or_create(above)?,
            // Its mode is not checked: it is not the store's own.
            opened => Self {
                fd: opened?.into(),
                path,
            },
        };
        above.ensure(name, true)
    }

    /// Opens the directory `name` in this one, if there is one.
    pub(crate) fn child(&self, name: impl Arg) -> Result<Option<Self>> {
        let path = self.path.join(&*name.to_string_lossy());
        Self::open_at(&self.fd, name, path)
    }

    /// Opens the directory `name` in this one. Creates it with mode 0700 if it is absent.
    ///
    /// With `durable`, a created directory survives a power loss.
    pub(crate) fn ensure(&self, name: impl Arg + Copy, durable: bool) -> Result<Self> {
        if let Some(child) = self.child(name)? {
            return Ok(child);
        }
        match fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => fs::chmodat(&self.fd, name, Mode::RWXU, AtFlags::empty())?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.flush_if(durable)?;
        Ok(self.child(name)?.ok_or(Errno::NOENT)?)
    }

    /// What the symbolic link `name` says, if there is one.
    pub(crate) fn link_target(&self, name: &str) -> Result<Option<CString>> {
        match fs::readlinkat(&self.fd, name, Vec::new()) {
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::INVAL) => Err(CallError::UnsafeDirectory {
                path: self.path.join(name),
                reason: "was not made by this library: move it away".into(),
            }),
            other => Ok(Some(other?)),
        }
    }

    /// Creates the symbolic link `name`, unless there is something of that name. It survives a
    /// power loss.
    pub(crate) fn link_once(&self, name: &str, target: &str) -> IoResult<()> {
        match fs::symlinkat(target, &self.fd, name) {
            Err(Errno::EXIST) => Ok(()),
            other => other.and_then(|()| self.flush_if(true)),
        }
    }

    /// Creates the file `name` for writing. The umask does not change its mode.
    pub(crate) fn create(&self, name: &str, mode: FileMode) -> IoResult<OwnedFd> {
        let mode = mode.flags();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.fd, name, flags, mode)?;
        if Mode::from_raw_mode(fs::fstat(&file)?.st_mode) != mode {
            fs::fchmod(&file, mode)?;
        }
        Ok(file)
    }

    /// Reads what is in this directory from the start, independently of other readers.
    pub(crate) fn entries(&self) -> IoResult<Dir> {
        Dir::read_from(&self.fd)
    }

    /// With `durable`, flushes this directory, so that links, renames and removals in it survive a
    /// power loss.
    pub(crate) fn flush_if(&self, durable: bool) -> IoResult<()> {
        if durable { fs::fsync(&self.fd) } else { Ok(()) }
    }

    /// Removes the file `name`. Returns whether there was one.
    pub(crate) fn unlink(&self, name: impl Arg) -> IoResult<bool> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Removes the directory `name` if it is empty.
    pub(crate) fn remove_empty(&self, name: impl Arg) -> IoResult<()> {
        match fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    pub(crate) fn mode(&self) -> IoResult<Mode> {
        Ok(Mode::from_raw_mode(fs::fstat(&self.fd)?.st_mode))
    }

    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens the directory `name` in `above`, if there is one. Refuses one that others can change.
    fn open_at(above: impl AsFd, name: impl Arg, path: PathBuf) -> Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match fs::openat(above, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                let reason = "must be a directory, not a symbolic link or a file".into();
                return Err(CallError::UnsafeDirectory { path, reason });
            }
            other => other.map_err(|errno| CallError::from(errno).at(&path))?,
        };
        let (stat, us) = (fs::fstat(&fd)?, geteuid().as_raw());
        let (owner, mode) = (stat.st_uid, stat.st_mode & 0o7777);
        let reason = if owner != us {
            format!("must belong to the user that runs this program ({us}), not to user {owner}")
        } else if mode & 0o022 != 0 {
            format!(
                "must not be writable by group or others (mode {mode:04o}): run chmod 0700 on it"
            )
        } else {
            return Ok(Some(Self { fd, path }));
        };
        Err(CallError::UnsafeDirectory { path, reason })
    }
}
