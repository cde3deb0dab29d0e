//! Two servers behind one address, of which the second has a copy of old data.

use std::iter::{empty, once};
use std::time::Duration;

use session_core::config::Settings;
use session_core::{Error, Finish, RequestSession, Saved, Session, Sessions};
use session_tests::ChaosProxy;

use crate::backend::Backend;

const VISITORS: usize = 8;
/// Changes of each visitor on either server, so that a revision that counts them is the same.
const CHANGES: usize = 3;

struct Swapped {
    proxy: ChaosProxy,
    sessions: Sessions,
    ports: [u16; 2],
}

impl Swapped {
    async fn new(backend: &Backend, other: &Backend) -> Self {
        let proxy = ChaosProxy::start(backend.port()).await;
        let store = backend.store(proxy.port(), None).await;
        let sessions = Sessions::builder(Settings::unsigned(), store).without_owner_lists();
        Self {
            proxy,
            sessions: sessions.build().expect("the settings are right"),
            ports: [backend.port(), other.port()],
        }
    }

    /// Lets the address lead to a server, and waits until a request is served.
    async fn lead_to(&self, server: usize, cookie: &str) {
        self.proxy.lead_to(self.ports[server]);
        self.proxy.reset_connections();
        for _ in 0..100 {
            if let Ok(Some(_)) = self.load(cookie).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no request is served");
    }

    /// The request and its session, if it has one.
    async fn load(&self, cookie: &str) -> Result<Option<(RequestSession, Session)>, Error> {
        let visit = self.sessions.begin_request();
        let session = visit.session(&mut once(cookie.as_bytes())).await;
        let session = session.inspect_err(|error| assert_eq!(error.status(), 503, "{error:?}"))?;
        Ok(session.contains("tag").then_some((visit, session)))
    }

    async fn log_in(&self, tag: &str) -> String {
        let visit = self.sessions.begin_request();
        let session = visit.session(&mut empty()).await.expect("it is served");
        session.insert("tag", tag).expect("it can be encoded");
        assert_eq!(session.save().await.expect("it is served"), Saved::Stored);
        let headers = match visit.finish() {
            Finish::Ready(headers) => headers,
            Finish::Pending(saving) => saving.await.expect("it is served"),
        };
        let cookie = headers.set_cookie.expect("the session is new");
        let pair = cookie.split(';').next().expect("a cookie has a part");
        pair.to_owned()
    }

    /// Makes one change in a request of its own; it must be stored.
    async fn change(&self, cookie: &str, key: &str) {
        let (_visit, session) = self
            .load(cookie)
            .await
            .expect("it is served")
            .expect("alive");
        change(&session, key);
        assert_eq!(session.save().await.expect("it is served"), Saved::Stored);
    }
}

/// Visitors who log out after the copy was made, which still has their sessions.
struct Leavers(Vec<String>);

impl Leavers {
    async fn log_in(swapped: &Swapped) -> Self {
        let mut cookies = Vec::new();
        for visitor in 0..VISITORS {
            let cookie = swapped.log_in(&format!("leaver {visitor}")).await;
            swapped.change(&cookie, "before").await;
            cookies.push(cookie);
        }
        Self(cookies)
    }

    async fn log_out(&self, swapped: &Swapped) {
        for cookie in &self.0 {
            let (_visit, session) = swapped.load(cookie).await.expect("served").expect("alive");
            session.log_out();
            assert_eq!(session.save().await.expect("it is served"), Saved::Stored);
        }
        self.are_out(swapped).await;
    }

    /// On the copy they are logged in. Half of them also change their sessions there.
    async fn come_back(&self, swapped: &Swapped) -> Vec<(RequestSession, Session)> {
        let mut found = Vec::new();
        for (visitor, cookie) in self.0.iter().enumerate() {
            if visitor % 2 == 0 {
                swapped.change(cookie, "copy").await;
            }
            found.push(swapped.load(cookie).await.expect("served").expect("alive"));
        }
        found
    }

    async fn are_out(&self, swapped: &Swapped) {
        for (visitor, cookie) in self.0.iter().enumerate() {
            let found = swapped.load(cookie).await.expect("it is served");
            assert!(found.is_none(), "leaver {visitor} is logged in");
        }
    }
}

fn change(session: &Session, key: &str) {
    session.insert(key, "made").expect("it can be encoded");
}

/// What a store promises: what the first server acknowledged, it still has when the address leads
/// to it again. No write that was based on the other server's data has replaced it, and no session
/// that ended there is alive.
pub(crate) async fn an_old_copy_replaces_nothing_newer_and_revives_no_session(
    backend: Backend,
    other: Backend,
) {
    let swapped = Swapped::new(&backend, &other).await;
    let mut cookies = Vec::new();
    for visitor in 0..VISITORS {
        let cookie = swapped.log_in(&format!("visitor {visitor}")).await;
        swapped.change(&cookie, "before").await;
        cookies.push(cookie);
    }
    let leavers = Leavers::log_in(&swapped).await;
    backend.copy_to(&other).await;
    leavers.log_out(&swapped).await;
    for cookie in &cookies {
        for number in 0..CHANGES {
            swapped.change(cookie, &format!("newer{number}")).await;
        }
    }
    // Requests that loaded from the first server save on the second one.
    let mut across = Vec::new();
    for cookie in &cookies {
        across.push(
            swapped
                .load(cookie)
                .await
                .expect("it is served")
                .expect("alive"),
        );
    }
    swapped.lead_to(1, &cookies[0]).await;
    for (_visit, session) in &across {
        change(session, "across");
        // On the old data, on which it is made again.
        assert_eq!(session.save().await.expect("it is served"), Saved::Stored);
        assert!(!session.contains("newer0"), "the copy is older");
    }
    for cookie in &cookies {
        for number in 1..CHANGES {
            swapped.change(cookie, &format!("copy{number}")).await;
        }
    }
    let returned = leavers.come_back(&swapped).await;
    // And the other way round.
    let mut across = Vec::new();
    for cookie in &cookies {
        across.push(
            swapped
                .load(cookie)
                .await
                .expect("it is served")
                .expect("alive"),
        );
    }
    swapped.lead_to(0, &cookies[0]).await;
    for (_visit, session) in &across {
        change(session, "back");
        assert_eq!(session.save().await.expect("it is served"), Saved::Stored);
    }
    if backend.tells_copies_apart() {
        for (_visit, session) in &returned {
            change(session, "back");
            assert_eq!(session.save().await.expect("it is served"), Saved::Ended);
        }
    }
    leavers.are_out(&swapped).await;
    for (visitor, cookie) in cookies.iter().enumerate() {
        let (_visit, session) = swapped.load(cookie).await.expect("served").expect("alive");
        let tag: Option<String> = session.get("tag").expect("it is text");
        assert_eq!(tag, Some(format!("visitor {visitor}")));
        assert!(session.contains("back"), "it was acknowledged last");
        if !backend.tells_copies_apart() {
            continue;
        }
        for number in 0..CHANGES {
            let kept = session.contains(&format!("newer{number}"));
            assert!(kept, "visitor {visitor} lost change {number}");
        }
        assert!(!session.contains("copy1"), "what only the copy knew");
    }
}
