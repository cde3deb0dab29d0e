//! `FileStore` under adverse conditions: killed processes, full disks, foreign files, other
//! processes.

#![allow(clippy::unwrap_used, reason = "test code")]

mod concurrent_sweeps;
mod damage;
mod disk_full;
mod file_descriptors;
mod foreign_files;
mod hanging_disk;
mod kills;
mod locks;
mod missing_directory;
mod permissions;
mod power_loss;
mod stale_handle;
mod sweeps;
mod test_directory;
mod two_processes;
