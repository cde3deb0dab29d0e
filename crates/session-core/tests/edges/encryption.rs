//! Sessions whose payloads are encrypted: what the store sees, and what happens to records of
//! another key, or of none.

use std::time::Duration;

use session_core::config::FlaskSessions;
use session_core::{EncryptionKeys, Error, Session, Settings};

use crate::support::{Site, keys, signed};

const OLD: &str = "Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ";
const NEW: &str = "Dz7sQv2gX5kBn9tLw4fRj1hYp8cMa6eU";
const SECRET: &str = "the secret that nobody reads in the store";

fn encrypted(secret: &str) -> EncryptionKeys {
    EncryptionKeys::new(secret).unwrap()
}

fn site(keys: EncryptionKeys) -> Site {
    Site::new(signed().with_encryption(keys))
}

async fn is_readable(site: &Site) -> bool {
    let bytes = site.store.bytes(&site.store.last_key()).await;
    bytes
        .windows(SECRET.len())
        .any(|part| part == SECRET.as_bytes())
}

#[tokio::test]
async fn the_store_never_sees_what_a_session_holds() {
    for encrypts in [false, true] {
        let site = if encrypts {
            site(encrypted(OLD))
        } else {
            Site::new(signed())
        };
        let browser = site.logged_in("ada").await;
        let insert = |session: &Session| session.insert("a", &SECRET).unwrap();
        site.request(&browser, insert).await;
        assert_eq!(is_readable(&site).await, !encrypts);
        // A change, a refresh, a new id, and a login write it again.
        site.request(&browser, |session| session.insert("b", &1).unwrap())
            .await;
        assert_eq!(is_readable(&site).await, !encrypts);
        site.time.advance(Duration::from_secs(24 * 20 * 3600));
        assert_eq!(
            site.value::<String>(&browser, "a").await.as_deref(),
            Some(SECRET)
        );
        site.request(&browser, |_| {}).await;
        assert_eq!(is_readable(&site).await, !encrypts);
        site.request(&browser, Session::renew).await;
        assert_eq!(is_readable(&site).await, !encrypts);
        site.request(&browser, |session| session.log_in("bob").unwrap())
            .await;
        assert!(!is_readable(&site).await);
        assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
    }
}

#[tokio::test]
async fn the_next_write_encrypts_with_the_newest_key() {
    let old = site(encrypted(OLD));
    let browser = old.visited().await;
    let both = encrypted(NEW).with_fallback(OLD).unwrap();
    let both = old.with_settings(signed().with_encryption(both));
    assert_eq!(both.value(&browser, "a").await, Some(1));
    both.request(&browser, |session| session.insert("b", &2).unwrap())
        .await;
    let new = old.with_settings(signed().with_encryption(encrypted(NEW)));
    assert_eq!(new.value(&browser, "a").await, Some(1));
    assert_eq!(new.value(&browser, "b").await, Some(2));
}

#[tokio::test]
async fn a_record_of_an_unknown_key_is_an_error_and_is_not_overwritten() {
    let old = site(encrypted(OLD));
    let browser = old.logged_in("ada").await;
    old.request(&browser, |session| session.insert("a", &1).unwrap())
        .await;
    let (key, before) = (old.store.last_key(), browser.header("/"));
    let bytes = old.store.bytes(&key).await;
    for settings in [signed(), signed().with_encryption(encrypted(NEW))] {
        let other = old.with_settings(settings);
        let opened = other.try_open(&browser).await;
        assert!(
            matches!(opened, Err(Error::UnknownEncryptionKey)),
            "{opened:?}"
        );
        let ended = other.sessions.log_out_everywhere("ada").await;
        assert!(
            matches!(ended, Err(Error::UnknownEncryptionKey)),
            "{ended:?}"
        );
    }
    assert_eq!(old.store.bytes(&key).await, bytes);
    assert_eq!(browser.header("/"), before);
    assert_eq!(old.value(&browser, "a").await, Some(1));
}

#[tokio::test]
async fn a_plain_record_is_read_only_if_the_settings_say_so() {
    let plain = Site::new(signed());
    let browser = plain.visited().await;
    let refuses = plain.with_settings(signed().with_encryption(encrypted(OLD)));
    assert_eq!(refuses.value::<u8>(&browser, "a").await, None);
    let accepts = encrypted(OLD).accepting_plain(true);
    let accepts = plain.with_settings(signed().with_encryption(accepts));
    assert_eq!(accepts.value(&browser, "a").await, Some(1));
    // The next write encrypts it.
    accepts
        .request(&browser, |session| session.insert("b", &2).unwrap())
        .await;
    assert_eq!(refuses.value(&browser, "a").await, Some(1));
}

#[tokio::test]
async fn a_size_limit_counts_what_is_stored() {
    let encrypts = || signed().with_encryption(encrypted(OLD));
    let site = Site::with_limit(encrypts(), 2000).unwrap();
    let browser = site.browser();
    let fill = async |bytes: usize| {
        let request = site.open(&browser).await;
        request.insert("a", &"x".repeat(bytes)).unwrap();
        request.answer().await.map(|_| ())
    };
    fill(1000).await.unwrap();
    let length = site.store.bytes(&site.store.last_key()).await.len();
    fill(1000 + 2000 - length).await.unwrap();
    let refused = fill(1000 + 2001 - length).await;
    assert!(
        matches!(
            refused,
            Err(Error::TooLarge {
                size: 2001,
                limit: 2000
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn sessions_that_flask_reads_are_not_encrypted() {
    let build = |settings: Settings| {
        settings
            .with_encryption(encrypted(OLD))
            .check()
            .map_err(|it| it.to_string())
    };
    let error = build(Settings::flask()).unwrap_err();
    assert!(error.contains("Flask could not read"), "{error}");
    let beside = Settings::new(keys()).with_flask_sessions(FlaskSessions::Keep);
    let error = build(beside).unwrap_err();
    assert!(
        error.starts_with("SESSION_ENCRYPTION_ACCEPT_PLAIN must be true"),
        "{error}"
    );
}
