//! `SweepPosition`, where the next call of a store's sweep continues.

use std::{
    ffi::CString,
    mem::replace,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Where a sweep stopped: at its limit, after its time, at an error, or when its caller was gone. All
/// clones of a store share it.
///
/// A store's directories are numbered from 0, and visited in a circle.
#[derive(Debug)]
pub(crate) struct SweepPosition {
    /// How many directories there are.
    pub(crate) directories: u16,
    position: Mutex<Position>,
}

#[derive(Debug)]
pub(crate) struct Position {
    /// The directory that was visited last.
    pub(crate) directory: u16,
    /// The names in it that are left to visit. Without them, each call would read the live files at
    /// the start of the directory again.
    pub(crate) names: Vec<CString>,
    /// How many other directories the sweep has to visit, each as a whole, until it is done.
    pub(crate) left: u16,
    /// How many live files the sweep has found. It does not count the rest of a directory that it will
    /// visit again as a whole.
    pub(crate) live: u64,
}

impl SweepPosition {
    pub(crate) fn new(directories: u16) -> Self {
        let position = Mutex::new(Position {
            directory: directories - 1,
            names: Vec::new(),
            left: directories,
            live: 0,
        });
        Self {
            directories,
            position,
        }
    }

    /// Where the last call stopped. The caller alone has it: another call visits everything.
    pub(crate) fn take(&self) -> Position {
        let mut position = self.position();
        let begin = self.begin_after(position.directory);
        replace(&mut position, begin)
    }

    /// The position of a sweep that begins after `directory`, which it visits last.
    pub(crate) fn begin_after(&self, directory: u16) -> Position {
        Position {
            directory,
            names: Vec::new(),
            left: self.directories,
            live: 0,
        }
    }

    /// The directory after `directory`.
    pub(crate) fn next(&self, directory: u16) -> u16 {
        (directory + 1) % self.directories
    }

    /// The directory before `directory`.
    pub(crate) fn previous(&self, directory: u16) -> u16 {
        (directory + self.directories - 1) % self.directories
    }

    /// Lets the next call continue at `new`, unless another call left less to visit meanwhile: two
    /// sweeps at once must not keep each other from the end.
    pub(crate) fn set(&self, new: Position) {
        let mut position = self.position();
        let left = |it: &Position| (it.left, it.names.len());
        if position.left == self.directories || left(&new) <= left(&position) {
            *position = new;
        }
    }

    fn position(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_sweeps_at_once_the_position_of_the_one_that_is_nearer_to_its_end_is_kept() {
        let shared = SweepPosition::new(10);
        for (first, second) in [((3, 0), (7, 0)), ((7, 0), (3, 0)), ((3, 1), (3, 2))] {
            for (left, names) in [first, second] {
                shared.set(Position {
                    left,
                    names: vec![c"name".to_owned(); names],
                    ..shared.begin_after(5)
                });
            }
            let kept = shared.take();
            assert_eq!((kept.left, kept.names.len()), first.min(second));
            assert_eq!(shared.take().left, 10, "it was taken twice");
        }
    }
}
