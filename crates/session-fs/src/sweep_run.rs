//! `SweepRun`, one call of a sweep with its limits and its counts.

use std::{
    ffi::{CStr, CString},
    mem::take,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use session_core::Swept;

use crate::{
    blocking::blocking,
    directory::Directory,
    error::{CallError, Result},
    file,
    layout::HEADER,
    lock::Lock,
    root::Root,
    sweep_position::SweepPosition,
    unix_time,
};

/// A call of a sweep that is running, and what it has found.
#[derive(Debug)]
pub(crate) struct SweepRun {
    caller: Weak<()>,
    /// Files that expire at this instant or earlier are removed.
    pub(crate) instant: SystemTime,
    limit: u64,
    began: Instant,
    time: Duration,
    removed: u64,
    live: u64,
    /// The names in the directory at hand that are left to visit.
    unvisited: Vec<CString>,
}

impl SweepRun {
    /// Runs `sweep` on a thread that may block, until it has removed `limit` files, `time` is over or
    /// the caller's future is dropped. `sweep` returns whether it has visited everything.
    pub(crate) async fn start(
        root: &Root,
        instant: SystemTime,
        limit: usize,
        time: Duration,
        sweep: impl FnOnce(&mut Self) -> Result<bool> + Send + 'static,
    ) -> session_core::Result<Swept> {
        if limit == 0 {
            return Ok(Swept {
                removed: 0,
                is_done: false,
            });
        }
        let caller = Arc::new(());
        let alive = Arc::downgrade(&caller);
        let call = move || {
            let mut run = Self::new(alive, instant, limit, time);
            let is_done = sweep(&mut run)?;
            let removed = run.removed;
            Ok(Swept { removed, is_done })
        };
        let swept = blocking(root, call).await;
        drop(caller);
        swept
    }

    fn new(caller: Weak<()>, instant: SystemTime, limit: usize, time: Duration) -> Self {
        Self {
            caller,
            instant,
            limit: limit.try_into().unwrap_or(u64::MAX),
            began: Instant::now(),
            time,
            removed: 0,
            live: 0,
            unvisited: Vec::new(),
        }
    }

    fn is_at_limit(&self) -> bool {
        self.removed == self.limit
    }

    fn is_unwanted(&self) -> bool {
        self.caller.strong_count() == 0
    }

    fn is_over(&self) -> bool {
        self.is_at_limit() || self.began.elapsed() >= self.time || self.is_unwanted()
    }

    /// Visits a store's directories from `position` on, until the call is over. Returns how many live
    /// files the sweep has found, if it has visited all directories.
    ///
    /// `visit` takes the number of a directory and the names in it that are left to visit; without
    /// names, all are. It visits them by [`sweep_names`](Self::sweep_names). If it fails, the next
    /// call continues with the next name, or with the next directory if there is no name. If it was
    /// cancelled, the next call continues with the same.
    pub(crate) fn sweep_from(
        &mut self,
        position: &SweepPosition,
        visit: impl Fn(&mut Self, u16, Option<Vec<CString>>) -> Result<()>,
    ) -> Result<Option<u64>> {
        let mut at = position.take();
        self.live = at.live;
        let visited = loop {
            if at.names.is_empty() {
                at.directory = position.next(at.directory);
                at.left -= 1;
            }
            // A directory that cannot be swept must not keep a call meanwhile from the others.
            position.set(position.begin_after(at.directory));
            let rest = Some(take(&mut at.names)).filter(|names| !names.is_empty());
            let visited = visit(self, at.directory, rest);
            at.names = take(&mut self.unvisited);
            if is_cancelled(&visited) && at.names.is_empty() {
                // Its names could not be read to the end: the next call begins with it.
                at.directory = position.previous(at.directory);
                at.left += 1;
            }
            if at.left == position.directories {
                // It will be visited again, as a whole.
                self.live = 0;
            }
            if visited.is_ok() && at.names.is_empty() && at.left == 0 {
                return Ok(Some(self.live));
            }
            if visited.is_err() || self.is_over() {
                break visited;
            }
        };
        at.live = self.live;
        let failed = visited.is_err() && !is_cancelled(&visited);
        if failed || self.is_at_limit() {
            // Everything is visited once more: what failed, and files before this that may have
            // expired meanwhile.
            (at.left, at.live) = (position.directories, 0);
        }
        position.set(at);
        visited.map(|()| None)
    }

    pub(crate) fn wanted(&self) -> Result<()> {
        if self.is_unwanted() {
            let reason = "the sweep's future was dropped";
            return Err(CallError::Cancelled(reason.into()));
        }
        Ok(())
    }

    /// The name of everything in `directory`.
    pub(crate) fn names(&self, directory: &Directory) -> Result<Vec<CString>> {
        let (mut entries, mut names) = (directory.entries()?, Vec::new());
        while let Some(entry) = entries.read() {
            self.wanted()?;
            names.push(entry?.file_name().to_owned());
        }
        Ok(names)
    }

    /// Calls `visit` with each of the `names`, or with the name of everything in `directory`, until
    /// the call is over or `visit` fails.
    pub(crate) fn sweep_names(
        &mut self,
        directory: &Directory,
        names: Option<Vec<CString>>,
        visit: impl Fn(&mut Self, &CStr) -> Result<()>,
    ) -> Result<()> {
        self.unvisited = names.map_or_else(|| self.names(directory), Ok)?;
        while let Some(name) = self.unvisited.pop() {
            let visited = visit(self, &name);
            if is_cancelled(&visited) {
                self.unvisited.push(name);
            }
            visited?;
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// Removes the file called `name` if it is damaged, or if the expiry that `expiry` reads in its
    /// first bytes has passed. Checks again under the lock, when no writer can replace the file.
    pub(crate) fn remove_if_expired(
        &mut self,
        directory: &Directory,
        name: &CStr,
        expiry: fn(&[u8]) -> Result<u64>,
    ) -> Result<()> {
        let instant = self.instant;
        let is_expired = || -> Result<Option<bool>> {
            let start = file::start(directory, name, HEADER);
            match start.and_then(|it| it.map(|start| expiry(&start)).transpose()) {
                Err(CallError::Damaged) => Ok(Some(true)),
                Ok(time) => Ok(time.map(|time| unix_time::from_millis(time) <= instant)),
                Err(error) => error.or_absent(),
            }
        };
        match is_expired()? {
            None => {}
            Some(false) => self.live += 1,
            Some(true) => {
                let _lock = Lock::acquire_while(directory, || self.wanted())?;
                let removed = is_expired()? == Some(true) && directory.unlink(name)?;
                self.removed += u64::from(removed);
            }
        }
        Ok(())
    }
}

fn is_cancelled(visited: &Result<()>) -> bool {
    matches!(visited, Err(CallError::Cancelled(_)))
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        fs,
    };

    use rustix::io::Errno;

    use super::*;

    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    /// A directory of files, and the sweep of it.
    struct Files {
        directory: tempfile::TempDir,
        position: SweepPosition,
        visited: RefCell<Vec<String>>,
    }

    impl Files {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            for name in NAMES {
                fs::write(directory.path().join(name), b"").unwrap();
            }
            Self {
                directory,
                position: SweepPosition::new(1),
                visited: RefCell::default(),
            }
        }

        /// Calls the sweep for `caller`. Returns whether it is done.
        fn sweep(
            &self,
            caller: Weak<()>,
            visit: impl Fn(&mut SweepRun, &CStr) -> Result<()>,
        ) -> Result<bool> {
            let directory = Directory::open(self.directory.path())?.unwrap();
            let hour = Duration::from_secs(3600);
            let mut run = SweepRun::new(caller, SystemTime::now(), usize::MAX, hour);
            let live = run.sweep_from(&self.position, |run, _, names| {
                run.sweep_names(&directory, names, &visit)
            });
            live.map(|live| live.is_some())
        }

        fn record(&self, name: &CStr) {
            let name = name.to_str().unwrap();
            if NAMES.contains(&name) {
                self.visited.borrow_mut().push(name.to_owned());
            }
        }

        /// What was visited since the last answer, sorted.
        fn visited(&self) -> Vec<String> {
            let mut names = self.visited.take();
            names.sort();
            names
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_hides_no_other_file() {
        let (files, caller) = (Files::new(), Arc::new(()));
        for unreadable in NAMES {
            let call = || {
                files.sweep(Arc::downgrade(&caller), |_, name| {
                    if name.to_bytes() == unreadable.as_bytes() {
                        return Err(Errno::IO.into());
                    }
                    files.record(name);
                    Ok(())
                })
            };
            // One call ends at the file. The next one continues after it, and comes to it again.
            assert!(call().is_err() && call().is_err());
            let mut visited = files.visited();
            visited.dedup();
            let others: Vec<_> = NAMES.into_iter().filter(|it| *it != unreadable).collect();
            assert_eq!(visited, others);
        }
    }

    #[test]
    fn calls_that_are_dropped_come_to_the_end_together() {
        let (files, mut calls) = (Files::new(), 1);
        let is_done = || {
            let caller = Arc::new(());
            let (alive, caller) = (Arc::downgrade(&caller), Cell::new(Some(caller)));
            files.sweep(alive, |_, name| {
                caller.take();
                files.record(name);
                Ok(())
            })
        };
        while !is_done().unwrap() {
            calls += 1;
            assert!(calls < 100, "each call begins at the first file");
        }
        assert!(calls >= NAMES.len(), "a call went on without its caller");
        assert_eq!(files.visited(), NAMES);
    }

    #[test]
    fn what_a_dropped_call_has_not_visited_is_left_to_the_next_one() {
        let files = Files::new();
        let visit = |_: &mut SweepRun, name: &CStr| {
            files.record(name);
            Ok(())
        };
        // It is dropped before it has read the names.
        assert!(files.sweep(Weak::new(), visit).is_err());
        // It is dropped while it waits for a lock.
        let caller = Arc::new(());
        let (alive, caller) = (Arc::downgrade(&caller), Cell::new(Some(caller)));
        let waits = files.sweep(alive, |run, _| {
            caller.take();
            run.wanted()
        });
        assert!(waits.is_err());
        let caller = Arc::new(());
        assert!(files.sweep(Arc::downgrade(&caller), visit).unwrap());
        assert_eq!(files.visited(), NAMES);
    }
}
