//! Back-channel log-out: sessions are ended by the session of the identity provider that they belong
//! to.

use std::time::Duration;

use session_core::{Error, OwnerIndex as _, Session, Settings, config::OnMaxPerUser};

use crate::support::{Browser, Site, signed};

async fn from_provider(site: &Site, owner: &str, sid: &str) -> Browser {
    let browser = site.browser();
    log_in_again(site, &browser, owner, sid).await;
    browser
}

async fn log_in_again(site: &Site, browser: &Browser, owner: &str, sid: &str) {
    let log_in = |session: &Session| session.log_in_from_provider(owner, sid).unwrap();
    site.request(browser, log_in).await;
}

#[tokio::test]
async fn the_end_of_a_providers_session_ends_its_sessions_and_no_others() {
    let site = Site::new(signed());
    let ended = [
        from_provider(&site, "ada", "s1").await,
        from_provider(&site, "ada", "s1").await,
    ];
    let kept = [
        from_provider(&site, "ada", "s2").await,
        site.logged_in("ada").await,
        // An owner whose name is the provider's name of a session.
        site.logged_in("s1").await,
        from_provider(&site, "s1", "ada").await,
    ];
    site.request(&ended[0], Session::renew).await;
    assert_eq!(site.sessions.end_provider_session("s1").await.unwrap(), 2);
    assert_eq!(site.sessions.end_provider_session("s1").await.unwrap(), 0);
    for browser in &ended {
        assert_eq!(site.owner(browser).await, None);
    }
    for browser in &kept {
        assert!(site.owner(browser).await.is_some());
    }
    // And by the owner's name, as before.
    assert_eq!(site.sessions.log_out_everywhere("ada").await.unwrap(), 2);
    assert_eq!(site.sessions.log_out_everywhere("s1").await.unwrap(), 2);
}

#[tokio::test]
async fn a_session_belongs_to_its_providers_session_until_it_ends() {
    let site = Site::new(signed());
    let browser = from_provider(&site, "ada", "s1").await;
    // A change, a renewal, a reauthentication and a login without a provider keep it.
    site.request(&browser, |session| session.insert("a", &1).unwrap())
        .await;
    site.request(&browser, |session| session.reauthenticate().unwrap())
        .await;
    site.request(&browser, |session| session.log_in("ada").unwrap())
        .await;
    assert_eq!(site.sessions.end_provider_session("s1").await.unwrap(), 1);
    assert_eq!(site.owner(&browser).await, None);
    // A login with another one moves it, and another user's login takes it.
    let (one, other) = (
        from_provider(&site, "ada", "s1").await,
        from_provider(&site, "ada", "s1").await,
    );
    log_in_again(&site, &one, "ada", "s2").await;
    site.request(&other, |session| session.log_in("bob").unwrap())
        .await;
    assert_eq!(site.sessions.end_provider_session("s1").await.unwrap(), 0);
    assert_eq!(site.owner(&other).await.as_deref(), Some("bob"));
    assert_eq!(site.sessions.end_provider_session("s2").await.unwrap(), 1);
    assert_eq!(site.owner(&one).await, None);
}

#[tokio::test]
async fn a_log_out_and_time_take_the_session_from_both_lists() {
    let day = Duration::from_secs(86_400);
    let site = Site::new(signed().with_idle_timeout(day));
    let prefix = site.sessions.settings().key_prefix().clone();
    let names = [prefix.owner_key("ada"), prefix.provider_session_key("s1")];
    let listed = async || {
        let mut listed = [0; 2];
        for (count, name) in listed.iter_mut().zip(&names) {
            let page = site.store.owned_by(name, None, 100).await.unwrap();
            *count = page.records.len();
        }
        listed
    };
    let browser = from_provider(&site, "ada", "s1").await;
    assert_eq!(listed().await, [1, 1]);
    site.request(&browser, Session::log_out).await;
    assert_eq!(listed().await, [0, 0]);
    // In use for longer than the first entries last.
    let browser = from_provider(&site, "ada", "s1").await;
    for _ in 0..6 {
        site.time.advance(day * 9 / 10);
        site.request(&browser, |session| session.insert("a", &1).unwrap())
            .await;
        assert_eq!(listed().await, [1, 1]);
    }
    site.time.advance(day * 2);
    assert_eq!(listed().await, [0, 0]);
}

#[tokio::test]
async fn a_second_login_that_joins_the_first_is_found_too() {
    // Two logins of one browser at once: one wins, and the other goes on in its record.
    let site = Site::new(signed());
    let browser = site.visited().await;
    let (one, other) = (site.open(&browser).await, site.open(&browser).await);
    one.log_in("ada").unwrap();
    one.answer().await.unwrap();
    other.log_in_from_provider("ada", "s1").unwrap();
    other.answer().await.unwrap();
    let ended = site.sessions.end_provider_session("s1").await.unwrap();
    assert_eq!(ended, 1);
}

#[tokio::test]
async fn neither_limit_nor_list_counts_by_the_providers_session() {
    for policy in [OnMaxPerUser::EndOldest, OnMaxPerUser::RefuseLogin] {
        let settings = signed().with_max_per_user(1).with_on_max_per_user(policy);
        let site = Site::new(settings);
        let ada = from_provider(&site, "ada", "s1").await;
        let bob = from_provider(&site, "bob", "s1").await;
        for (browser, user) in [(&ada, "ada"), (&bob, "bob")] {
            assert_eq!(site.owner(browser).await.as_deref(), Some(user));
            let listed = site.sessions.owner_sessions(user).await.unwrap();
            assert_eq!(listed.len(), 1);
        }
        // One of another session of the provider is one more of the user. Of two logins in one
        // millisecond, chance says which is older.
        site.time.advance(Duration::from_secs(1));
        let browser = site.browser();
        let again = site.open(&browser).await;
        again.log_in_from_provider("ada", "s2").unwrap();
        let refused = again.answer().await.is_err();
        assert_eq!(refused, policy == OnMaxPerUser::RefuseLogin);
        assert_eq!(site.owner(&ada).await.is_some(), refused);
        let ended = 1 + u64::from(refused);
        assert_eq!(
            site.sessions.end_provider_session("s1").await.unwrap(),
            ended
        );
    }
}

#[tokio::test]
async fn without_lists_there_is_no_login_from_a_provider() {
    let site = Site::new(Settings::flask());
    let session = site.open(&site.browser()).await.session.clone();
    let refused = session.log_in_from_provider("ada", "s1");
    assert!(matches!(refused, Err(Error::NoOwnerIndex)), "{refused:?}");
    let refused = site.sessions.end_provider_session("s1").await;
    assert!(matches!(refused, Err(Error::NoOwnerIndex)), "{refused:?}");
}
