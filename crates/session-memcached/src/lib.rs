#![doc = include_str!("../README.md")]

mod driver;
mod failure;
mod lane;
mod layout;
mod links;
mod nodes;
mod store;

pub use nodes::Nodes;
pub use store::MemcachedStore;
