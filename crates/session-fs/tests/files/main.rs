//! What becomes of the files: kills, full disks, strangers' files, other processes.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod crowd;
mod damage;
mod disk_full;
mod kills;
mod permissions;
mod place;
mod power_loss;
mod scarcity;
mod strangers;
mod sweeps;
mod two_processes;
mod vanished;
