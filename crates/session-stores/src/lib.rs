#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "flask")]
mod flask;
mod open;
mod preparation;
mod store_type;

#[cfg(feature = "flask")]
pub use flask::checked;
pub use open::OpenStore;
pub use preparation::Preparation;
pub use session_core;
pub use store_type::StoreType;
