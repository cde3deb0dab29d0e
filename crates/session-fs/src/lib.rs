#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!("session-fs needs a Unix system: permission bits, links and locks on directories");

mod blocking;
mod diagnosis;
mod directory;
mod error;
mod file;
mod file_mode;
#[cfg(feature = "flask")]
mod flask;
mod layout;
mod lock;
mod name;
mod owner_index;
mod records;
mod root;
mod scan;
mod session_store;
mod settings;
mod staged;
mod store;
mod sweep;
mod sweep_position;
mod sweep_run;
mod sweep_schedule;
mod unix_time;
mod writer_queue;

pub use file_mode::FileMode;
#[cfg(feature = "flask")]
pub use flask::CachelibStore;
pub use store::FileStore;
