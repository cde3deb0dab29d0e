//! Security events: each is reported once, whatever fails.

use std::time::Duration;

use session_core::{Session, config::OnMaxPerUser};

use crate::support::{Browser, Failure, Log, Method, Site, signed};

const HOUR: Duration = Duration::from_secs(3600);

/// How often the event of this name was reported.
fn count(log: &Log, name: &str) -> usize {
    let lines = log.lines();
    let name = format!("event=\"{name}\"");
    lines.iter().filter(|it| it.contains(&name)).count()
}

/// A user whose session has a second record, because a renewal failed.
async fn copied(site: &Site) -> Browser {
    let browser = site.logged_in("ada").await;
    for _ in 0..2 {
        site.store.fail(Method::Update, Failure::Before);
    }
    let request = site.open(&browser).await;
    request.renew();
    assert!(request.answer().await.is_err());
    drop(request);
    browser
}

#[tokio::test]
async fn a_log_out_everywhere_is_one_log_out_of_each_session() {
    let site = Site::new(signed());
    copied(&site).await;
    site.logged_in("ada").await;
    let (log, _guard) = Log::of_security_events();
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 2);
    assert_eq!(count(&log, "log_out"), 2);
}

#[tokio::test]
async fn a_log_out_is_one_event_although_a_renewal_failed_before() {
    for limited in [true, false] {
        let settings = signed();
        let site = Site::new(if limited {
            settings.with_max_per_user(1)
        } else {
            settings
        });
        let browser = copied(&site).await;
        let (log, _guard) = Log::of_security_events();
        site.request(&browser, Session::log_out).await;
        assert_eq!(count(&log, "log_out"), 1);
    }
}

#[tokio::test]
async fn a_log_out_whose_answer_was_lost_is_an_event_when_it_is_tried_again() {
    for limited in [true, false] {
        let settings = signed();
        let site = Site::new(if limited {
            settings.with_max_per_user(1)
        } else {
            settings
        });
        let browser = site.logged_in("ada").await;
        let (log, _guard) = Log::of_security_events();
        site.store.fail(Method::Update, Failure::After);
        let request = site.open(&browser).await;
        request.log_out();
        assert!(request.answer().await.is_err());
        drop(request);
        assert_eq!(count(&log, "log_out"), 0);
        site.request(&browser, Session::log_out).await;
        assert_eq!(site.owner(&browser).await, None);
        assert_eq!(count(&log, "log_out"), 1);
    }
}

#[tokio::test]
async fn a_log_out_beside_another_one_is_one_event() {
    let site = Site::new(signed().with_max_per_user(1));
    let browser = site.logged_in("ada").await;
    let (log, _guard) = Log::of_security_events();
    let (first, second) = (site.open(&browser).await, site.open(&browser).await);
    for request in [first, second] {
        request.log_out();
        request.answer().await.unwrap();
    }
    assert_eq!(count(&log, "log_out"), 1);
}

#[tokio::test]
async fn a_renewal_or_a_rotation_is_an_event_although_the_load_after_it_failed() {
    for (name, rotates) in [("renewal", false), ("rotation", true)] {
        let site = Site::new(signed().with_rotation(HOUR));
        let browser = site.logged_in("ada").await;
        if rotates {
            site.time.advance(HOUR);
        }
        let before = browser.header("/");
        let (log, _guard) = Log::of_security_events();
        let request = site.open(&browser).await;
        if !rotates {
            request.renew();
        }
        site.store.fail(Method::Load, Failure::Before);
        assert_eq!(request.answer().await.is_ok(), rotates);
        drop(request);
        for _ in 0..3 {
            site.request(&browser, |_| {}).await;
        }
        assert_ne!(browser.header("/"), before, "the browser has a new id");
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
        assert_eq!(count(&log, name), 1);
    }
}

#[tokio::test]
async fn the_event_of_a_limit_names_the_session_as_it_is_or_none() {
    let settings = signed()
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin)
        .with_max_keys(1);
    let site = Site::new(settings);
    site.logged_in("ada").await;
    let handlers: [fn(&Session); 2] = [
        |session| session.log_in("ada").unwrap(),
        |session| {
            session.insert("b", &1).unwrap();
            session.insert("c", &1).unwrap();
        },
    ];
    for handler in handlers {
        for browser in [site.visited().await, site.browser()] {
            let (log, _guard) = Log::of_security_events();
            let request = site.open(&browser).await;
            let own = request.lineage();
            handler(&request);
            assert!(request.save().await.is_err());
            let lines = log.lines().join("");
            assert!(lines.contains("event=\"limit_reached\""), "{lines}");
            match own {
                Some(own) => assert!(lines.contains(&format!("lineage={own}")), "{lines}"),
                None => assert!(!lines.contains("lineage="), "{lines}"),
            }
        }
    }
}
