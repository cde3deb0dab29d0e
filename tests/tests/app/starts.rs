//! What stops the start, and what is a warning.

use session_tests::{Program, scratch_dir};

use crate::{SECRET, app};

/// The last line of a program that gives up.
fn refused(settings: &[(&str, &str)]) -> String {
    let directory = scratch_dir();
    let output = Program::run::<&str>(directory.path(), "session-app", &[], settings);
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    said.lines().last().unwrap().to_owned()
}

#[test]
fn an_empty_environment_is_told_all_that_is_needed() {
    let line = refused(&[]);
    for part in [
        "SESSION_TYPE is needed: one of filesystem, redis,",
        "SECRET_KEY is needed",
        "openssl rand -base64 48",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn wrong_settings_are_named() {
    let key = refused(&[("SESSION_TYPE", "redis")]);
    assert!(key.contains("SECRET_KEY is needed"), "{key}");
    let kind = refused(&[("SESSION_TYPE", "dynamodb"), SECRET]);
    assert!(kind.contains("SESSION_TYPE must be one of"), "{kind}");
    let cachelib = refused(&[("SESSION_TYPE", "cachelib"), SECRET]);
    assert!(
        cachelib.contains("set SESSION_TYPE=filesystem"),
        "{cachelib}"
    );
    let store = [
        ("SESSION_TYPE", "redis"),
        ("SESSION_REDIS", "paper"),
        SECRET,
    ];
    assert!(refused(&store).contains("SESSION_REDIS"));
}

#[tokio::test]
async fn a_setting_of_another_store_is_a_warning() {
    let settings = [
        ("SESSION_TYPE", "filesystem"),
        ("SESSION_REDIS", "redis://127.0.0.1:6379"),
    ];
    let app = app(&settings).await;
    let warning = "SESSION_REDIS is for SESSION_TYPE=redis and is ignored, because SESSION_TYPE \
                   is filesystem";
    assert!(app.output().contains(warning), "{}", app.output());
}
