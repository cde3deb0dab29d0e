//! No store gets a record beyond its limit.

use session_core::{Error, KeyPrefix, Record, Session, Settings};

use crate::support::{Site, signed};

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
            session.log_in(owner).unwrap();
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
