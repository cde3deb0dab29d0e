//! Reads the processor time of a process.

use std::{fs, time::Duration};

use crate::Result;

/// The processor time that a process has used so far, in its own code and in the system's for it.
pub(crate) fn used_by(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold anything.
    let (_, fields) = stat
        .rsplit_once(')')
        .ok_or("an unknown form of /proc/*/stat")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let [user, system] = [11, 12].map(|index| {
        fields
            .get(index)
            .and_then(|ticks| ticks.parse::<u32>().ok())
    });
    let ticks = user.zip(system).ok_or("an unknown form of /proc/*/stat")?;
    let a_second = u32::try_from(rustix::param::clock_ticks_per_second())?;
    Ok(Duration::from_secs(1) * (ticks.0 + ticks.1) / a_second)
}
