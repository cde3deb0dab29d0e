//! What the environment says about files.

use std::path::Path;

use session_core::config::Env;
use session_fs::FileStore;

fn from(pairs: &[(&str, &str)]) -> Result<FileStore, String> {
    let env: Env = pairs.iter().copied().collect();
    FileStore::from_env(&env).map_err(|error| error.to_string())
}

#[test]
fn nothing_set_means_flask_sessions_directory() {
    let store = from(&[]).unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(store.directory(), here.join("flask_session"));
    assert!(!store.directory().exists(), "the constructor does no I/O");
}

#[test]
fn the_environment_names_directory_threshold_and_mode() {
    let store = from(&[
        ("SESSION_FILE_DIR", "/srv/sessions/"),
        ("SESSION_FILE_THRESHOLD", "500"),
        ("SESSION_FILE_MODE", "384"),
    ])
    .unwrap();
    assert_eq!(store.directory(), Path::new("/srv/sessions"));
    let shown = format!("{store:?}");
    assert!(
        shown.contains("Some(500)") && shown.contains("0600"),
        "{shown}"
    );
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
