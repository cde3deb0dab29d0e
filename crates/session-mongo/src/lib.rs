#![doc = include_str!("../README.md")]

mod calls;
mod connect;
mod document;
mod failure;
mod flask;
mod foreign;
mod indexes;
mod names;
mod native;
mod place;
mod reply;
mod store;

pub use flask::FlaskMongoStore;
pub use mongodb;
pub use names::{CollectionName, DatabaseName};
pub use store::MongoStore;
