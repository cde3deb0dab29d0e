//! The demo refuses to start on settings that are wrong, in one line that names the setting.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use session_tests::{Program, scratch_dir};

/// What the demo writes before it gives up.
fn refused(directory: &Path, env: &[(&str, &str)]) -> String {
    let mut settings = vec![("DEMO_ADDR", "127.0.0.1:0")];
    settings.extend(env);
    let output = Program::run::<&str>(directory, "demo", &[], &settings);
    assert!(!output.status.success(), "{env:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{env:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn wrong_settings_are_named() {
    let directory = scratch_dir();
    let cases: &[&[(&str, &str)]] = &[
        &[("SESSION_TYPE", "cassandra")],
        &[("SECRET_KEY", "short")],
        &[("SECRET_KEY", &"a".repeat(64))],
        &[
            ("SECRET_KEY_FALLBACKS", "short"),
            ("SECRET_KEY", "correct-horse-battery-staple-41-bottles"),
        ],
        &[("SESSION_COOKIE_NAME", "__Host-id")],
        &[
            ("SESSION_COOKIE_DOMAIN", "example.org"),
            ("SESSION_COOKIE_NAME", "__Host-id"),
            ("SESSION_COOKIE_SECURE", "true"),
        ],
        &[
            ("SESSION_COOKIE_PATH", "/app"),
            ("SESSION_COOKIE_NAME", "__Host-id"),
            ("SESSION_COOKIE_SECURE", "true"),
        ],
        &[("SESSION_COOKIE_NAME", "__Secure-id")],
        &[("SESSION_COOKIE_NAME", "two words")],
        &[("SESSION_COOKIE_SAMESITE", "None")],
        &[("SESSION_COOKIE_SAMESITE", "Sometimes")],
        &[("SESSION_COOKIE_SECURE", "perhaps")],
        &[("SESSION_COOKIE_PARTITIONED", "true")],
        &[("SESSION_USE_SIGNER", "perhaps")],
        &[("SESSION_ID_LENGTH", "8")],
        &[("SESSION_KEY_PREFIX", "with space ")],
        &[("PERMANENT_SESSION_LIFETIME", "soon")],
        &[("SESSION_ABSOLUTE_LIFETIME", "-1")],
        &[("SESSION_MAX_PER_USER", "0")],
        &[("SESSION_MAX_PER_USER", "3"), ("SESSION_TYPE", "memcached")],
        &[("SESSION_ON_MAX_PER_USER", "sometimes")],
        &[("SESSION_STORE_TIMEOUT_MS", "fast")],
        &[("SESSION_CLEANUP_SECONDS", "often")],
        &[("SESSION_FILE_MODE", "0644")],
        &[("SESSION_FILE_MODE", "600")],
        &[("SESSION_FILE_THRESHOLD", "many")],
        &[
            ("SESSION_REDIS", "http://127.0.0.1"),
            ("SESSION_TYPE", "redis"),
        ],
        &[
            ("SESSION_MEMCACHED", "127.0.0.1:port"),
            ("SESSION_TYPE", "memcached"),
        ],
        &[
            ("SESSION_MONGODB", "redis://127.0.0.1"),
            ("SESSION_TYPE", "mongodb"),
        ],
        &[
            ("SESSION_SQL", "oracle://127.0.0.1"),
            ("SESSION_TYPE", "sql"),
        ],
        &[("SESSION_SQL_TABLE", "a;b"), ("SESSION_TYPE", "sql")],
        &[("DEMO_WORKERS", "0")],
        &[("DEMO_WORKERS", "several")],
        &[("DEMO_ADDR", "nowhere")],
    ];
    for case in cases {
        let said = refused(directory.path(), case);
        let (setting, value) = case[0];
        assert!(
            said.lines().count() == 1 && said.contains(setting),
            "{setting}={value}: {said}"
        );
        if setting.starts_with("SECRET_KEY") {
            assert!(!said.contains(value), "a secret is not repeated: {said}");
        }
    }
}

#[test]
fn an_address_in_use_is_named_with_both_settings() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let used = listener.local_addr().expect("it is bound").to_string();
    let said = refused(scratch_dir().path(), &[("DEMO_ADDR", &used)]);
    let last = said.lines().last().unwrap_or_default();
    for part in [&*used, "DEMO_ADDR", "PORT"] {
        assert!(last.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_directory_that_is_none_or_open_to_others_is_named() {
    let directory = scratch_dir();
    fs::write(directory.path().join("file"), "").expect("the directory is writable");
    let open = directory.path().join("open");
    fs::create_dir(&open).expect("the directory is writable");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).expect("it is ours");
    for name in ["file", "file/below", "open"] {
        let said = refused(directory.path(), &[("SESSION_FILE_DIR", name)]);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains("SESSION_FILE_DIR") && said.contains(name),
            "{said}"
        );
    }
}

#[tokio::test]
async fn the_default_needs_nothing_and_says_where_it_is() {
    let demo = Program::start("demo", &[]).await;
    let lines: Vec<_> = demo.output().lines().map(str::to_owned).collect();
    let listening: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(&demo.url()))
        .collect();
    assert_eq!(listening.len(), 1, "{lines:?}");
    for word in [
        "filesystem",
        "SESSION_TYPE",
        "redis",
        "memcached",
        "mongodb",
        "sql",
    ] {
        assert!(listening[0].contains(word), "{word}: {lines:?}");
    }
    let secret = demo.directory().join("demo-secret.key");
    let mode = fs::metadata(secret)
        .expect("it was made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(demo.directory().join("demo-sessions").is_dir());
    // It listens for signals from when it serves.
    let answer = reqwest::get(format!("{}/plain", demo.url())).await;
    assert!(answer.is_ok_and(|answer| answer.status() == 200));
    assert!(demo.stop().await, "{}", demo.output());
}
