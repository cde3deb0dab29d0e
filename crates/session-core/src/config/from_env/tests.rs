//! Tests of the settings from environment variables.

use super::*;

const SECRET: (&str, &str) = ("SECRET_KEY", "3cNnVbkzKk1xq0T8sYwR5uJmLpE7hGfDaZxCvBn2");

fn settings(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    Settings::from_env(&pairs.iter().copied().chain([SECRET]).collect())
}

fn refusal(pairs: &[(&str, &str)]) -> String {
    settings(pairs)
        .expect_err("the setting is refused")
        .to_string()
}

#[test]
fn every_setting_is_turned_by_its_name() {
    let all = settings(&[
        ("SESSION_COOKIE_NAME", "s"),
        ("SESSION_COOKIE_DOMAIN", "example.org"),
        ("SESSION_COOKIE_PATH", "/app"),
        ("SESSION_COOKIE_HTTPONLY", "false"),
        ("SESSION_COOKIE_SECURE", "1"),
        ("SESSION_COOKIE_SAMESITE", "none"),
        ("SESSION_COOKIE_PARTITIONED", "yes"),
        ("SESSION_KEY_PREFIX", "app:"),
        ("SESSION_ID_LENGTH", "16"),
        ("SESSION_MAX_BYTES", "4096"),
        ("SESSION_MAX_KEYS", "50"),
        ("SESSION_PERMANENT", "off"),
        ("PERMANENT_SESSION_LIFETIME", "60"),
        ("SESSION_ABSOLUTE_LIFETIME", "90000"),
        ("SESSION_CLEANUP_SECONDS", "7"),
        ("SESSION_ROTATION_SECONDS", "86400"),
        ("SESSION_ROTATED_ID_ENDS_SESSION", "true"),
        ("SESSION_STORE_TIMEOUT_MS", "250"),
        ("SESSION_REFRESH_EACH_REQUEST", "false"),
    ])
    .unwrap();
    assert_eq!(all.cookie.name, "s");
    assert_eq!(all.cookie.domain.as_deref(), Some("example.org"));
    assert_eq!(all.cookie.path, "/app");
    assert!(!all.cookie.http_only && all.cookie.secure && all.cookie.partitioned);
    assert_eq!(all.cookie.same_site, Some(SameSite::None));
    assert_eq!(all.prefix.as_str(), "app:");
    assert_eq!(all.id_bytes, 16);
    assert_eq!((all.max_bytes, all.max_keys), (4096, 50));
    assert!(!all.permanent);
    assert_eq!(all.idle_timeout.as_secs(), 60);
    assert_eq!(all.absolute_timeout.unwrap().as_secs(), 90_000);
    assert_eq!(all.sweep_pause.as_secs(), 7);
    assert_eq!(all.rotation().unwrap().as_secs(), 86_400);
    assert!(all.rotated_id_ends_session());
    assert_eq!(all.store_timeout.as_millis(), 250);
    assert_eq!(all.refresh, Refresh::OnChange);
    assert!(all.keys.is_some());
}

#[test]
fn what_cannot_be_used_is_refused_in_one_line_that_names_it() {
    for (name, value) in [
        ("SESSION_COOKIE_SECURE", "maybe"),
        ("SESSION_COOKIE_SECURE", "false"),
        ("SESSION_COOKIE_DOMAIN", "example.org"),
        ("SESSION_COOKIE_SAMESITE", "sometimes"),
        ("SESSION_MAX_BYTES", "1023"),
        ("SESSION_MAX_KEYS", "0"),
        ("SESSION_KEY_PREFIX", "a b"),
        ("SESSION_ID_LENGTH", "8"),
        ("SESSION_ID_LENGTH", "thirty-two"),
        ("PERMANENT_SESSION_LIFETIME", "0"),
        ("PERMANENT_SESSION_LIFETIME", "1.5"),
        ("SESSION_ABSOLUTE_LIFETIME", "-1"),
        ("SESSION_STORE_TIMEOUT_MS", "0"),
        ("SESSION_CLEANUP_SECONDS", "0"),
        ("SESSION_ROTATION_SECONDS", "0"),
        ("SESSION_ROTATED_ID_ENDS_SESSION", "perhaps"),
        ("SESSION_SERIALIZATION_FORMAT", "json"),
        ("SESSION_SERIALIZATION_FORMAT", "pickle"),
        ("SECRET_KEY_FALLBACKS", "short"),
    ] {
        let line = refusal(&[(name, value)]);
        assert!(!line.contains('\n'), "{line}");
        assert!(
            line.contains("SESSION_") || line.contains("SECRET_KEY"),
            "{line}"
        );
    }
    assert!(
        Settings::from_env(&Env::default())
            .unwrap_err()
            .to_string()
            .starts_with("SECRET_KEY is needed")
    );
    let weak = Settings::from_env(&Env::from_iter([("SECRET_KEY", "dev")]));
    assert!(weak.unwrap_err().to_string().contains("32 random bytes"));
}

#[test]
fn older_keys_are_taken_too() {
    let older = "an older key of some forty characters: 1,another one of forty characters or so";
    let settings = settings(&[("SECRET_KEY_FALLBACKS", older)]).unwrap();
    assert_eq!(format!("{:?}", settings.keys.unwrap()), "SecretKeys(3)");
}

#[test]
fn use_moves_the_expiry_again_where_only_changes_did() {
    for (before, value, after) in [
        (Refresh::OnChange, "true", Refresh::WhenDue),
        (Refresh::EveryRequest, "true", Refresh::EveryRequest),
        (Refresh::EveryRequest, "false", Refresh::OnChange),
    ] {
        let env = Env::from_iter([("SESSION_REFRESH_EACH_REQUEST", value), SECRET]);
        let settings = Settings::unsigned().with_refresh(before).overlaid(&env);
        assert_eq!(settings.unwrap().refresh, after);
    }
}

#[test]
fn without_the_signer_no_key_is_needed() {
    let unsigned = Settings::from_env(&Env::from_iter([("SESSION_USE_SIGNER", "false")]));
    assert!(unsigned.unwrap().keys.is_none());
}

#[test]
fn an_empty_value_counts_as_unset() {
    assert_eq!(
        settings(&[("SESSION_COOKIE_NAME", "")])
            .unwrap()
            .cookie
            .name,
        "__Host-session"
    );
}

#[test]
fn a_key_that_cannot_become_an_older_one_is_refused() {
    let key = "3cNnVbkzKk1xq0T8sYwR5uJm,LpE7hGfDaZxCvBn2";
    let env: Env = [("SECRET_KEY", key)].into_iter().collect();
    let error = Settings::from_env(&env).unwrap_err().to_string();
    assert!(error.starts_with("SECRET_KEY must not contain a comma"));
    assert!(!error.contains("3cNn"), "{error}");
}

#[test]
fn what_is_only_for_flask_names_the_cargo_feature() {
    for (name, value) in [
        ("SESSION_SERIALIZATION_FORMAT", "json"),
        ("SESSION_KEY_PREFIX", ""),
    ] {
        let line = refusal(&[(name, value)]);
        assert!(line.contains("the Cargo feature `flask`"), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_text_is_refused_and_not_ignored() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

    let bytes = OsString::from_vec(vec![b'a', 0xff]);
    for name in [
        "SECRET_KEY",
        "SESSION_USE_SIGNER",
        "PERMANENT_SESSION_LIFETIME",
    ] {
        let pairs = [SECRET, (name, "true")].map(|(name, value)| (name.into(), value.into()));
        let env = Env::of_os(pairs.into_iter().chain([(name.into(), bytes.clone())]));
        let error = Settings::from_env(&env).unwrap_err().to_string();
        assert_eq!(error, format!("{name} must be text in UTF-8"));
    }
    let others = [(OsString::from("LANG"), bytes)];
    let env = Env::of_os(
        others
            .into_iter()
            .chain([(SECRET.0.into(), SECRET.1.into())]),
    );
    assert!(Settings::from_env(&env).is_ok());
}

#[test]
fn an_empty_setting_of_the_cookie_is_unset_beside_a_header() {
    let header = ("SESSION_HEADER", "Authorization");
    assert!(settings(&[header, ("SESSION_COOKIE_NAME", "")]).is_ok());
    let both = refusal(&[header, ("SESSION_COOKIE_NAME", "s")]);
    assert!(both.contains("leave SESSION_COOKIE_NAME unset"), "{both}");
}
