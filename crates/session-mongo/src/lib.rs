#![doc = include_str!("../README.md")]

mod calls;
mod commands;
mod connect;
mod document;
mod failure;
mod indexes;
mod names;
mod owner;
mod reply;
mod sessions;
mod store;

pub use mongodb;
pub use names::{CollectionName, DatabaseName};
pub use store::MongoStore;
