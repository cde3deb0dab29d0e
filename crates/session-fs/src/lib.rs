#![doc = include_str!("../README.md")]

#[cfg(not(unix))]
compile_error!("session-fs needs a Unix system: permission bits, links and locks on directories");

mod blocking;
mod cachelib;
mod clock;
mod directory;
mod fault;
mod file;
mod files;
mod layout;
mod lock;
mod mode;
mod name;
mod owners;
mod pace;
mod root;
mod staged;
mod store;
mod sweep;
mod turns;
mod walk;

pub use cachelib::CachelibStore;
pub use mode::FileMode;
pub use store::FileStore;
