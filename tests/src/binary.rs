//! Finds programs: installed ones, or those of a folder with other versions of the servers.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Names a folder with the programs of one server, such as `cargo xtask matrix` makes.
const FOLDER: &str = "SESSION_TEST_SERVERS";

/// Whether the servers are those of a folder.
pub(crate) fn are_of_a_folder() -> bool {
    env::var_os(FOLDER).is_some()
}

/// The path of a server's program, in the folder that the environment names if it names one; fails
/// the test with the line that installs it.
pub(crate) fn server_program(name: &str) -> PathBuf {
    optional_server_program(name).unwrap_or_else(|| match env::var_os(FOLDER) {
        Some(folder) => panic!("{FOLDER}: {} has no {name}", Path::new(&folder).display()),
        None => panic!("{}", not_installed(name)),
    })
}

/// The same for a program that may be missing.
pub(crate) fn optional_server_program(name: &str) -> Option<PathBuf> {
    match env::var_os(FOLDER) {
        Some(folder) => in_folder(Path::new(&folder), name),
        None => find(name),
    }
}

/// The path of an installed program; fails the test with the line that installs it.
pub(crate) fn binary(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("{}", not_installed(name)))
}

fn not_installed(name: &str) -> String {
    format!("{name} is not installed; this installs it: cargo xtask setup")
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Distributions keep servers where an ordinary user's PATH does not lead.
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .or_else(|| in_folder(Path::new("/"), name))
}

fn in_folder(folder: &Path, name: &str) -> Option<PathBuf> {
    ["usr/bin", "usr/sbin", "usr/local/sbin", "usr/libexec"]
        .map(|dir| folder.join(dir))
        .into_iter()
        .chain(postgres_directories(folder))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn postgres_directories(folder: &Path) -> Vec<PathBuf> {
    let versions = fs::read_dir(folder.join("usr/lib/postgresql"))
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
