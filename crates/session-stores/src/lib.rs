#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod app_sessions;
#[cfg(feature = "flask")]
mod flask;
mod open;
mod preparation;
mod store_type;

pub use app_sessions::AppSessions;
pub use open::OpenStore;
pub use preparation::Preparation;
pub use session_core;
pub use store_type::StoreType;
