#![doc = include_str!("../README.md")]

#[cfg(not(unix))]
compile_error!("session-fs needs a Unix system: permission bits, links and locks on directories");

mod blocking;
mod cachelib;
mod check;
mod clock;
mod directory;
mod fault;
mod file;
mod files;
mod layout;
mod limit;
mod lock;
mod mode;
mod name;
mod owner_scan;
mod owners;
mod pace;
mod random;
mod refusal;
mod scan;
mod staged;
mod store;
mod sweep;
mod turns;
mod unreadable;

pub use cachelib::CachelibStore;
pub use mode::FileMode;
pub use store::FileStore;
