//! What the environment says about files.

use std::{env, fs, os::unix::fs::PermissionsExt as _};

use session_core::config::Env;
use session_fs::{CachelibStore, FileStore};
use session_tests::scratch_dir;

fn from(pairs: &[(&str, &str)]) -> Result<FileStore, String> {
    let env: Env = pairs.iter().copied().collect();
    FileStore::from_env(&env).map_err(|error| error.to_string())
}

// One test, because a process has one current directory.
#[test]
fn the_environment_names_directory_threshold_and_mode() {
    let scratch = scratch_dir();
    env::set_current_dir(scratch.path()).unwrap();
    let here = env::current_dir().unwrap();
    let store = from(&[]).unwrap();
    assert_eq!(store.directory(), here.join("flask_session"));
    assert!(store.directory().is_dir(), "it is made at the start");

    let store = from(&[
        ("SESSION_FILE_DIR", "below/sessions/"),
        ("SESSION_FILE_THRESHOLD", "500"),
        ("SESSION_FILE_MODE", "384"),
    ])
    .unwrap();
    assert_eq!(store.directory(), here.join("below/sessions"));
    let shown = format!("{store:?}");
    assert!(
        shown.contains("Some(500)") && shown.contains("0600"),
        "{shown}"
    );
}

/// The setting is named only where the path was read from it.
#[test]
fn a_directory_that_cannot_be_used_stops_the_start_by_its_name() {
    let scratch = scratch_dir();
    let open = scratch.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).unwrap();
    let advice = "must not be writable by group or others (mode 0770): run chmod 0700 on it";
    let path = open.to_str().unwrap();
    let error = from(&[("SESSION_FILE_DIR", path)]).unwrap_err();
    assert_eq!(error, format!("SESSION_FILE_DIR {advice} ({path})"));
    let error = FileStore::open(&open).unwrap_err().to_string();
    assert_eq!(error, format!("{path} {advice}"));
    let error = CachelibStore::new(&open).check().unwrap_err().to_string();
    assert_eq!(error, format!("{path} {advice}"));
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    for (name, value) in [
        ("SESSION_FILE_THRESHOLD", "many"),
        ("SESSION_FILE_THRESHOLD", "-1"),
        ("SESSION_FILE_MODE", "600"),
        ("SESSION_FILE_MODE", "0644"),
        ("SESSION_FILE_MODE", "rw"),
    ] {
        let error = from(&[(name, value)]).unwrap_err();
        assert!(
            error.starts_with(&format!("{name} must ")),
            "{value}: {error}"
        );
    }
}
