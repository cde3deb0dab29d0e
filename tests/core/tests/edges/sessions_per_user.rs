//! The most sessions that a user may have at once: whether the oldest ends or the login is refused.

use std::time::Duration;

use session_core::{
    EncryptionKeys, Error, KeyPrefix, MemoryStore, Session, Sessions, Settings,
    config::OnMaxPerUser,
};
use tokio::task::JoinSet;

use crate::support::{Browser, Failure, Method, Site, signed};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const POLICIES: [OnMaxPerUser; 2] = [OnMaxPerUser::RefuseLogin, OnMaxPerUser::EndOldest];
/// When no request can be at work on a login any more: six times the store timeout, and ten seconds.
const CUT_OFF: Duration = Duration::from_secs(16);

fn at_most(most: usize, policy: OnMaxPerUser) -> Settings {
    signed()
        .with_max_per_user(most)
        .with_on_max_per_user(policy)
}

fn refusing(most: usize) -> Site {
    Site::new(at_most(most, OnMaxPerUser::RefuseLogin))
}

fn ending(most: usize) -> Site {
    Site::new(at_most(most, OnMaxPerUser::EndOldest))
}

/// A login that is answered one second after the one before.
async fn log_in(site: &Site, owner: &str) -> Result<Browser, Error> {
    site.time.advance(SECOND);
    let browser = site.browser();
    log_in_with(site, &browser, owner).await?;
    Ok(browser)
}

async fn log_in_with(site: &Site, browser: &Browser, owner: &str) -> Result<(), Error> {
    let request = site.open(browser).await;
    request.log_in(owner).unwrap();
    request.answer().await.map(drop)
}

fn is_refused(login: &Result<impl Sized, Error>, most: usize) -> bool {
    matches!(login, Err(Error::TooManySessions { limit }) if *limit == most)
}

async fn live(site: &Site, owner: &str) -> usize {
    site.sessions.owner_sessions(owner).await.unwrap().len()
}

#[tokio::test]
async fn the_session_with_the_oldest_login_ends() {
    let site = ending(2);
    let (first, second) = (
        log_in(&site, "ada").await.unwrap(),
        log_in(&site, "ada").await.unwrap(),
    );
    let bob = log_in(&site, "bob").await.unwrap();
    // Its login is the newest then, and it counts once.
    log_in_with(&site, &first, "ada").await.unwrap();
    site.request(&second, Session::renew).await;
    assert_eq!(live(&site, "ada").await, 2);
    let third = log_in(&site, "ada").await.unwrap();
    assert_eq!(site.owner(&second).await, None);
    for (browser, owner) in [(&first, "ada"), (&third, "ada"), (&bob, "bob")] {
        assert_eq!(site.owner(browser).await.as_deref(), Some(owner));
    }
    assert_eq!(live(&site, "ada").await, 2);
}

#[tokio::test]
async fn a_login_beyond_the_limit_is_refused_and_leaves_the_session_as_it_was() {
    let site = refusing(2);
    let first = log_in(&site, "ada").await.unwrap();
    log_in(&site, "ada").await.unwrap();
    // With and without a record before.
    let visitor = site.visited().await;
    for browser in [&visitor, &site.browser()] {
        let request = site.open(browser).await;
        request.insert("b", &1).unwrap();
        request.log_in("ada").unwrap();
        let refused = request.save().await;
        assert!(is_refused(&refused, 2), "{refused:?}");
        assert_eq!(refused.unwrap_err().status(), 403);
        assert_eq!(request.owner(), None);
        assert!(!request.contains("b"));
        // The request may go on.
        request.insert("c", &1).unwrap();
        request.answer().await.unwrap();
        assert_eq!(site.value::<u8>(browser, "c").await, Some(1));
    }
    assert_eq!(site.value::<u8>(&visitor, "a").await, Some(1));
    assert_eq!(live(&site, "ada").await, 2);
    // Somebody else is not concerned, and a place that becomes free is taken.
    log_in_with(&site, &visitor, "bob").await.unwrap();
    site.request(&first, Session::log_out).await;
    log_in_with(&site, &visitor, "ada").await.unwrap();
    let refused = log_in(&site, "ada").await;
    assert!(is_refused(&refused, 2), "{refused:?}");
}

#[tokio::test]
async fn a_refused_login_sends_no_id_that_has_ended_since() {
    for ends in [true, false] {
        let site = refusing(1);
        log_in(&site, "ada").await.unwrap();
        let browser = site.browser();
        let request = site.open(&browser).await;
        request.log_in("bob").unwrap();
        let _saved = request.save().await.unwrap();
        if ends {
            site.sessions.log_out_everywhere("bob").await.unwrap();
        }
        request.log_in("ada").unwrap();
        let refused = request.answer().await;
        assert!(is_refused(&refused, 1), "{:?}", refused.err());
        assert_eq!(browser.header("/").is_some(), !ends);
        let bob = site.owner(&browser).await;
        assert_eq!(bob.as_deref(), Some("bob").filter(|_| !ends));
    }
}

#[tokio::test]
async fn a_session_counts_once_however_often_it_is_renewed_or_logged_in_to() {
    for site in [refusing(1), ending(1)] {
        let browser = log_in(&site, "ada").await.unwrap();
        for _ in 0..3 {
            site.request(&browser, Session::renew).await;
            site.time.advance(SECOND);
            log_in_with(&site, &browser, "ada").await.unwrap();
            site.request(&browser, |session| session.insert("b", &1).unwrap())
                .await;
        }
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
        // Another user's login takes the session, and gives the place free.
        log_in_with(&site, &browser, "bob").await.unwrap();
        log_in(&site, "ada").await.unwrap();
    }
}

#[tokio::test]
async fn what_has_ended_does_not_count() {
    let day = Duration::from_secs(86_400);
    for policy in [OnMaxPerUser::RefuseLogin, OnMaxPerUser::EndOldest] {
        let site = Site::new(at_most(1, policy).with_idle_timeout(day));
        let first = log_in(&site, "ada").await.unwrap();
        site.time.advance(day);
        let second = log_in(&site, "ada").await.unwrap();
        assert_eq!(site.owner(&first).await, None);
        site.request(&second, |session| session.insert("b", &1).unwrap())
            .await;
        site.sessions.log_out_everywhere("ada").await.unwrap();
        log_in(&site, "ada").await.unwrap();
    }
}

#[tokio::test]
async fn sessions_from_before_the_limit_count() {
    let site = Site::new(signed());
    for _ in 0..3 {
        log_in(&site, "ada").await.unwrap();
    }
    let refuses = site.with_settings(at_most(2, OnMaxPerUser::RefuseLogin));
    assert!(is_refused(&log_in(&refuses, "ada").await, 2));
    assert_eq!(live(&site, "ada").await, 3);
    let ends = site.with_settings(at_most(2, OnMaxPerUser::EndOldest));
    log_in(&ends, "ada").await.unwrap();
    assert_eq!(live(&site, "ada").await, 2);
    assert!(is_refused(&log_in(&refuses, "ada").await, 2));
}

#[tokio::test]
async fn a_login_that_nobody_was_told_of_takes_no_place() {
    // The record of logins cannot be written, and the login cannot be undone.
    let site = refusing(1);
    let browser = site.browser();
    let request = site.open(&browser).await;
    request.log_in("ada").unwrap();
    site.store.go_down(&[Method::OwnedBy, Method::Update]);
    assert!(matches!(request.answer().await, Err(Error::Backend { .. })));
    site.store.come_up();
    assert_eq!(site.owner(&browser).await, None);
    log_in(&site, "ada").await.unwrap();
    assert!(is_refused(&log_in(&site, "ada").await, 1));
}

#[tokio::test]
async fn a_login_that_did_not_replace_the_visitors_session_takes_no_place() {
    use Failure::{After, Before, Nothing};
    // The first try and the second one, and the loads of the visitor's session, of the record of
    // logins and of the visitor's session again.
    let both = |first| [first, Before].map(|it| (Method::Update, it)).to_vec();
    let mut not_seen = [After, Nothing].map(|it| (Method::Update, it)).to_vec();
    not_seen.extend([Nothing, Nothing, Before].map(|it| (Method::Load, it)));
    for failures in [both(Before), both(After), not_seen] {
        for by_the_same in [true, false] {
            let site = refusing(1);
            let visitor = site.visited().await;
            for (method, failure) in &failures {
                site.store.fail(*method, *failure);
            }
            assert!(log_in_with(&site, &visitor, "ada").await.is_err());
            site.store.forget_failures();
            assert_eq!(site.owner(&visitor).await, None);
            assert_eq!(live(&site, "ada").await, 0);
            let stranger = site.browser();
            let browser = if by_the_same { visitor } else { stranger };
            log_in_with(&site, &browser, "ada").await.unwrap();
            assert!(is_refused(&log_in(&site, "ada").await, 1));
        }
    }
}

#[tokio::test]
async fn what_an_outage_left_of_a_login_takes_no_place_for_long() {
    let site = refusing(1);
    let visitor = site.visited().await;
    site.store.go_down(&[Method::Update]);
    assert!(log_in_with(&site, &visitor, "ada").await.is_err());
    site.store.come_up();
    assert_eq!(live(&site, "ada").await, 0);
    assert!(is_refused(&log_in(&site, "ada").await, 1));
    site.time.advance(CUT_OFF);
    log_in(&site, "ada").await.unwrap();
    assert!(is_refused(&log_in(&site, "ada").await, 1));

    let site = ending(2);
    let (first, second) = (site.browser(), site.visited().await);
    log_in_with(&site, &first, "ada").await.unwrap();
    site.time.advance(SECOND);
    site.store.go_down(&[Method::Update]);
    assert!(log_in_with(&site, &second, "ada").await.is_err());
    site.store.come_up();
    site.time.advance(CUT_OFF);
    log_in(&site, "ada").await.unwrap();
    assert_eq!(site.owner(&first).await.as_deref(), Some("ada"));
    assert_eq!(live(&site, "ada").await, 2);
}

#[tokio::test]
async fn what_a_failure_left_of_a_renewal_or_a_rotation_takes_no_place() {
    for policy in POLICIES {
        for rotates in [true, false] {
            let site = Site::new(at_most(1, policy).with_rotation(HOUR));
            let browser = log_in(&site, "ada").await.unwrap();
            leave_a_copy(&site, &browser, rotates).await;
            assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
            assert_eq!(live(&site, "ada").await, 1);
            site.request(&browser, Session::log_out).await;
            assert_eq!(live(&site, "ada").await, 0);
            log_in(&site, "ada").await.unwrap();
            assert_eq!(live(&site, "ada").await, 1);
        }
    }
}

/// The session's id is to be renewed or rotated, and the record before cannot be replaced. So the
/// session goes on under its old id, and a copy of it is left.
async fn leave_a_copy(site: &Site, browser: &Browser, rotates: bool) {
    if rotates {
        site.time.advance(HOUR);
    }
    for _ in 0..2 {
        site.store.fail(Method::Update, Failure::Before);
    }
    let request = site.open(browser).await;
    if !rotates {
        request.renew();
    }
    assert_eq!(request.answer().await.is_ok(), rotates);
}

#[tokio::test]
async fn what_a_failure_left_takes_no_place_after_another_user_logged_in() {
    for policy in POLICIES {
        for rotates in [true, false] {
            let site = Site::new(at_most(1, policy).with_rotation(HOUR));
            let browser = log_in(&site, "ada").await.unwrap();
            leave_a_copy(&site, &browser, rotates).await;
            log_in_with(&site, &browser, "bob").await.unwrap();
            assert_eq!(site.owner(&browser).await.as_deref(), Some("bob"));
            assert_eq!(live(&site, "ada").await, 0);
            log_in(&site, "ada").await.unwrap();
            assert_eq!(live(&site, "bob").await, 1);
        }
    }
}

#[tokio::test]
async fn what_a_failure_left_takes_no_place_after_a_log_out_whose_first_answer_was_lost() {
    for policy in POLICIES {
        for rotates in [true, false] {
            let site = Site::new(at_most(1, policy).with_rotation(HOUR));
            let browser = log_in(&site, "ada").await.unwrap();
            leave_a_copy(&site, &browser, rotates).await;
            site.store.fail(Method::Update, Failure::After);
            let request = site.open(&browser).await;
            request.log_out();
            assert!(request.answer().await.is_err());
            drop(request);
            assert_eq!(live(&site, "ada").await, 1);
            // The user tries again.
            site.request(&browser, Session::log_out).await;
            assert_eq!(browser.header("/"), None);
            assert_eq!(live(&site, "ada").await, 0);
            log_in(&site, "ada").await.unwrap();
        }
    }
}

/// The copy has the longer lifetime, so it stays when the session has expired. Its user can end it.
#[tokio::test]
async fn what_a_failure_left_of_a_session_that_was_shortened_since_is_listed_and_can_be_ended() {
    let site = Site::new(at_most(1, OnMaxPerUser::RefuseLogin).with_idle_timeout(HOUR));
    let browser = log_in(&site, "ada").await.unwrap();
    site.request(&browser, |it| it.set_lifetime(Some(720 * HOUR)))
        .await;
    leave_a_copy(&site, &browser, false).await;
    site.request(&browser, |it| it.set_lifetime(None)).await;
    site.time.advance(48 * HOUR);
    assert_eq!(site.owner(&browser).await, None);
    assert_eq!(live(&site, "ada").await, 1);
    assert!(is_refused(&log_in(&site, "ada").await, 1));
    site.sessions.log_out_everywhere("ada").await.unwrap();
    log_in(&site, "ada").await.unwrap();
}

/// The answer was an error, and the browser has the new id.
#[tokio::test]
async fn a_session_counts_from_its_first_use_although_the_last_write_of_its_login_failed() {
    for policy in POLICIES {
        for failure in [Failure::Before, Failure::After] {
            let site = Site::new(at_most(1, policy));
            let browser = site.visited().await;
            for failure in [Failure::Nothing, failure] {
                site.store.fail(Method::Update, failure);
            }
            assert!(log_in_with(&site, &browser, "ada").await.is_err());
            assert_eq!(
                live(&site, "ada").await,
                usize::from(failure == Failure::After)
            );
            site.time.advance(HOUR);
            site.request(&browser, |_| {}).await;
            assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
            assert_eq!(live(&site, "ada").await, 1);
            let next = log_in(&site, "ada").await;
            if policy == OnMaxPerUser::RefuseLogin {
                assert!(is_refused(&next, 1), "{next:?}");
            } else {
                next.unwrap();
                assert_eq!(site.owner(&browser).await, None);
            }
        }
    }
}

#[tokio::test]
async fn a_login_whose_last_write_failed_is_ended_only_for_the_sake_of_the_limit() {
    for policy in POLICIES {
        let site = Site::new(at_most(2, policy));
        let browser = site.visited().await;
        for failure in [Failure::Nothing, Failure::Before] {
            site.store.fail(Method::Update, failure);
        }
        assert!(log_in_with(&site, &browser, "ada").await.is_err());
        site.time.advance(HOUR);
        log_in(&site, "ada").await.unwrap();
        assert_eq!(site.owner(&browser).await.as_deref(), Some("ada"));
        // A login that nobody was told of makes room before all others.
        let second = log_in(&site, "ada").await.unwrap();
        assert_eq!(site.owner(&browser).await, None);
        assert_eq!(site.owner(&second).await.as_deref(), Some("ada"));
        assert_eq!(live(&site, "ada").await, 2);
    }
}

#[tokio::test]
async fn a_login_whose_first_try_to_replace_the_visitors_session_failed_counts() {
    for policy in POLICIES {
        for first in [Failure::Before, Failure::After] {
            let site = Site::new(at_most(1, policy));
            let visitor = site.visited().await;
            site.store.fail(Method::Update, first);
            log_in_with(&site, &visitor, "ada").await.unwrap();
            site.time.advance(HOUR);
            assert_eq!(live(&site, "ada").await, 1);
            let next = log_in(&site, "ada").await;
            assert_eq!(next.is_ok(), policy == OnMaxPerUser::EndOldest);
        }
    }
}

#[tokio::test]
async fn a_clock_that_was_fast_locks_nobody_out() {
    let settings = || at_most(1, OnMaxPerUser::EndOldest);
    for ahead in [5 * SECOND, HOUR] {
        let site = Site::new(settings());
        let fast = site.fast(settings(), ahead);
        let first = fast.browser();
        log_in_with(&fast, &first, "ada").await.unwrap();
        let second = log_in(&site, "ada").await.unwrap();
        assert_eq!(site.owner(&first).await, None);
        log_in_with(&fast, &first, "ada").await.unwrap();
        assert_eq!(site.owner(&second).await, None);
        // The clock is right by now.
        site.time.advance(ahead / 2);
        let third = log_in(&site, "ada").await.unwrap();
        assert_eq!(site.owner(&third).await.as_deref(), Some("ada"));
        assert_eq!(live(&site, "ada").await, 1);
    }
}

#[tokio::test]
async fn a_clock_that_was_fast_when_a_visitor_came_does_not_age_the_login() {
    let settings = || at_most(2, OnMaxPerUser::EndOldest);
    let site = Site::new(settings());
    let visitor = site.fast(settings(), HOUR).visited().await;
    let oldest = log_in(&site, "ada").await.unwrap();
    site.time.advance(SECOND);
    log_in_with(&site, &visitor, "ada").await.unwrap();
    log_in(&site, "ada").await.unwrap();
    assert_eq!(site.owner(&oldest).await, None);
    assert_eq!(site.owner(&visitor).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_damaged_record_of_logins_locks_nobody_out() {
    let site = refusing(2);
    log_in(&site, "ada").await.unwrap();
    let logins = site.store.last_key();
    site.store.tamper(&logins, |bytes| bytes.truncate(50)).await;
    log_in(&site, "ada").await.unwrap();
    assert!(is_refused(&log_in(&site, "ada").await, 2));
    // A later release may have written it.
    site.store.tamper(&logins, |bytes| bytes[1] = 2).await;
    let login = log_in(&site, "ada").await;
    assert!(matches!(login, Err(Error::LaterVersion)), "{login:?}");
}

#[tokio::test]
async fn sessions_that_are_damaged_for_want_of_encryption_count_to_no_limit() {
    let keys = || EncryptionKeys::new("Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ").unwrap();
    for policy in POLICIES {
        for idle in [HOUR, 2 * HOUR] {
            let settings = || at_most(1, policy).with_idle_timeout(idle);
            let site = Site::new(settings());
            let before = log_in(&site, "ada").await.unwrap();
            // With the shorter timeout it has expired.
            site.time.advance(HOUR);
            let site = site.with_settings(settings().with_encryption(keys()));
            assert_eq!(site.owner(&before).await, None);
            let after = log_in(&site, "ada").await.unwrap();
            assert_eq!(site.owner(&after).await.as_deref(), Some("ada"));
            assert_eq!(live(&site, "ada").await, 1);
        }
    }
}

#[tokio::test]
async fn many_logins_at_once_leave_exactly_as_many_as_the_limit() {
    for policy in [OnMaxPerUser::RefuseLogin, OnMaxPerUser::EndOldest] {
        for most in [1, 3, 50] {
            let store = std::sync::Arc::new(MemoryStore::new());
            let process = || Sessions::new(at_most(most, policy), store.clone()).unwrap();
            let processes = [process(), process()];
            let mut logins = JoinSet::new();
            for number in 0..50 {
                let sessions = processes[number % 2].clone();
                logins.spawn(async move {
                    let log_in = |session: &Session| session.log_in("ada");
                    sessions.cookie_of(log_in).await
                });
            }
            let logins = logins.join_all().await;
            let succeeded = logins.iter().filter(|it| it.is_ok()).count();
            let left = processes[0].owner_sessions("ada").await.unwrap().len();
            assert_eq!(left, most, "{policy:?}");
            if policy == OnMaxPerUser::RefuseLogin {
                assert_eq!(succeeded, most);
                assert!(logins.iter().all(|it| it.is_ok() || is_refused(it, most)));
            }
        }
    }
}

#[test]
fn it_needs_a_list_of_a_users_sessions() {
    let store = || std::sync::Arc::new(MemoryStore::new());
    for settings in [
        at_most(2, OnMaxPerUser::EndOldest),
        at_most(2, OnMaxPerUser::RefuseLogin),
    ] {
        let builder = Sessions::builder(settings, store()).without_owner_lists();
        let refused = builder.build().unwrap_err().to_string();
        assert!(refused.contains("SESSION_MAX_PER_USER"), "{refused}");
    }
    for most in [0, 1001] {
        let refused = Sessions::new(signed().with_max_per_user(most), store());
        assert!(refused.unwrap_err().to_string().contains("1 to 1000"));
    }
    let prefix = KeyPrefix::new(&"p".repeat(128)).unwrap();
    let settings = at_most(1000, OnMaxPerUser::RefuseLogin).with_key_prefix(prefix);
    assert!(Site::with_limit(settings.clone(), 17_023).is_err());
    assert!(Site::with_limit(settings, 17_024).is_ok());
}

#[tokio::test]
async fn a_request_that_outlasts_its_session_does_not_bring_it_back_beside_a_login() {
    let day = Duration::from_secs(86_400);
    for policy in [OnMaxPerUser::RefuseLogin, OnMaxPerUser::EndOldest] {
        let site = Site::new(at_most(1, policy).with_idle_timeout(day));
        let first = log_in(&site, "ada").await.unwrap();
        let request = site.open(&first).await;
        site.time.advance(day + SECOND);
        log_in(&site, "ada").await.unwrap();
        request.insert("a", &1).unwrap();
        request.answer().await.unwrap();
        assert_eq!(site.owner(&first).await, None);
        assert_eq!(live(&site, "ada").await, 1);
    }
}

#[tokio::test]
async fn a_login_beside_or_after_a_rotation_is_limited_like_any_other() {
    for policy in POLICIES {
        for beside in [true, false] {
            for taken in [true, false] {
                let site = Site::new(at_most(1, policy).with_rotation(HOUR));
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
