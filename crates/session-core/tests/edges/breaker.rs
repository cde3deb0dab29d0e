//! Faults that were looked for in the strict settings.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use session_core::{
    CookieAttributes, EncryptionKeys, Session, Settings,
    config::{Assurance, OnMaxPerUser},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::support::{Browser, Failure, Method, Site, signed};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The security events of this thread, of every level: name and lineage.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let events = Self::default();
        let guard = tracing::subscriber::set_default(events.clone());
        (events, guard)
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn count(&self, name: &str) -> usize {
        let events = self.take();
        println!("{events:#?}");
        events
            .iter()
            .filter(|it| it.contains(&format!("event=\"{name}\"")))
            .count()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Events {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == session_core::SECURITY_EVENTS {
            let mut line = Line(String::new());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Rotates the browser's id, and presents the new one. Returns the browser as it was before.
async fn rotate(site: &Site, browser: &Browser) -> Browser {
    site.request(browser, |_| {}).await;
    site.time.advance(HOUR);
    let old = browser.clone();
    site.request(browser, |_| {}).await;
    assert_ne!(browser.header("/"), old.header("/"));
    site.request(browser, |_| {}).await;
    old
}

/// A user whose cookie was copied, then rotated, and who then proved again who they are. Returns
/// their browser and the copy.
async fn copied_before_a_reauthentication(settings: Settings) -> (Site, Browser, Browser) {
    let site = Site::new(settings);
    let browser = site.logged_in("ada").await;
    let copy = rotate(&site, &browser).await;
    site.time.advance(60 * SECOND);
    site.request(&browser, |session| session.reauthenticate().unwrap())
        .await;
    (site, browser, copy)
}

#[tokio::test]
async fn a_copied_cookie_is_an_event_soon_after_a_reauthentication() {
    let settings = signed().with_rotation(HOUR);
    let (site, _browser, copy) = copied_before_a_reauthentication(settings).await;
    let (events, _guard) = Events::start();
    site.time.advance(60 * SECOND);
    site.request(&copy, |_| {}).await;
    assert_eq!(events.count("rotated_id"), 1);
}

#[tokio::test]
async fn a_copied_cookie_is_an_event_long_after_a_reauthentication() {
    let settings = signed().with_rotation(HOUR);
    let (site, _browser, copy) = copied_before_a_reauthentication(settings).await;
    let (events, _guard) = Events::start();
    site.time.advance(120 * SECOND);
    site.request(&copy, |_| {}).await;
    assert_eq!(events.count("rotated_id"), 1);
}

#[tokio::test]
async fn a_copied_cookie_ends_the_session_although_the_user_reauthenticated_since() {
    let settings = signed()
        .with_rotation(HOUR)
        .with_rotated_id_ending_session(true);
    let (site, browser, copy) = copied_before_a_reauthentication(settings).await;
    site.time.advance(120 * SECOND);
    site.request(&copy, |_| {}).await;
    assert_eq!(site.owner(&browser).await, None);
}

#[tokio::test]
async fn clocks_that_differ_by_half_a_minute_end_no_session_by_a_rotation() {
    for (by, ends) in [(30, true), (30, false)] {
        let settings = || {
            signed()
                .with_rotation(HOUR)
                .with_rotated_id_ending_session(ends)
        };
        let site = Site::new(settings());
        let ahead = site.fast(settings(), by * SECOND);
        let browser = site.logged_in("ada").await;
        site.time.advance(HOUR);
        // Two requests of one page; the answer to the first reaches the browser before the other
        // one is sent, and both are served at once by different processes.
        let in_flight = browser.clone();
        site.request(&browser, |_| {}).await;
        site.request(&browser, |_| {}).await;
        let owner = ahead.owner(&in_flight).await;
        let request = ahead.open(&in_flight).await;
        let answer = request.answer().await.map(drop);
        drop(request);
        let after = site.owner(&browser).await;
        assert!(
            owner.is_some() && after.is_some(),
            "clocks {by} s apart, ends {ends}: the request in flight was {owner:?} ({answer:?}), the user is {after:?}"
        );
    }
}

#[tokio::test]
async fn a_log_out_that_is_tried_again_ends_the_copy_of_a_failed_renewal() {
    let settings = signed()
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin);
    let site = Site::new(settings);
    let browser = site.logged_in("ada").await;
    for _ in 0..2 {
        site.store.fail(Method::Update, Failure::Before);
    }
    let request = site.open(&browser).await;
    request.renew();
    assert!(request.answer().await.is_err());
    drop(request);
    site.store.fail(Method::Update, Failure::After);
    let request = site.open(&browser).await;
    request.log_out();
    assert!(request.answer().await.is_err());
    drop(request);
    // As SECURITY.md says, the user tries again, and it is confirmed.
    let answer = site.request(&browser, Session::log_out).await;
    assert!(answer.set_cookie.as_ref().unwrap().contains("Max-Age=0"));
    let left = site.sessions.owner_sessions("ada").await.unwrap().len();
    let elsewhere = site.browser();
    let request = site.open(&elsewhere).await;
    request.log_in("ada").unwrap();
    let answer = request.answer().await.map(drop);
    assert!(answer.is_ok() && left == 0, "{left} left, login {answer:?}");
}

#[tokio::test]
async fn a_log_out_everywhere_is_one_log_out_of_each_session() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    for _ in 0..2 {
        site.store.fail(Method::Update, Failure::Before);
    }
    let request = site.open(&browser).await;
    request.renew();
    assert!(request.answer().await.is_err());
    drop(request);
    let (events, _guard) = Events::start();
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 1);
    assert_eq!(events.count("log_out"), 1);
}

#[tokio::test]
async fn a_copy_of_a_failed_renewal_takes_no_place_after_another_user_logged_in() {
    for rotates in [true, false] {
        let settings = signed()
            .with_max_per_user(1)
            .with_on_max_per_user(OnMaxPerUser::RefuseLogin)
            .with_rotation(HOUR);
        let site = Site::new(settings);
        let browser = site.logged_in("ada").await;
        if rotates {
            site.time.advance(HOUR);
        }
        for _ in 0..2 {
            site.store.fail(Method::Update, Failure::Before);
        }
        let request = site.open(&browser).await;
        if !rotates {
            request.renew();
        }
        assert_eq!(request.answer().await.is_ok(), rotates);
        drop(request);
        // The next user of that browser logs in.
        site.request(&browser, |session| session.log_in("bob").unwrap())
            .await;
        assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
        let left = site.sessions.owner_sessions("ada").await.unwrap().len();
        let elsewhere = site.browser();
        let request = site.open(&elsewhere).await;
        request.log_in("ada").unwrap();
        let answer = request.answer().await.map(drop);
        assert!(
            answer.is_ok() && left == 0,
            "rotates {rotates}: ada has {left} sessions that nobody has, and her login is {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_log_out_is_one_event_although_a_renewal_failed_before() {
    let site = Site::new(signed().with_max_per_user(1).with_rotation(HOUR));
    let browser = site.logged_in("ada").await;
    for _ in 0..2 {
        site.store.fail(Method::Update, Failure::Before);
    }
    let request = site.open(&browser).await;
    request.renew();
    assert!(request.answer().await.is_err());
    drop(request);
    let (events, _guard) = Events::start();
    site.request(&browser, Session::log_out).await;
    assert_eq!(events.count("log_out"), 1);
}

#[tokio::test]
async fn a_log_out_whose_answer_was_lost_is_an_event_when_it_is_tried_again() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let (events, _guard) = Events::start();
    site.store.fail(Method::Update, Failure::After);
    let request = site.open(&browser).await;
    request.log_out();
    assert!(request.answer().await.is_err());
    drop(request);
    site.request(&browser, Session::log_out).await;
    assert_eq!(site.owner(&browser).await, None);
    assert_eq!(events.count("log_out"), 1);
}

#[tokio::test]
async fn a_renewal_is_an_event_although_the_load_after_it_failed() {
    let site = Site::new(signed());
    let browser = site.logged_in("ada").await;
    let before = browser.header("/");
    let (events, _guard) = Events::start();
    let request = site.open(&browser).await;
    request.renew();
    site.store.fail(Method::Load, Failure::Before);
    let answer = request.answer().await.map(drop);
    println!("{answer:?}");
    drop(request);
    assert_ne!(browser.header("/"), before, "the browser has a new id");
    assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
    assert_eq!(events.count("renewal"), 1);
}

#[tokio::test]
async fn the_event_of_a_refused_login_names_no_session_that_never_was() {
    let settings = signed()
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin);
    let site = Site::new(settings);
    site.logged_in("ada").await;
    let (events, _guard) = Events::start();
    let browser = site.browser();
    let request = site.open(&browser).await;
    request.log_in("ada").unwrap();
    assert!(request.save().await.is_err());
    let own = request.lineage().map(|it| format!("lineage={it}"));
    let events = events.take().join("");
    assert!(
        own.is_some_and(|own| events.contains(&own)) || !events.contains("lineage="),
        "the application cannot tell whose login it was: {events}"
    );
}

#[tokio::test]
async fn a_header_that_was_changed_is_in_no_list_of_devices() {
    let keys = EncryptionKeys::new("Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ").unwrap();
    let site = Site::new(signed().with_encryption(keys));
    let browser = site.logged_in("ada").await;
    site.request(&browser, |session| session.set_label(Some("Firefox")))
        .await;
    let key = site.store.last_key();
    site.store
        .tamper(&key, |bytes| {
            let at = bytes.windows(7).position(|it| it == b"Firefox").unwrap();
            bytes[at..at + 7].copy_from_slice(b"Evil123");
        })
        .await;
    assert_eq!(site.owner(&browser).await, None);
    let list = site.sessions.owner_sessions("ada").await.unwrap();
    let labels: Vec<_> = list
        .iter()
        .map(|it| it.label().map(str::to_owned))
        .collect();
    assert_eq!(labels, [], "a damaged record is shown");
}

#[test]
fn a_level_refuses_a_lesser_cookie() {
    let cookie = |change: fn(&mut CookieAttributes)| {
        let mut cookie = CookieAttributes::default();
        change(&mut cookie);
        Settings::unsigned()
            .with_assurance(Assurance::Aal3)
            .with_cookie(cookie)
            .check()
    };
    assert!(cookie(|it| it.secure = false).is_err());
    assert!(
        cookie(|it| it.http_only = false).is_err(),
        "HttpOnly off at AAL3"
    );
}

#[test]
fn settings_without_effect_are_refused() {
    use session_core::config::Env;
    const SECRET: (&str, &str) = ("SECRET_KEY", "3cNnVbkzKk1xq0T8sYwR5uJmLpE7hGfDaZxCvBn2");
    for pairs in [
        vec![("SESSION_ROTATED_ID_ENDS_SESSION", "true")],
        vec![("SESSION_ON_MAX_PER_USER", "refuse-login")],
        vec![
            ("SESSION_ASSURANCE", "AAL3"),
            ("SESSION_ROTATION_SECONDS", "86400"),
        ],
    ] {
        let env: Env = pairs.iter().copied().chain([SECRET]).collect();
        let settings = Settings::from_env(&env);
        assert!(
            settings.is_err(),
            "{pairs:?} has no effect, and nobody is told"
        );
    }
}

#[tokio::test]
async fn a_rotation_that_fails_its_last_check_is_an_event() {
    let site = Site::new(signed().with_rotation(HOUR));
    let browser = site.logged_in("ada").await;
    site.time.advance(HOUR);
    let (events, _guard) = Events::start();
    let request = site.open(&browser).await;
    site.store.fail(Method::Load, Failure::Before);
    println!("{:?}", request.answer().await);
    drop(request);
    for _ in 0..3 {
        site.request(&browser, |_| {}).await;
    }
    assert_eq!(events.count("rotation"), 1);
}

#[tokio::test]
async fn a_login_beside_or_after_a_rotation_is_limited_like_any_other() {
    for policy in [OnMaxPerUser::EndOldest, OnMaxPerUser::RefuseLogin] {
        for beside in [true, false] {
            for taken in [true, false] {
                let settings = signed()
                    .with_max_per_user(1)
                    .with_on_max_per_user(policy)
                    .with_rotation(HOUR);
                let site = Site::new(settings);
                let browser = site.logged_in("ada").await;
                let elsewhere = site.browser();
                if taken {
                    site.request(&elsewhere, |it| it.log_in("bob").unwrap())
                        .await;
                }
                site.time.advance(HOUR);
                let old = browser.clone();
                let answer = if beside {
                    let request = site.open(&old).await;
                    site.request(&browser, |_| {}).await;
                    request.log_in("bob").unwrap();
                    request.answer().await.map(drop)
                } else {
                    site.request(&browser, |_| {}).await;
                    let request = site.open(&old).await;
                    request.log_in("bob").unwrap();
                    request.answer().await.map(drop)
                };
                let refused = taken && policy == OnMaxPerUser::RefuseLogin;
                let case = format!("{policy:?} beside {beside} taken {taken}");
                assert_eq!(answer.is_err(), refused, "{case}: {answer:?}");
                let bobs = site.sessions.owner_sessions("bob").await.unwrap().len();
                let adas = site.sessions.owner_sessions("ada").await.unwrap().len();
                assert_eq!((bobs, adas), (1, usize::from(refused)), "{case}");
                let owner = if refused { "ada" } else { "bob" };
                assert_eq!(site.owner(&old).await.as_deref(), Some(owner), "{case}");
                // Nothing is left that takes a place.
                site.sessions.log_out_everywhere("ada").await.unwrap();
                site.sessions.log_out_everywhere("bob").await.unwrap();
                for user in ["ada", "bob"] {
                    site.logged_in(user).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_copy_does_not_outlive_a_session_whose_lifetime_was_shortened() {
    let settings = signed()
        .with_idle_timeout(HOUR)
        .with_max_per_user(1)
        .with_on_max_per_user(OnMaxPerUser::RefuseLogin);
    let site = Site::new(settings);
    let browser = site.logged_in("ada").await;
    site.request(&browser, |it| it.set_lifetime(Some(720 * HOUR)))
        .await;
    for _ in 0..2 {
        site.store.fail(Method::Update, Failure::Before);
    }
    let request = site.open(&browser).await;
    request.renew();
    assert!(request.answer().await.is_err());
    drop(request);
    site.request(&browser, |it| it.set_lifetime(None)).await;
    site.time.advance(48 * HOUR);
    assert_eq!(site.owner(&browser).await, None);
    let elsewhere = site.browser();
    let request = site.open(&elsewhere).await;
    request.log_in("ada").unwrap();
    let answer = request.answer().await.map(drop);
    assert!(answer.is_ok(), "{answer:?}");
}

/// A handler reads a slow upload, and then asks for its session.
#[tokio::test]
async fn a_request_that_arrived_before_the_rotation_is_no_thief_when_it_asks_for_its_session() {
    for ends in [false, true] {
        let settings = signed()
            .with_rotation(HOUR)
            .with_rotated_id_ending_session(ends);
        let site = Site::new(settings);
        let browser = site.logged_in("ada").await;
        site.time.advance(HOUR);
        let upload = (site.sessions.begin_request(), browser.clone());
        // Meanwhile the user goes on in another tab.
        site.request(&browser, |_| {}).await;
        site.request(&browser, |_| {}).await;
        site.time.advance(30 * SECOND);
        let session = upload.1.session(&upload.0).await.unwrap();
        let owner = session.owner();
        if let session_core::Finish::Pending(finishing) = upload.0.finish() {
            let _headers = finishing.await.unwrap();
        }
        let after = site.owner(&browser).await;
        assert!(
            owner.is_some() && after.is_some(),
            "ends {ends}: the upload was {owner:?}, the user is {after:?}"
        );
    }
}

#[tokio::test]
async fn a_log_out_everywhere_by_a_rotated_id_says_that_nobody_is_logged_in() {
    let site = Site::new(signed().with_rotation(HOUR));
    let browser = site.logged_in("ada").await;
    let old = rotate(&site, &browser).await;
    site.time.advance(120 * SECOND);
    let request = site.open(&old).await;
    let ended = request.log_out_everywhere(false).await;
    assert!(ended.is_ok(), "{ended:?}");
}
