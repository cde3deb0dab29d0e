use std::{fmt, time::Instant};

use tokio::{
    sync::{Mutex, MutexGuard},
    time::timeout_at,
};

use crate::{fault::Fault, lock::PATIENCE, name::Name};

/// The order in which this process's tasks change the records of a shard.
///
/// The locks between processes are polled; without turns, so would be those between the tasks of one.
pub(crate) struct Turns(Box<[Mutex<()>]>);

impl Turns {
    /// Waits for the turn to change `name`, at the longest until `deadline`.
    pub(crate) async fn take(
        &self,
        name: &Name,
        deadline: Instant,
    ) -> Result<MutexGuard<'_, ()>, Fault> {
        timeout_at(deadline.into(), self.0[usize::from(name.shard())].lock())
            .await
            .map_err(|_| Fault::Locked(PATIENCE))
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self((0..=u8::MAX).map(|_| Mutex::new(())).collect())
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}
