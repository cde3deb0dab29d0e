#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cross_site;
#[cfg(feature = "dbsc")]
mod device_guard;
#[cfg(all(feature = "axum", feature = "dbsc"))]
mod device_routes;
mod fresh_login;
mod guard;
mod layer;
mod request;
mod response;
#[cfg(feature = "axum")]
mod serve;
mod session;

pub use cross_site::{CrossSiteFuture, CrossSiteGuard, CrossSiteService};
#[cfg(feature = "dbsc")]
pub use device_guard::DeviceGuard;
#[cfg(all(feature = "axum", feature = "dbsc"))]
pub use device_routes::{device_routes, named_device_routes};
pub use fresh_login::{FreshLogin, return_path};
pub use guard::{GuardFuture, GuardService};
pub use layer::{SessionLayer, SessionService};
pub use request::{Extracting, SessionExt};
pub use response::SessionFuture;
#[cfg(feature = "axum")]
pub use serve::LayerFuture;
pub use session::{DefaultSession, Session};
pub use session_core;
pub use session_core::{
    Error as SessionError,
    adapter::{finish_saves, sigterm},
};
pub use tower_layer::Layer;
