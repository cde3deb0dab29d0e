#![doc = include_str!("../README.md")]

mod calls;
mod commands;
mod connect;
mod document;
mod failure;
mod flask;
mod foreign;
mod indexes;
mod names;
mod number;
mod owner;
mod place;
mod reply;
mod sessions;
mod store;

pub use flask::FlaskMongoStore;
pub use mongodb;
pub use names::{CollectionName, DatabaseName};
pub use store::MongoStore;
