//! The builder of `Sessions` refuses a store that cannot list a user's sessions.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

use std::sync::Arc;

use session_core::{
    Error, Loaded, MemoryStore, OwnedSession, Record, Result, Revision, SecretKeys, Session,
    SessionStore, Sessions, Settings, StoreKey, Write, async_trait,
};

/// A store without an index, as memcached is.
#[derive(Debug)]
struct Unlisted(MemoryStore);

#[async_trait]
impl SessionStore for Unlisted {
    fn limit(&self) -> usize {
        self.0.limit()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        self.0.load(key).await
    }

    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        self.0.insert(key, record).await
    }

    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        self.0.update(key, record, revision).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<()> {
        self.0.delete(key).await
    }
}

fn signed() -> Settings {
    Settings::new(SecretKeys::new("Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP").unwrap())
}

fn memory() -> Arc<dyn SessionStore> {
    Arc::new(MemoryStore::new())
}

fn is_refused_unless_allowed(settings: Settings, store: Arc<dyn SessionStore>, why: &str) {
    let builder = Sessions::builder(settings.clone(), store.clone());
    assert!(!builder.can_list_owners());
    let refused = Sessions::new(settings, store).unwrap_err().to_string();
    assert!(refused.contains(why), "{refused}");
    assert!(refused.contains("without_owner_lists()"), "{refused}");
    let sessions = builder.without_owner_lists().build().unwrap();
    assert!(!sessions.has_owner_lists());
}

#[test]
fn what_cannot_list_a_users_sessions_is_refused_unless_the_application_allows_it() {
    let unlisted = Arc::new(Unlisted(MemoryStore::new()));
    is_refused_unless_allowed(signed(), unlisted, "cannot list a user's sessions");
    let builder = Sessions::builder(signed(), memory());
    assert!(builder.can_list_owners());
    assert!(builder.build().unwrap().has_owner_lists());
}

#[cfg(feature = "flask")]
#[test]
fn flasks_sessions_name_no_owner() {
    use session_core::config::FlaskSessions;

    for settings in [
        Settings::flask(),
        signed().with_flask_sessions(FlaskSessions::Keep),
    ] {
        is_refused_unless_allowed(settings, memory(), "holds Flask's sessions");
    }
}

#[tokio::test]
async fn without_lists_each_question_about_a_users_sessions_is_an_error() {
    fn is_refused<T>(answer: &Result<T>) -> bool {
        matches!(answer, Err(Error::NoOwnerIndex))
    }
    let store = Arc::new(Unlisted(MemoryStore::new()));
    let builder = Sessions::builder(signed(), store).without_owner_lists();
    let sessions = builder.build().unwrap();
    let lineage = "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
    assert!(is_refused(&sessions.owner_sessions("ada").await));
    assert!(is_refused(&sessions.log_out_everywhere("ada").await));
    assert!(is_refused(
        &sessions.end_owner_session("ada", &lineage).await
    ));
    let request = sessions.begin_request();
    let session = request.session(&mut std::iter::empty()).await.unwrap();
    session.log_in("ada").unwrap();
    assert!(is_refused(&session.owner_sessions().await));
    assert!(is_refused(&session.log_out_everywhere(true).await));
    assert!(is_refused(&session.end_owner_session(&lineage).await));
}

#[tokio::test]
async fn an_administrator_ends_one_session_of_a_user() {
    let sessions = Sessions::in_memory();
    for _ in 0..2 {
        let cookie = sessions.cookie_of(|session| session.log_in("ada")).await;
        assert!(cookie.unwrap().starts_with("session="));
    }
    let listed = sessions.owner_sessions("ada").await.unwrap();
    let [first, second] = &listed[..] else {
        panic!("{listed:?}")
    };
    let (ended, others) = (first.lineage(), second.lineage());
    assert!(!sessions.end_owner_session("bob", ended).await.unwrap());
    assert!(sessions.end_owner_session("ada", ended).await.unwrap());
    assert!(!sessions.end_owner_session("ada", ended).await.unwrap());
    let left = sessions.owner_sessions("ada").await.unwrap();
    let left: Vec<_> = left.iter().map(OwnedSession::lineage).collect();
    assert_eq!(left, [others]);
}

#[test]
fn remove_returns_the_value_and_take_decodes_it() {
    let session = Session::in_memory();
    session.insert("a", &[1, 2]).unwrap();
    session.insert("b", "text").unwrap();
    let removed = session.remove("a").unwrap();
    assert_eq!(removed.decode::<Vec<u8>>().unwrap(), [1, 2]);
    assert!(session.remove("a").is_none());
    assert!(session.take::<u8>("b").is_err(), "it stays");
    assert_eq!(
        session.take::<String>("b").unwrap().as_deref(),
        Some("text")
    );
    assert!(session.keys().is_empty());
}

#[test]
fn a_lineage_is_read_only_from_its_own_text() {
    use session_core::Lineage;

    let text = "AAECAwQFBgcICQoLDA0ODw";
    let lineage = text.parse::<Lineage>().unwrap();
    assert_eq!(lineage.to_string(), text);
    let json = serde_json::to_string(&lineage).unwrap();
    assert_eq!(json, format!("{text:?}"));
    assert_eq!(serde_json::from_str::<Lineage>(&json).unwrap(), lineage);
    for other in ["", "AAECAwQFBgcICQoLDA0OD", "AAECAwQFBgcICQoLDA0ODw==", "ä"] {
        assert!(other.parse::<Lineage>().is_err(), "{other:?}");
        assert!(serde_json::from_str::<Lineage>(&format!("{other:?}")).is_err());
    }
}

/// A promise that is excepted must be broken: the test of a kept one fails.
mod with_exceptions {
    use session_core::conformance::{self, Fixture};

    use super::*;

    fn open() -> Fixture<MemoryStore> {
        Fixture::new(MemoryStore::new()).with_told_expiry()
    }

    #[test]
    #[should_panic(expected = "remove it from `except`")]
    fn an_exception_for_a_kept_promise_fails() {
        let promise = "load_finds_what_insert_stored";
        conformance::check(promise, &[promise], async {
            conformance::load_finds_what_insert_stored(&open()).await;
        });
    }

    #[test]
    fn an_exception_for_a_broken_promise_passes() {
        let promise = "load_changes_nothing";
        conformance::check(promise, &[promise], async { panic!("broken") });
    }

    #[test]
    #[should_panic(expected = "there is no promise")]
    fn an_exception_has_the_name_of_a_promise() {
        conformance::check("load_changes_nothing", &["a_typo"], async {});
    }
}

#[cfg(feature = "flask-cookie")]
#[test]
fn flasks_cookies_need_a_store_that_keeps_what_it_was_given() {
    let flask = session_core::config::FlaskCookie::new("dev").unwrap();
    let unlisted = Arc::new(Unlisted(MemoryStore::new()));
    let builder = Sessions::builder(signed().with_flask_cookie(flask), unlisted);
    let error = builder.without_owner_lists().build().unwrap_err();
    assert!(error.to_string().contains("memcached"), "{error}");
}
