//! The settings: their defaults, the rules between them, and how they are read from the
//! environment.

mod assurance;
mod env;
mod error;
mod from_env;
mod id_header;
mod settings;

pub use assurance::Assurance;
pub use env::Env;
pub use error::ConfigError;
pub use id_header::IdHeader;
pub use settings::{OnMaxPerUser, OnStoreFailure, Refresh, Settings, SiteData};

#[cfg(feature = "flask-cookie")]
pub use crate::flask::FlaskCookie;
#[cfg(feature = "flask")]
pub use crate::flask::FlaskSessions;
pub use crate::rules::Form;
