#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cross_site;
#[cfg(feature = "dbsc")]
mod device_guard;
#[cfg(feature = "dbsc")]
mod device_routes;
mod error;
mod fresh_login;
mod guard;
mod middleware;
mod request;
mod response;
mod session;
mod shutdown;

pub use cross_site::{CrossSiteFuture, CrossSiteGuard, CrossSiteService};
#[cfg(feature = "dbsc")]
pub use device_guard::DeviceGuard;
#[cfg(feature = "dbsc")]
pub use device_routes::{device_routes, named_device_routes};
pub use fresh_login::{FreshLogin, return_path};
pub use guard::GuardService;
pub use middleware::{SessionMiddleware, SessionService};
pub use request::{Extracting, SessionExt};
pub use response::SessionFuture;
pub use session::{DefaultSession, Session};
pub use session_core;
pub use session_core::{Error as SessionError, adapter::finish_saves};
pub use shutdown::sigterm_and_saves;
