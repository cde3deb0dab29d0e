//! The `SESSION_FILE_*` settings, and the check of the directory at startup.

use std::{env, fs, os::unix::fs::PermissionsExt as _};

use session_core::config::Env;
use session_fs::FileStore;
use session_tests::scratch_dir;

fn from(pairs: &[(&str, &str)]) -> Result<FileStore, String> {
    let env: Env = pairs.iter().copied().collect();
    FileStore::from_env(&env).map_err(|error| error.to_string())
}

// A single test, because a process has one current directory.
#[test]
fn the_environment_names_directory_threshold_and_mode() {
    let scratch = scratch_dir();
    env::set_current_dir(scratch.path()).unwrap();
    let here = env::current_dir().unwrap();
    let store = from(&[]).unwrap();
    assert_eq!(store.directory(), here.join("flask_session"));
    assert!(store.directory().is_dir(), "it is created at startup");

    let store = from(&[
        ("SESSION_FILE_DIR", "below/sessions/"),
        ("SESSION_FILE_THRESHOLD", "500"),
        ("SESSION_FILE_MODE", "384"),
    ])
    .unwrap();
    assert_eq!(store.directory(), here.join("below/sessions"));
    let debug = format!("{store:?}");
    assert!(
        debug.contains("Some(500)") && debug.contains("0600"),
        "{debug}"
    );
}

/// The error names the setting only if the path came from it.
#[test]
fn an_unusable_directory_stops_the_start_and_is_named() {
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
}

#[test]
fn an_invalid_setting_is_refused_and_named() {
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
