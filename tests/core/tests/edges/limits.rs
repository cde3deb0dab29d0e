//! No store gets a record beyond its limit or that of the settings.

use std::time::Duration;

use session_core::EncryptionKeys;
use session_core::{Error, KeyPrefix, Record, Session, Settings};

use crate::support::{Browser, Site, signed};

/// The settings whose keys are the longest, and with them the tombstone of a renewal.
fn longest_prefix() -> Settings {
    signed().with_key_prefix(KeyPrefix::new(&"p".repeat(128)).unwrap())
}

#[test]
fn a_store_that_takes_no_head_is_refused() {
    for settings in [signed(), longest_prefix(), Settings::flask()] {
        for limit in [0, 256, Record::HEAD - 1] {
            let refused = Site::with_limit(settings.clone(), limit).unwrap_err();
            let message = refused.to_string();
            assert!(message.contains(&format!("{limit} bytes")), "{message}");
            assert!(message.contains("1024"), "{message}");
        }
        assert!(Site::with_limit(settings, Record::HEAD).is_ok());
    }
}

#[tokio::test]
async fn the_longest_prefix_owner_and_label_give_no_record_beyond_the_smallest_limit() {
    let (owner, other) = ("o".repeat(512), "p".repeat(512));
    let label = "l".repeat(256);
    let site = Site::with_limit(longest_prefix(), Record::HEAD).unwrap();
    let browser = site.visited().await;
    site.request(&browser, Session::clear).await;
    for owner in [&owner, &other] {
        site.request(&browser, |session| {
            session.set_label(Some(&label));
            session.set_lifetime(Some(Settings::DEFAULT_IDLE_TIMEOUT * 2));
            session.log_in_from_provider(owner, "s1").unwrap();
        })
        .await;
        site.request(&browser, Session::renew).await;
        site.request(&browser, Session::extend).await;
        assert_eq!(site.owner(&browser).await.as_ref(), Some(owner));
        assert_eq!(site.open(&browser).await.label().as_deref(), Some(&*label));
    }
    // What is too large is refused before the store sees it, also together with a renewal.
    for renews in [false, true] {
        let request = site.open(&browser).await;
        request.insert("a", &"a".repeat(Record::HEAD)).unwrap();
        if renews {
            request.renew();
        }
        let answered = request.answer().await;
        let limit = Record::HEAD;
        assert!(
            matches!(&answered, Err(Error::TooLarge { limit: of, .. }) if *of == limit),
            "{answered:?}"
        );
    }
    assert_eq!(site.owner(&browser).await.as_ref(), Some(&other));
    assert!(site.store.largest() <= Record::HEAD);
    // Ended by itself, and as one of the owner's.
    site.request(&browser, Session::log_out).await;
    assert_eq!(site.owner(&browser).await, None);
    let browser = site.logged_in(&owner).await;
    assert_eq!(site.sessions.log_out_everywhere(&owner).await.unwrap(), 1);
    assert_eq!(site.owner(&browser).await, None);
    assert!(site.store.largest() <= Record::HEAD);
}

#[tokio::test]
async fn no_session_grows_beyond_the_limit_of_bytes_in_the_settings() {
    let site = Site::new(signed().with_max_bytes(2000));
    let browser = site.logged_in("ada").await;
    // The largest text that fits.
    let mut stored = 0;
    for size in 1000..2000 {
        let request = site.open(&browser).await;
        request.insert("text", &"x".repeat(size)).unwrap();
        match request.answer().await {
            Ok(_) => stored = size,
            Err(Error::TooLarge {
                size: 2001,
                limit: 2000,
            }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(site.store.largest(), 2000);
    let text: String = site.value(&browser, "text").await.unwrap();
    assert_eq!(text.len(), stored);
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn no_session_has_more_keys_than_the_settings_say() {
    let site = Site::new(signed().with_max_keys(3));
    let browser = site.logged_in("ada").await;
    let insert = async |key: &str| {
        let request = site.open(&browser).await;
        request.insert(key, &1).unwrap();
        request.answer().await.map(drop)
    };
    for key in ["a", "b", "c", "a"] {
        insert(key).await.unwrap();
    }
    let refused = insert("d").await;
    assert!(
        matches!(refused, Err(Error::TooManyKeys { count: 4, limit: 3 })),
        "{refused:?}"
    );
    let keys = site.open(&browser).await.keys();
    assert_eq!(keys, ["a", "b", "c"]);
    // Concurrent changes are counted together.
    site.request(&browser, |session| drop(session.remove("c")))
        .await;
    let (one, other) = (site.open(&browser).await, site.open(&browser).await);
    one.insert("c", &1).unwrap();
    other.insert("d", &1).unwrap();
    one.answer().await.unwrap();
    assert!(matches!(
        other.answer().await,
        Err(Error::TooManyKeys { .. })
    ));
    // A limit that is lowered stops no one who reads, stays, removes or logs out.
    let site = site.with_settings(signed().with_max_keys(2));
    site.request(&browser, Session::extend).await;
    assert_eq!(site.open(&browser).await.keys().len(), 3);
    site.request(&browser, |session| drop(session.remove("a")))
        .await;
    assert_eq!(site.open(&browser).await.keys().len(), 2);
    site.request(&browser, Session::log_out).await;
    assert_eq!(site.owner(&browser).await, None);
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn for_a_day() -> Settings {
    signed().with_idle_timeout(DAY)
}

/// Uses the session for days, renews it, and makes it smaller.
async fn goes_on_with(site: &Site, browser: &Browser) {
    for _ in 0..4 {
        site.time.advance(DAY / 2);
        site.request(browser, |_| {}).await;
    }
    for work in [
        Session::renew as fn(&Session),
        |session| session.reauthenticate().unwrap(),
        |session| session.set_label(Some("laptop")),
        |session| drop(session.remove("b")),
    ] {
        let request = site.open(browser).await;
        work(&request);
        request.answer().await.unwrap();
    }
    assert_eq!(site.owner(browser).await.as_deref(), Some("ada"));
    assert_eq!(site.value::<u8>(browser, "b").await, None);
}

/// A user with a session of three keys and 3,000 bytes.
async fn with_a_large_session(site: &Site) -> Browser {
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| {
        session.insert("a", &"a".repeat(3000)).unwrap();
        session.insert("b", &1).unwrap();
        session.insert("c", &1).unwrap();
    })
    .await;
    browser
}

#[tokio::test]
async fn a_limit_that_is_lowered_ends_no_session_and_stops_only_growth() {
    let lowered = [
        for_a_day().with_max_bytes(2000),
        for_a_day().with_max_keys(1),
        for_a_day().with_max_bytes(2000).with_rotation(DAY / 4),
    ];
    for settings in lowered {
        let site = Site::new(for_a_day());
        let browser = with_a_large_session(&site).await;
        let site = site.with_settings(settings);
        goes_on_with(&site, &browser).await;
        let request = site.open(&browser).await;
        request.insert("a", &"a".repeat(3001)).unwrap();
        request.insert("d", &1).unwrap();
        let answered = request.answer().await;
        let Err(Error::TooLarge { .. } | Error::TooManyKeys { .. }) = answered else {
            panic!("{answered:?}");
        };
    }
}

#[tokio::test]
async fn encryption_that_is_switched_on_ends_no_session_at_the_limit() {
    let keys = EncryptionKeys::new("Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ").unwrap();
    let site = Site::new(for_a_day());
    let browser = with_a_large_session(&site).await;
    let settings = for_a_day().with_max_bytes(site.store.largest());
    let site = site.with_settings(settings.with_encryption(keys.accepting_plain(true)));
    goes_on_with(&site, &browser).await;
}
