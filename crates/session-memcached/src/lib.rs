#![doc = include_str!("../README.md")]

mod driver;
mod exptime;
mod failure;
mod lane;
mod links;
mod nodes;
mod store;

pub use nodes::Nodes;
pub use store::MemcachedStore;
