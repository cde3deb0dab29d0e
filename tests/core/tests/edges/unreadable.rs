//! Damaged records, and records of a later release: they are never read as ended, and never
//! overwritten.

use session_core::{Error, Session, StoreKey, config::OnStoreFailure};

use crate::support::{Browser, Handler, Site, signed};

type Tamper = fn(&mut Vec<u8>);

/// What makes a record one of a later release: its version, its kind, a flag that is unknown here.
const LATER: [Tamper; 4] = [
    |bytes| bytes[1] = 2,
    |bytes| bytes[2] = 99,
    |bytes| bytes[6] |= 0x80,
    |bytes| bytes[7] = 4,
];

/// What makes it unreadable: cut short, another key's, no record at all, data that are none.
const DAMAGED: [Tamper; 4] = [
    |bytes| bytes.truncate(50),
    |bytes| bytes[20] ^= 1,
    |bytes| *bytes = b"hello".to_vec(),
    |bytes| {
        bytes.pop();
    },
];

/// The first three are no record of a live session at all.
const DAMAGED_HEADER: &[Tamper] = DAMAGED.split_at(3).0;

/// What a request does; last the login, which a request that could not load its session is refused
/// at once.
const WORKS: [Handler; 5] = [
    |session| session.insert("a", &1).unwrap(),
    Session::renew,
    Session::clear,
    Session::log_out,
    |session| session.log_in("bob").unwrap(),
];

async fn tampered(site: &Site, tamper: Tamper) -> (Browser, StoreKey, Vec<u8>) {
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| session.insert("kept", &1).unwrap())
        .await;
    let key = site.store.last_key();
    site.store.tamper(&key, tamper).await;
    let bytes = site.store.bytes(&key).await;
    (browser, key, bytes)
}

#[tokio::test]
async fn a_record_of_a_later_release_is_an_error_to_every_request() {
    for tamper in LATER {
        let site = Site::new(signed());
        let (browser, key, bytes) = tampered(&site, tamper).await;
        let before = browser.clone();
        for _ in 0..2 {
            let opened = site.try_open(&browser).await;
            assert!(matches!(opened, Err(Error::LaterVersion)), "{opened:?}");
        }
        assert_eq!(site.store.bytes(&key).await, bytes);
        assert_eq!(browser.header("/"), before.header("/"));
        // The release that wrote it finds the session as it was.
        let restore = |bytes: &mut Vec<u8>| {
            bytes[1] = 1;
            bytes[2] = 0;
            bytes[6] &= 0x7f;
            bytes[7] = 0;
        };
        site.store.tamper(&key, restore).await;
        assert_eq!(site.value(&browser, "kept").await, Some(1));
    }
}

#[tokio::test]
async fn a_record_of_a_later_release_is_not_overwritten_by_a_site_that_continues_without_it() {
    for tamper in LATER {
        for work in &WORKS[..4] {
            let settings = signed().with_on_store_failure(OnStoreFailure::Anonymous);
            let site = Site::new(signed());
            let (browser, key, bytes) = tampered(&site, tamper).await;
            let before = browser.header("/");
            let site = site.with_settings(settings);
            let request = site.open(&browser).await;
            site.store.calls();
            let logged_in = matches!(request.log_in("ada"), Err(Error::NotLoaded));
            assert!(logged_in);
            work(&request);
            let _answered = request.answer().await;
            assert_eq!(site.store.writes(), []);
            assert_eq!(site.store.bytes(&key).await, bytes);
            assert_eq!(browser.header("/"), before);
        }
    }
}

#[tokio::test]
async fn a_record_that_a_later_release_writes_while_a_request_runs_is_not_overwritten() {
    for tamper in LATER {
        for work in WORKS {
            let site = Site::new(signed());
            let browser = site.logged_in("ada").await;
            site.request(&browser, |session| session.insert("kept", &1).unwrap())
                .await;
            let before = browser.header("/");
            let request = site.open(&browser).await;
            let key = site.store.last_key();
            site.store.tamper(&key, tamper).await;
            let bytes = site.store.bytes(&key).await;
            work(&request);
            let answered = request.answer().await;
            assert!(matches!(answered, Err(Error::LaterVersion)), "{answered:?}");
            assert_eq!(site.store.bytes(&key).await, bytes);
            assert_eq!(browser.header("/"), before);
        }
    }
}

#[tokio::test]
async fn reloading_a_record_of_a_later_release_is_an_error() {
    for tamper in LATER {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let request = site.open(&browser).await;
        site.store.tamper(&site.store.last_key(), tamper).await;
        assert!(matches!(request.reload().await, Err(Error::LaterVersion)));
    }
}

#[tokio::test]
async fn a_log_out_everywhere_that_meets_an_unreadable_record_is_an_error_and_ends_the_others() {
    for tamper in LATER.iter().chain(DAMAGED_HEADER) {
        let site = Site::new(signed());
        let before = site.logged_in("ada").await;
        let (_, key, bytes) = tampered(&site, *tamper).await;
        let after = site.logged_in("ada").await;
        assert!(site.sessions.log_out_everywhere("ada").await.is_err());
        assert_eq!(site.owner(&before).await, None);
        assert_eq!(site.owner(&after).await, None);
        assert_eq!(site.store.bytes(&key).await, bytes);
    }
}

#[tokio::test]
async fn a_damaged_record_reads_as_empty_and_a_log_out_of_it_is_an_error_if_its_header_is_damaged()
{
    for tamper in DAMAGED {
        let site = Site::new(signed());
        let (browser, ..) = tampered(&site, tamper).await;
        assert!(site.open(&browser).await.keys().is_empty());
    }
    for tamper in DAMAGED_HEADER {
        let site = Site::new(signed());
        let (browser, ..) = tampered(&site, *tamper).await;
        let request = site.open(&browser).await;
        request.log_out();
        let answered = request.answer().await;
        assert!(
            matches!(answered, Err(Error::Corrupt { .. })),
            "{answered:?}"
        );
    }
}

#[tokio::test]
async fn a_new_session_in_place_of_a_damaged_one_has_another_id() {
    for tamper in DAMAGED {
        for work in [WORKS[0], WORKS[4]] {
            let site = Site::new(signed());
            let (browser, key, bytes) = tampered(&site, tamper).await;
            let before = browser.header("/");
            site.request(&browser, work).await;
            assert_ne!(browser.header("/"), before);
            assert_eq!(site.store.bytes(&key).await, bytes);
            assert!(!site.open(&browser).await.is_new());
        }
    }
}

#[tokio::test]
async fn a_list_that_meets_a_record_of_a_later_release_is_an_error() {
    for tamper in LATER {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        tampered(&site, tamper).await;
        let listed = site.open(&browser).await.owner_sessions().await;
        assert!(matches!(listed, Err(Error::LaterVersion)), "{listed:?}");
        let listed = site.sessions.owner_sessions("ada").await;
        assert!(matches!(listed, Err(Error::LaterVersion)), "{listed:?}");
    }
}

#[tokio::test]
async fn to_end_a_device_whose_record_cannot_be_read_is_an_error() {
    for tamper in LATER.iter().chain(DAMAGED_HEADER) {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let device = site.logged_in("ada").await;
        let lineage = site.open(&device).await.lineage().unwrap();
        site.store.tamper(&site.store.last_key(), *tamper).await;
        let ended = site.open(&browser).await.end_owner_session(&lineage).await;
        assert!(ended.is_err(), "{ended:?}");
        // One that can be read is ended beside it.
        let other = site.logged_in("ada").await;
        let lineage = site.open(&other).await.lineage().unwrap();
        let request = site.open(&browser).await;
        assert!(request.end_owner_session(&lineage).await.unwrap());
        assert_eq!(site.owner(&other).await, None);
    }
}

#[tokio::test]
async fn a_session_whose_data_are_damaged_can_be_ended() {
    let tamper = DAMAGED[3];
    let site = Site::new(signed());
    let (browser, ..) = tampered(&site, tamper).await;
    let request = site.open(&browser).await;
    request.log_out();
    request.answer().await.unwrap();
    assert_eq!(browser.header("/"), None);
    tampered(&site, tamper).await;
    let list = site.sessions.owner_sessions("ada").await.unwrap();
    let ended = site.sessions.end_owner_session("ada", list[0].lineage());
    assert!(ended.await.unwrap());
    tampered(&site, tamper).await;
    let ended = site.sessions.log_out_everywhere("ada").await;
    assert_eq!(ended.unwrap(), 1);
}
