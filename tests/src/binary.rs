//! Finds installed programs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The path of an installed program; fails the test with the line that installs it.
pub(crate) fn binary(name: &str) -> PathBuf {
    find(name)
        .unwrap_or_else(|| panic!("{name} is not installed; this installs it: cargo xtask setup"))
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where an ordinary user's PATH does not lead.
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .chain(postgres_directories())
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn postgres_directories() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut dirs: Vec<_> = versions.map(|entry| entry.path().join("bin")).collect();
    dirs.sort_by_key(|dir| std::cmp::Reverse(version(dir)));
    dirs
}

fn version(dir: &Path) -> Option<u32> {
    dir.parent()?.file_name()?.to_str()?.parse().ok()
}
