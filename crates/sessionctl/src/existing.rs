//! Whether what a command reads is there: only `migrate` and the target of `copy` are created.

use std::{fs, path::Path};

use session_stores::{StoreType, session_core::config::Env};

use crate::failure::Failure;

/// # Errors
///
/// If the store is a directory or a file that does not exist. To open it would create it, and as
/// whoever runs the command, so that the application could not use it. And a name that is mistyped
/// would have no sessions. Nor if it is a directory of something else, which also `creates` nothing in.
pub(crate) fn check(env: &Env, creates: bool) -> Result<(), Failure> {
    let store_type = StoreType::of(env)?;
    let Some(path) = store_type.local_path(env) else {
        return Ok(());
    };
    if store_type == StoreType::Filesystem && is_of_others(&path) {
        return Err(Failure::Usage(format!(
            "the directory {} has files of something else, and no sessions: name that of the sessions, or an \
             empty one",
            path.display()
        )));
    }
    if creates || path.exists() {
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

/// Whether a directory has something in it, and nothing that the store makes: directories that two
/// hexadecimal digits name, and the lists of users.
fn is_of_others(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else {
        return false;
    };
    let names: Vec<_> = entries
        .filter_map(|it| Some(it.ok()?.file_name().to_string_lossy().into_owned()))
        // Those of an empty file system.
        .filter(|name| name != "lost+found" && !name.starts_with('.'))
        .collect();
    let is_ours = |name: &String| {
        let digits = name.len() == 2 && name.bytes().all(|it| it.is_ascii_hexdigit());
        digits || name == "owners"
    };
    !names.is_empty() && !names.iter().any(is_ours)
}
