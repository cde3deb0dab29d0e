//! The closure of an `update` must not use the session itself: that is an error at once.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures_util::FutureExt;
use session_core::{Error, Lineage, Session};

use crate::support::{Handler, Site, signed};

type Misuse = (&'static str, Handler);

/// What a closure can do with a session.
const MISUSES: &[Misuse] = &[
    ("get", |s| drop(s.get::<i32>("n"))),
    ("value", |s| drop(s.value("n"))),
    ("contains", |s| {
        s.contains("n");
    }),
    ("keys", |s| drop(s.keys())),
    ("insert", |s| drop(s.insert("other", &1))),
    ("update", |s| drop(s.update("other", |_: Option<i32>| 1))),
    ("update of itself", |s| {
        drop(s.update("n", |n: Option<i32>| n.unwrap_or_default() + 1));
    }),
    ("remove", |s| {
        s.remove("n");
    }),
    ("take", |s| drop(s.take::<i32>("n"))),
    ("flash", |s| drop(s.flash("info", "hello"))),
    ("take_flashes", |s| drop(s.take_flashes())),
    ("clear", Session::clear),
    ("renew", Session::renew),
    ("log_out", Session::log_out),
    ("log_in", |s| drop(s.log_in("bob"))),
    ("owner", |s| drop(s.owner())),
    ("set_lifetime", |s| s.set_lifetime(None)),
    ("set_permanent", |s| s.set_permanent(false)),
    ("set_label", |s| s.set_label(Some("phone"))),
    ("extend", Session::extend),
    ("lineage", |s| {
        s.lineage();
    }),
    ("is_new", |s| {
        s.is_new();
    }),
    ("expires_at", |s| {
        s.expires_at();
    }),
    ("Debug", |s| drop(format!("{s:?}"))),
    ("save", |s| drop(s.save().now_or_never())),
    ("reload", |s| drop(s.reload().now_or_never())),
    ("owner_sessions", |s| {
        drop(s.owner_sessions().now_or_never());
    }),
    ("log_out_everywhere", |s| {
        drop(s.log_out_everywhere(false).now_or_never());
    }),
    ("end_owner_session", |s| {
        let lineage = "AAAAAAAAAAAAAAAAAAAAAA".parse::<Lineage>().unwrap();
        drop(s.end_owner_session(&lineage).now_or_never());
    }),
];

fn count(n: Option<i32>) -> i32 {
    n.unwrap_or_default() + 1
}

#[tokio::test]
async fn a_closure_that_uses_its_session_is_an_error_and_changes_nothing() {
    for (name, misuse) in MISUSES {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        site.request(&browser, |session| session.insert("n", &1).unwrap())
            .await;
        let request = site.open(&browser).await;
        let clone = request.session.clone();
        let updated = request.update("n", move |n| {
            misuse(&clone);
            count(n)
        });
        assert!(matches!(updated, Err(Error::Reentrant)), "{name}");
        assert_eq!(request.get("n").unwrap(), Some(1), "{name}");
        assert_eq!(request.keys(), ["n"], "{name}");
        site.store.calls();
        request.answer().await.unwrap();
        assert_eq!(site.store.calls(), [], "{name}");
        let left = site.open(&browser).await;
        assert_eq!(left.owner().as_deref(), Some("ada"), "{name}");
        assert_eq!(left.keys(), ["n"], "{name}");
    }
}

#[tokio::test]
async fn a_closure_that_uses_its_session_when_it_runs_again_fails_the_save_and_changes_nothing() {
    for (name, misuse) in MISUSES {
        let site = Site::new(signed());
        let browser = site.logged_in("ada").await;
        let request = site.open(&browser).await;
        site.request(&browser, |session| session.insert("n", &5).unwrap())
            .await;
        let (runs, clone) = (Arc::new(AtomicU32::new(0)), request.session.clone());
        let counted = runs.clone();
        let updated = request.update("n", move |n| {
            if counted.fetch_add(1, Ordering::SeqCst) > 0 {
                misuse(&clone);
            }
            count(n)
        });
        assert_eq!(updated.unwrap(), 1, "{name}");
        let answered = request.answer().await;
        assert!(matches!(answered, Err(Error::Reentrant)), "{name}");
        assert!(runs.load(Ordering::SeqCst) > 1, "{name}");
        let left = site.open(&browser).await;
        assert_eq!(left.owner().as_deref(), Some("ada"), "{name}");
        assert_eq!(left.get("n").unwrap(), Some(5), "{name}");
        assert_eq!(left.keys(), ["n"], "{name}");
    }
}

#[tokio::test]
async fn after_a_closure_that_used_its_session_the_request_continues() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let request = site.open(&browser).await;
    request.insert("before", &1).unwrap();
    let clone = request.session.clone();
    let updated = request.update("a", move |a| {
        clone.renew();
        count(a)
    });
    assert!(matches!(updated, Err(Error::Reentrant)));
    assert_eq!(request.update("a", count).unwrap(), 2);
    request.answer().await.unwrap();
    let left = site.open(&browser).await;
    assert_eq!(left.get("before").unwrap(), Some(1));
    assert_eq!(left.get("a").unwrap(), Some(2));
}

#[test]
fn a_closure_may_use_another_session() {
    let (one, two) = (Session::in_memory(), Session::in_memory());
    let inner = two.clone();
    let updated = one.update("n", move |n| {
        inner.update("n", count).unwrap();
        inner.insert("m", &1).unwrap();
        count(n)
    });
    assert_eq!(updated.unwrap(), 1);
    assert_eq!(two.keys(), ["n", "m"]);
}

#[test]
fn what_another_session_does_well_hides_no_misuse() {
    let (one, two) = (Session::in_memory(), Session::in_memory());
    let (itself, inner) = (one.clone(), two.clone());
    let updated = one.update("n", move |n| {
        itself.log_out();
        inner.update("n", count).unwrap();
        count(n)
    });
    assert!(matches!(updated, Err(Error::Reentrant)));
    assert!(one.keys().is_empty());
}

#[test]
fn a_closure_within_a_closure_may_use_neither_session() {
    let (one, two) = (Session::in_memory(), Session::in_memory());
    let (outer, inner) = (one.clone(), two.clone());
    let updated = one.update("n", move |n| {
        let outer = outer.clone();
        let nested = inner.update("n", move |n| {
            drop(outer.insert("m", &1));
            count(n)
        });
        assert!(matches!(nested, Err(Error::Reentrant)));
        count(n)
    });
    assert!(matches!(updated, Err(Error::Reentrant)));
    assert!(one.keys().is_empty());
    assert!(two.keys().is_empty());
}

#[tokio::test]
async fn a_closure_that_panics_takes_nothing_else_with_it() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let request = site.open(&browser).await;
    request.insert("before", &1).unwrap();
    let session = request.session.clone();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        session.update("a", |_: Option<i32>| -> i32 { panic!("the application's") })
    }));
    assert!(panicked.is_err());
    assert_eq!(request.get("before").unwrap(), Some(1));
    request.insert("after", &1).unwrap();
    request.answer().await.unwrap();
    let left = site.open(&browser).await;
    assert_eq!(left.keys(), ["a", "before", "after"]);
}
