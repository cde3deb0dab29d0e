//! Settings: their defaults, the rules between them, and the environment they are read from.

mod env;
mod error;

pub use env::Env;
pub use error::ConfigError;
