//! Temporary directories.

use std::path::PathBuf;

use tempfile::TempDir;

/// A fresh temporary directory, removed when dropped.
pub fn scratch_dir() -> TempDir {
    tempfile::Builder::new()
        .prefix("session-tests-")
        .tempdir()
        .expect("the temporary directory is writable")
}

/// Cargo's target directory, found from where the running program lies.
///
/// The set-up keeps there what the tests need and Debian does not have.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().expect("the system names the running program");
    program
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .unwrap_or_else(|| panic!("{} does not lie in a target directory", program.display()))
        .to_owned()
}
