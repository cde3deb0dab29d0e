//! The cost of a session: it grows no faster than the session, and what is stored can be read.

use std::time::{Duration, Instant};

use session_core::{Error, Format, Session, Settings};

use crate::support::{Handler, Method, Site, signed};

/// The most keys that a session may have.
const MOST: usize = 16_384;

/// Inserts so many keys that are new.
fn fill(session: &Session, keys: usize) {
    for n in 0..keys {
        session.insert(&n.to_string(), &0).unwrap();
    }
}

/// Native, Flask's two formats, and the same with what this library notes beside the data.
fn forms() -> [(&'static str, Settings); 5] {
    let json = || Settings::flask().with_format(Format::Json);
    let day = Duration::from_secs(86_400);
    [
        ("native", signed()),
        ("Flask", Settings::flask()),
        ("Flask's JSON", json()),
        ("Flask, dated", Settings::flask().with_absolute_timeout(day)),
        ("Flask's JSON, dated", json().with_absolute_timeout(day)),
    ]
}

#[tokio::test]
async fn what_is_stored_of_a_full_session_is_read_and_what_is_refused_changes_nothing() {
    for (name, settings) in forms() {
        for keys in MOST - 3..MOST + 3 {
            let site = Site::new(settings.clone());
            let browser = site.visited().await;
            let request = site.open(&browser).await;
            let before = request.keys().len();
            fill(&request, keys - before);
            let stored = match request.answer().await {
                Ok(_) => keys,
                Err(Error::Encode { .. }) if keys >= MOST => before,
                Err(error) => panic!("{name}, {keys} keys: {error}"),
            };
            let request = site.open(&browser).await;
            assert_eq!(request.keys().len(), stored, "{name}, {keys} keys");
            // It can be changed, too.
            request.insert("a", &2).unwrap();
            request.answer().await.unwrap();
            assert_eq!(site.value(&browser, "a").await, Some(2));
            if keys == MOST && !name.ends_with("dated") {
                assert_eq!(stored, MOST);
            }
            assert!(stored <= MOST);
        }
    }
}

#[tokio::test]
async fn a_login_makes_no_full_session_unreadable() {
    for (name, settings) in forms() {
        for keys in MOST - 2..=MOST {
            let site = Site::new(settings.clone());
            let browser = site.visited().await;
            let request = site.open(&browser).await;
            fill(&request, keys - request.keys().len());
            if request.answer().await.is_err() {
                continue;
            }
            let request = site.open(&browser).await;
            request.log_in("ada").unwrap();
            request.set_lifetime(Some(Duration::from_secs(3600)));
            let answered = request.answer().await;
            let request = site.open(&browser).await;
            assert_eq!(request.keys().len(), keys, "{name}, {keys} keys");
            assert_eq!(request.owner().is_some(), answered.is_ok(), "{name}");
        }
    }
}

/// So many changes are timed together.
const GROUP: usize = 250;

/// The last of 16,000 changes in one request cost about as much as the first. If each change read
/// all changes before it, they would cost thirty times as much. Each time is the least of several,
/// because machines are busy.
async fn assert_flat(name: &str, change: fn(&Session, usize)) {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let request = site.open(&browser).await;
    let mut times = Vec::new();
    for group in 0..16_000 / GROUP {
        let start = Instant::now();
        for n in 0..GROUP {
            change(&request, group * GROUP + n);
        }
        times.push(start.elapsed());
    }
    let shortest = |times: &[Duration]| times.iter().min().copied().unwrap();
    let (first, last) = (shortest(&times[..8]), shortest(&times[56..]));
    assert!(
        last < first * 8,
        "{name}: at first {first:?}, at last {last:?}"
    );
    request.answer().await.unwrap();
}

#[tokio::test]
async fn a_change_costs_the_same_however_many_came_before_it() {
    assert_flat("insert", |session, n| {
        session.insert(&n.to_string(), &n).unwrap();
    })
    .await;
    assert_flat("insert of one key", |session, n| {
        session.insert("n", &n).unwrap();
    })
    .await;
    assert_flat("update", |session, _| {
        session
            .update("n", |n: Option<u64>| n.unwrap_or_default() + 1)
            .unwrap();
    })
    .await;
    assert_flat("insert and get", |session, n| {
        session.insert(&n.to_string(), &n).unwrap();
        assert_eq!(session.get(&n.to_string()).unwrap(), Some(n));
    })
    .await;
}

#[tokio::test]
async fn sixteen_thousand_inserts_take_no_seconds() {
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let site = Site::new(signed());
        let browser = site.visited().await;
        let start = Instant::now();
        site.request(&browser, |session| fill(session, 16_000))
            .await;
        quickest = quickest.min(start.elapsed());
    }
    assert!(quickest < Duration::from_secs(3), "late: {quickest:?}");
}

#[tokio::test]
async fn a_request_makes_one_call_for_what_it_needs() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    // The last call loads the new record, which the owner's index names, because it may have ended.
    let renewal = &[Method::Load, Method::Insert, Method::Update, Method::Load];
    let works: [(&[Method], Handler); 5] = [
        (&[Method::Load], |session| drop(session.owner())),
        (&[Method::Load, Method::Update], |session| {
            session.insert("a", &1).unwrap();
            session.insert("b", &2).unwrap();
            session.flash("info", "hello").unwrap();
        }),
        (renewal, Session::renew),
        (renewal, |session| {
            session.log_in("ada").unwrap();
            session.renew();
            session.insert("c", &3).unwrap();
        }),
        (&[Method::Load, Method::Update], Session::log_out),
    ];
    for (calls, work) in works {
        site.store.calls();
        site.request(&browser, work).await;
        assert_eq!(site.store.calls(), calls);
    }
    // The session is not used, or there is no cookie.
    let request_session = site.sessions.begin_request();
    assert!(matches!(
        request_session.finish(),
        session_core::Finish::Ready(_)
    ));
    site.request(&site.browser(), |session| drop(session.owner()))
        .await;
    assert_eq!(site.store.calls(), []);
}
