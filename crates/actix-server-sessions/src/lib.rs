#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod app_sessions;
mod default_log;
mod run;

pub use actix_web::web;
pub use app_sessions::AppSessions;
pub use run::{RunError, run};
pub use session_actix::*;
