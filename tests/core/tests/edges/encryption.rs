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

/// The tool need not know the application's timeouts: a record is kept as long as before.
#[tokio::test]
async fn a_session_that_is_encrypted_anew_lives_as_long_as_before() {
    let day = Duration::from_secs(24 * 3600);
    let long = |keys| signed().with_idle_timeout(90 * day).with_encryption(keys);
    let site = Site::new(long(encrypted(OLD)));
    let browser = site.logged_in("ada").await;
    let keys = encrypted(NEW).with_fallback(OLD).unwrap();
    let tool = site.with_settings(signed().with_encryption(keys));
    let all = tool.sessions.all().unwrap();
    let page = all.encrypt_anew(None, 100).await.unwrap();
    assert_eq!((page.copied, page.present, page.failed.len()), (1, 0, 0));
    let page = all.encrypt_anew(None, 100).await.unwrap();
    assert_eq!((page.copied, page.present), (0, 1));
    site.time.advance(89 * day);
    site.store.sweep().await;
    let site = site.with_settings(long(encrypted(NEW)));
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
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
async fn a_record_of_an_unknown_key_is_an_error_and_can_be_ended_alone() {
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
    }
    assert_eq!(old.store.bytes(&key).await, bytes);
    assert_eq!(browser.header("/"), before);
    assert_eq!(old.value(&browser, "a").await, Some(1));
    // For that the header is enough.
    let other = old.with_settings(signed().with_encryption(encrypted(NEW)));
    assert_eq!(other.sessions.log_out_everywhere("ada").await.unwrap(), 1);
    assert_eq!(old.owner(&browser).await, None);
}

/// A tombstone is not encrypted, so whoever can write to the store can make one.
#[tokio::test]
async fn a_forged_tombstone_leads_to_no_other_session() {
    for writes in [true, false] {
        let site = site(encrypted(OLD));
        let victim = site.logged_in("ada").await;
        site.request(&victim, |session| session.insert("iban", &"DE00").unwrap())
            .await;
        let victims_key = site.store.last_key();
        let other = site.visited().await;
        let template = site.store.last_key();
        site.request(&other, Session::renew).await;
        let tombstone = site.store.bytes(&template).await;
        let attacker = site.visited().await;
        let own_key = site.store.last_key();
        let request = site.open(&attacker).await;
        let forge = |bytes: &mut Vec<u8>| {
            let own = std::mem::replace(bytes, tombstone);
            // Key binding and lineage, and the successor at the end.
            bytes[16..48].copy_from_slice(&own[16..48]);
            let successor = victims_key.as_str().as_bytes();
            let at = bytes.len() - successor.len();
            bytes[at..].copy_from_slice(successor);
        };
        site.store.tamper(&own_key, forge).await;
        if writes {
            request.insert("iban", &"XX99").unwrap();
            let _saved = request.save().await;
        } else {
            let _reloaded = request.reload().await;
        }
        assert_eq!(request.get::<String>("iban").unwrap(), None);
        let iban = site.value::<String>(&victim, "iban").await;
        assert_eq!(iban.as_deref(), Some("DE00"));
    }
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
