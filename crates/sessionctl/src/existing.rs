//! Whether what a command reads is there: only `migrate` and the target of `copy` are created.

use session_stores::{StoreType, session_core::config::Env};

use crate::failure::Failure;

/// # Errors
///
/// If the store is a directory or a file that does not exist. To open it would create it, and as
/// whoever runs the command, so that the application could not use it. And a name that is mistyped
/// would have no sessions.
pub(crate) fn check(env: &Env) -> Result<(), Failure> {
    let store_type = StoreType::of(env)?;
    let Some(path) = store_type.local_path(env) else {
        return Ok(());
    };
    if path.exists() {
        return Ok(());
    }
    let what = match store_type {
        StoreType::Filesystem => "directory",
        _ => "file",
    };
    Err(Failure::NothingThere(format!(
        "the {what} {} does not exist",
        path.display()
    )))
}
