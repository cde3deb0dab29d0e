//! Flask's layout: the files of Python's cachelib, which Flask-Session writes.

mod layout;
mod python_json;
mod records;
mod store;
mod sweep;

pub use store::CachelibStore;
