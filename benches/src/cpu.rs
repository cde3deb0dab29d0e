//! Reads the processor time of a process.

use std::{fs, time::Duration};

use crate::Result;

/// The processor time that the threads of a process have used so far, in its own code and in the
/// system's for it.
pub(crate) fn used_by(pid: u32) -> Result<Duration> {
    let mut used = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let statistics = fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanoseconds = statistics.split_ascii_whitespace().next();
        let nanoseconds = nanoseconds.ok_or("an unknown form of /proc/*/schedstat")?;
        used += Duration::from_nanos(nanoseconds.parse()?);
    }
    Ok(used)
}
