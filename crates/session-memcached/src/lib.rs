#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod connections;
mod error;
mod expiry;
mod node_client;
mod nodes;
mod settings;
mod store;

pub use nodes::Nodes;
pub use store::MemcachedStore;
