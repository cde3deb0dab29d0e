//! Work that grows with a session must not grow faster than the session, and what is stored can be read.

use std::time::{Duration, Instant};

use session_core::{Error, Format, Session, Settings};

use crate::support::{Method, Site, signed};

/// The most keys that a session may have.
const MOST: usize = 16_384;

fn fill(session: &Session, keys: usize) {
    for n in 0..keys {
        session.insert(&n.to_string(), &0).unwrap();
    }
}

/// Native, Flask's two formats, and the same with what this library notes beside the data.
fn forms() -> Vec<Settings> {
    let json = || Settings::flask().with_format(Format::Json);
    let day = Duration::from_secs(86_400);
    vec![
        signed(),
        Settings::flask(),
        json(),
        Settings::flask().with_absolute_timeout(day),
        json().with_absolute_timeout(day),
    ]
}

#[tokio::test]
async fn a_session_of_the_most_keys_is_stored_and_read() {
    for settings in forms() {
        for keys in [MOST - 1, MOST] {
            let site = Site::new(settings.clone());
            let browser = site.browser();
            // Flask's profile notes whether the session is permanent among its data.
            let noted = usize::from(!site.open(&browser).await.keys().is_empty());
            site.request(&browser, |session| fill(session, keys - noted))
                .await;
            let request = site.open(&browser).await;
            assert_eq!(request.keys().len(), keys);
            request.insert("0", &1).unwrap();
            request.answer().await.unwrap();
            assert_eq!(site.value(&browser, "0").await, Some(1));
        }
    }
}

#[tokio::test]
async fn a_key_too_many_is_an_error_and_what_was_stored_stays() {
    for settings in forms() {
        let site = Site::new(settings);
        let browser = site.browser();
        let noted = usize::from(!site.open(&browser).await.keys().is_empty());
        site.request(&browser, |session| fill(session, MOST - noted))
            .await;
        let request = site.open(&browser).await;
        request.insert("one more", &0).unwrap();
        let answered = request.answer().await;
        assert!(
            matches!(answered, Err(Error::Encode { .. })),
            "{answered:?}"
        );
        let left = site.open(&browser).await;
        assert_eq!(left.keys().len(), MOST);
        assert!(!left.contains("one more"));
    }
}

#[tokio::test]
async fn a_login_does_not_make_a_full_session_unreadable() {
    for settings in forms() {
        let site = Site::new(settings);
        let browser = site.browser();
        let noted = usize::from(!site.open(&browser).await.keys().is_empty());
        site.request(&browser, |session| fill(session, MOST - noted))
            .await;
        site.request(&browser, |session| {
            session.log_in("ada").unwrap();
            session.set_lifetime(Some(Duration::from_secs(3600)));
        })
        .await;
        let request = site.open(&browser).await;
        assert_eq!(request.keys().len(), MOST);
        assert_eq!(request.owner().as_deref(), Some("ada"));
    }
}

/// How long it takes to make `count` changes in one request, and to store them.
async fn time_of(count: usize, change: fn(&Session, usize)) -> Duration {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let request = site.open(&browser).await;
    let start = Instant::now();
    for n in 0..count {
        change(&request, n);
    }
    request.answer().await.unwrap();
    start.elapsed()
}

/// Four times as many changes may take eight times as long, for machines that are busy.
async fn assert_linear(name: &str, change: fn(&Session, usize)) {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let few = time_of(3_000, change).await;
        let many = time_of(12_000, change).await;
        best = best.min(many.as_secs_f64() / few.as_secs_f64());
        if best < 8.0 {
            return;
        }
    }
    panic!("{name}: four times as many take {best:.1} times as long");
}

#[tokio::test]
async fn many_changes_in_one_request_take_linear_time() {
    assert_linear("insert", |session, n| {
        session.insert(&n.to_string(), &n).unwrap();
    })
    .await;
    assert_linear("insert of one key", |session, n| {
        session.insert("n", &n).unwrap();
    })
    .await;
    assert_linear("update", |session, _| {
        session
            .update("n", |n: Option<u64>| n.unwrap_or_default() + 1)
            .unwrap();
    })
    .await;
    assert_linear("insert and get", |session, n| {
        session.insert(&n.to_string(), &n).unwrap();
        assert_eq!(session.get(&n.to_string()).unwrap(), Some(n));
    })
    .await;
}

#[tokio::test]
async fn sixteen_thousand_inserts_take_no_seconds() {
    let time = time_of(16_000, |session, n| {
        session.insert(&n.to_string(), &n).unwrap();
    })
    .await;
    assert!(time < Duration::from_secs(3), "{time:?}");
}

#[tokio::test]
async fn a_request_makes_one_call_for_what_it_needs() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let works: [(&[Method], fn(&Session)); 5] = [
        (&[Method::Load], |session| drop(session.owner())),
        (&[Method::Load, Method::Update], |session| {
            session.insert("a", &1).unwrap();
            session.insert("b", &2).unwrap();
            session.flash("info", "hello").unwrap();
        }),
        (
            &[Method::Load, Method::Insert, Method::Update],
            Session::renew,
        ),
        (&[Method::Load, Method::Insert, Method::Update], |session| {
            session.log_in("ada").unwrap();
            session.renew();
            session.insert("c", &3).unwrap();
        }),
        (&[Method::Load, Method::Update], Session::destroy),
    ];
    for (calls, work) in works {
        site.store.calls();
        site.request(&browser, work).await;
        assert_eq!(site.store.calls(), calls);
    }
    // Nobody asks, or there is no cookie.
    let visit = site.sessions.visit();
    assert!(matches!(visit.finish(), session_core::Finish::Ready(_)));
    site.request(&site.browser(), |session| drop(session.owner()))
        .await;
    assert_eq!(site.store.calls(), []);
}
