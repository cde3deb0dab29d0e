#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod connections;
mod diagnosis;
mod error;
mod expiry;
mod node_client;
mod nodes;
mod questions;
mod scan;
mod settings;
mod store;

pub use nodes::Nodes;
pub use store::MemcachedStore;
