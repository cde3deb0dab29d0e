#![doc = include_str!("../README.md")]

mod answer;
mod error;
mod head;
mod middleware;
mod request;
mod saving;
mod session;
mod slots;

pub use answer::SessionFuture;
pub use error::SessionError;
pub use middleware::{SessionMiddleware, SessionService};
pub use request::SessionExt;
pub use session::{DefaultSession, Session};
pub use session_core;
