//! The handshake of a web socket: it has the session's cookie, or it fails as any other request.

use axum::{Router, extract::ws::WebSocketUpgrade, response::Response, routing::any};
use http::{StatusCode, header::SET_COOKIE};
use session_tower::{Session, SessionError};
use tokio::net::TcpListener;
use tokio_tungstenite::{connect_async, tungstenite::Error};
use tower::make::Shared;

use crate::{
    other_layers::both_ways,
    suite::{
        browser::{sessions, settings},
        observed_store::ObservedStore,
    },
};

async fn changing(session: Session, upgrade: WebSocketUpgrade) -> Result<Response, SessionError> {
    session.insert("a", &1)?;
    Ok(upgrade.on_upgrade(async |_| {}))
}

#[tokio::test]
async fn a_handshake_sets_the_cookie_and_fails_if_the_session_is_not_saved() {
    let store = ObservedStore::default();
    let sessions = sessions(settings(), &store);
    for app in both_ways(Router::new().route("/", any(changing)), &sessions) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let serving = tokio::spawn(axum::serve(listener, Shared::new(app)).into_future());
        store.set_down(true);
        let Err(Error::Http(refused)) = connect_async(&url).await else {
            panic!("the handshake did not fail");
        };
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers().get(SET_COOKIE), None);
        store.set_down(false);
        let (_socket, head) = connect_async(&url).await.unwrap();
        assert!(head.headers().contains_key(SET_COOKIE));
        serving.abort();
    }
}
