#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod call_limit;
mod clients;
mod collection;
mod connection;
mod diagnosis;
mod error;
#[cfg(feature = "flask")]
mod flask;
mod indexes;
mod layout;
mod names;
mod owner_index;
mod reply;
mod scan;
mod session_store;
mod settings;
mod store;
mod unsuitable;

#[cfg(feature = "flask")]
pub use flask::FlaskMongoStore;
pub use mongodb;
pub use names::{CollectionName, DatabaseName};
pub use store::MongoStore;
