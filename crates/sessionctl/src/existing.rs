//! Whether what a command reads is there: only `migrate` and the target of `copy` are created.

use std::path::Path;

use session_stores::{StoreType, session_core::config::Env};

use crate::failure::Failure;

/// # Errors
///
/// If the store is a directory or a file that does not exist. To open it would create it, and as
/// whoever runs the command, so that the application could not use it.
pub(crate) fn check(env: &Env) -> Result<(), Failure> {
    let (what, path) = match StoreType::of(env)? {
        StoreType::Filesystem => ("directory", env.get("SESSION_FILE_DIR")),
        StoreType::Sql => ("file", sqlite_file(env)),
        _ => return Ok(()),
    };
    match path {
        Some(path) if !Path::new(path).exists() => Err(Failure::Usage(format!(
            "the {what} {path} does not exist: correct --store or the SESSION_* settings, or let the \
             application create it"
        ))),
        _ => Ok(()),
    }
}

fn sqlite_file(env: &Env) -> Option<&str> {
    let url = match (env.get("SESSION_SQL"), env.get("SESSION_SQLALCHEMY")) {
        (Some(url), _) => url
            .strip_prefix("sqlite:")?
            .strip_prefix("//")
            .unwrap_or(""),
        // SQLAlchemy has one slash more.
        (None, url) => url?.strip_prefix("sqlite:///")?,
    };
    let path = url.split_once('?').map_or(url, |(path, _)| path);
    (!path.is_empty() && path != ":memory:").then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_url_is_found() {
        for (name, url, file) in [
            (
                "SESSION_SQL",
                "sqlite:///var/s.db?mode=rwc",
                Some("/var/s.db"),
            ),
            ("SESSION_SQL", "sqlite://s.db", Some("s.db")),
            ("SESSION_SQL", "sqlite::memory:", None),
            ("SESSION_SQL", "postgres://host/db", None),
            (
                "SESSION_SQLALCHEMY",
                "sqlite:////var/s.db",
                Some("/var/s.db"),
            ),
            ("SESSION_SQLALCHEMY", "sqlite:///s.db", Some("s.db")),
        ] {
            assert_eq!(sqlite_file(&Env::from_iter([(name, url)])), file, "{url}");
        }
    }
}
