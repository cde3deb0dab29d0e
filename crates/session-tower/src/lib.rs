#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cross_site;
mod fresh_login;
mod layer;
mod request;
mod response;
mod session;

pub use cross_site::{CrossSiteFuture, CrossSiteGuard, CrossSiteService};
pub use fresh_login::{FreshLogin, FreshLoginFuture, FreshLoginService, return_path};
pub use layer::{SessionLayer, SessionService};
pub use request::{Extracting, SessionExt};
pub use response::SessionFuture;
pub use session::{DefaultSession, Session};
pub use session_core;
pub use session_core::{Error as SessionError, adapter::finish_saves};
