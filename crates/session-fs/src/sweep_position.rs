//! `SweepPosition`, where the next sweep of a store continues.

use std::{
    ffi::CString,
    mem::take,
    sync::{Mutex, PoisonError},
};

/// Where a sweep stopped at its limit. All clones of a store share it.
///
/// Without the names, each sweep would read the live files at the start of the directory again.
#[derive(Debug, Default)]
pub(crate) struct SweepPosition(Mutex<(u8, Vec<CString>)>);

impl SweepPosition {
    /// The number of the directory where the last sweep stopped, and the names in it that it has
    /// not visited. The caller alone has them.
    pub(crate) fn take(&self) -> (u8, Vec<CString>) {
        let mut position = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (position.0, take(&mut position.1))
    }

    pub(crate) fn set(&self, directory: u8, unvisited: Vec<CString>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (directory, unvisited);
    }
}
