#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod app_sessions;

pub use app_sessions::AppSessions;
pub use session_actix::*;
