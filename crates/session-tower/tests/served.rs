//! An application of axum as it is served: over TCP, on several threads.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{
        Path, State,
        ws::{Message, WebSocketUpgrade},
    },
    http::header,
    response::Response,
    routing::{any, get},
};
use futures_util::{SinkExt, StreamExt, future::join_all};
use session_tower::{
    Layer as _, Session, SessionError, SessionLayer, finish_saves, session_core::Sessions,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_tungstenite::{connect_async, tungstenite::client::IntoClientRequest};

/// Serves the routes with the layer around the whole router, and with the layer added to each route.
async fn serve_both_ways(routes: Router, sessions: &Sessions) -> [SocketAddr; 2] {
    let layer = SessionLayer::new(sessions.clone());
    let (around, around_listens) = listen().await;
    let (by_route, by_route_listens) = listen().await;
    let app = layer.layer(routes.clone());
    tokio::spawn(async move { axum::serve(around, app).await });
    tokio::spawn(async move { axum::serve(by_route, routes.layer(layer)).await });
    [around_listens, by_route_listens]
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn connect(address: SocketAddr, path: &str, cookie: &str, more: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: here\r\nCookie: {cookie}\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The whole response, head and body.
async fn ask(address: SocketAddr, path: &str, cookie: &str) -> String {
    let mut stream = connect(address, path, cookie, "Connection: close\r\n").await;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

async fn count(session: Session) -> Result<String, SessionError> {
    let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    // Whoever goes on with the request may be another thread.
    tokio::task::yield_now().await;
    Ok(n.to_string())
}

async fn show(session: Session) -> Result<String, SessionError> {
    Ok(format!("{:?}", session.get::<u64>("n")?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_on_several_threads_lose_no_change() {
    const CLIENTS: usize = 16;
    const EACH: usize = 25;
    let sessions = Sessions::in_memory();
    let routes = Router::new()
        .route("/count", get(count))
        .route("/show", get(show));
    let addresses = serve_both_ways(routes, &sessions).await;
    let cookie = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
    let clients = addresses.into_iter().cycle().take(CLIENTS).map(|address| {
        let cookie = cookie.clone();
        tokio::spawn(async move {
            for _ in 0..EACH {
                let response = ask(address, "/count", &cookie).await;
                assert!(response.starts_with("HTTP/1.1 200"), "{response}");
            }
        })
    });
    for client in join_all(clients).await {
        client.unwrap();
    }
    for address in addresses {
        let shown = ask(address, "/show", &cookie).await;
        let all = format!("Some({})", CLIENTS * EACH);
        assert!(shown.ends_with(&all), "{shown}");
    }
}

/// A handler that does what the path says, tells it, and then does not return.
async fn work_slowly(
    session: Session,
    Path(work): Path<String>,
    State(begun): State<Arc<AtomicBool>>,
) -> Result<String, SessionError> {
    match &*work {
        "log-out" => session.log_out(),
        "change" => session.insert("n", &1)?,
        _ => {
            session.insert("n", &1)?;
            let _saved = session.save().await?;
        }
    }
    begun.store(true, Ordering::Release);
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_a_client_hangs_up_its_log_out_is_done_and_its_changes_are_not_saved() {
    let sessions = Sessions::in_memory();
    let begun = Arc::new(AtomicBool::new(false));
    let routes = Router::new()
        .route("/slow/{work}", get(work_slowly))
        .route("/show", get(show))
        .with_state(begun.clone());
    let addresses = serve_both_ways(routes, &sessions).await;
    let works = [
        ("log-out", 0, "None"),
        ("change", 1, "None"),
        ("save", 1, "Some(1)"),
    ];
    let all = addresses
        .iter()
        .flat_map(|it| works.map(|work| (*it, work)));
    for (address, (work, live, left)) in all {
        let cookie = sessions.cookie_of(|it| it.log_in(work)).await.unwrap();
        let stream = connect(address, &format!("/slow/{work}"), &cookie, "").await;
        while !begun.swap(false, Ordering::Acquire) {
            sleep(Duration::from_millis(1)).await;
        }
        drop(stream);
        let ended = async {
            while sessions.owner_sessions(work).await.unwrap().len() != live {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(20), ended).await.unwrap();
        assert_eq!(finish_saves(Duration::from_secs(5)).await, 0);
        let shown = ask(address, "/show", &cookie).await;
        assert!(shown.ends_with(left), "{work}: {shown}");
        sessions.log_out_everywhere(work).await.unwrap();
    }
}

/// Answers each message with what the save came to.
async fn socket(session: Session, upgrade: WebSocketUpgrade) -> Result<Response, SessionError> {
    // The head carries the cookie of a new session.
    session.insert("n", &0)?;
    Ok(upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(Message::Text(_))) = socket.recv().await {
            session
                .update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
                .unwrap();
            let saved = format!("{:?}", session.save().await);
            socket.send(Message::Text(saved.into())).await.unwrap();
        }
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_saves_what_it_changes_until_the_user_logs_out() {
    let sessions = Sessions::in_memory();
    let routes = Router::new()
        .route("/socket", any(socket))
        .route("/show", get(show));
    for address in serve_both_ways(routes, &sessions).await {
        saves_until_log_out(&sessions, address).await;
    }
}

async fn saves_until_log_out(sessions: &Sessions, address: SocketAddr) {
    let cookie = sessions.cookie_of(|it| it.log_in("ada")).await.unwrap();
    let mut request = format!("ws://{address}/socket")
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert(header::COOKIE, cookie.parse().unwrap());
    let (mut socket, _head) = connect_async(request).await.unwrap();
    let mut ask_for_save = async || {
        socket.send("count".into()).await.unwrap();
        socket.next().await.unwrap().unwrap().to_string()
    };
    for _ in 0..3 {
        assert_eq!(ask_for_save().await, "Ok(Stored)");
    }
    let shown = ask(address, "/show", &cookie).await;
    assert!(shown.ends_with("Some(3)"), "{shown}");
    sessions.log_out_everywhere("ada").await.unwrap();
    assert_eq!(ask_for_save().await, "Ok(Ended)");
}
