//! What the Flask profile does as Flask-Session does it: the same cookies, the same records.

use std::sync::Arc;

use session_core::{
    Finish, Format, MemoryStore, Outcome, Session, SessionStore, Sessions, Settings, StoreKey,
    Value,
};

struct Site {
    sessions: Sessions,
    store: Arc<MemoryStore>,
}

impl Site {
    fn new(settings: Settings) -> Self {
        let store = Arc::new(MemoryStore::new());
        let sessions = Sessions::new(settings, store.clone()).unwrap();
        Self { sessions, store }
    }

    /// One request with `cookie`, and what its answer's head says.
    async fn request(&self, cookie: &str, handler: impl FnOnce(&Session)) -> Outcome {
        let visit = self.sessions.visit();
        let headers = [cookie.as_bytes()];
        let session = visit.session(&mut headers.into_iter()).await.unwrap();
        handler(&session);
        match visit.finish() {
            Finish::Ready(outcome) => outcome,
            Finish::Pending(saving) => saving.await.unwrap(),
        }
    }

    async fn stored(&self, cookie: &str) -> Vec<u8> {
        let id = cookie.strip_prefix("session=").unwrap();
        let key = StoreKey::from_stored(format!("session:{id}"));
        self.store.load(&key).await.unwrap().unwrap().payload
    }
}

/// The browser's part of a `Set-Cookie`.
fn kept(outcome: &Outcome) -> String {
    let header = outcome.set_cookie.as_deref().expect("a cookie is set");
    header.split(';').next().unwrap().to_owned()
}

const REMOVAL: &str = "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/";

#[tokio::test]
async fn a_session_emptied_before_it_was_stored_removes_the_cookie() {
    for permanent in [true, false] {
        let site = Site::new(Settings::flask().with_permanent(permanent));
        for handler in [
            Session::clear,
            |session: &Session| session.set_permanent(true),
            |session: &Session| {
                session.flash("info", "hello").unwrap();
                session.take_flashes().unwrap();
            },
        ] {
            let outcome = site.request("", handler).await;
            assert_eq!(outcome.set_cookie.as_deref(), Some(REMOVAL));
            assert!(outcome.vary);
        }
        for handler in [
            |_: &Session| (),
            Session::renew,
            |session: &Session| {
                session.remove("nothing");
            },
        ] {
            let outcome = site.request("", handler).await;
            assert_eq!(outcome.set_cookie, None);
        }
    }
}

#[tokio::test]
async fn clearing_notes_that_a_session_is_not_permanent() {
    let site = Site::new(Settings::flask().with_permanent(false));
    let outcome = site
        .request("", |session| session.insert("a", "x").unwrap())
        .await;
    let cookie = kept(&outcome);
    assert_eq!(site.stored(&cookie).await, b"\x81\xa1a\xa1x");
    let outcome = site
        .request(&cookie, |session| {
            session.clear();
            session.insert("a", "y").unwrap();
        })
        .await;
    assert_eq!(kept(&outcome), cookie);
    assert_eq!(
        site.stored(&cookie).await,
        b"\x82\xaa_permanent\xc2\xa1a\xa1y"
    );
}

#[tokio::test]
async fn an_encoded_value_is_stored_as_it_is() {
    let site = Site::new(Settings::flask().with_format(Format::Json));
    let outcome = site
        .request("", |session| {
            let bytes = session_core::Dynamic::Bytes(vec![0, 255]);
            let value = bytes.to_value(Format::Json).unwrap();
            session.insert_value("a", value).unwrap();
            let reserved = Value::encode(&1, Format::Json).unwrap();
            assert!(session.insert_value("__session", reserved).is_err());
        })
        .await;
    assert_eq!(
        site.stored(&kept(&outcome)).await,
        br#"{"_permanent":true,"a":"AP8="}"#
    );
}
