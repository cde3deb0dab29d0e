//! From the outside: real clients that hang up, two sessions, caches.
#![allow(clippy::all, clippy::pedantic, unused)]

use std::{
    io::{Read, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex, atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering}},
    time::{Duration, Instant},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServiceResponse, test, web, web::Bytes};
use session_actix::{
    Session, SessionError, SessionExt, SessionMiddleware, finish_saves,
    session_core::{
        CookieAttributes, Cursor, Error, Loaded, MemoryStore, OwnerIndex, OwnerKey, Page, Record, Result, Revision, SecretKeys,
        SessionStore, Sessions, Settings, StoreKey, Write, async_trait, config::Refresh, config::OnStoreFailure,
    },
};

const SECRET: &str = "Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP";

#[derive(Clone, Debug, Default)]
struct Odd { inner: MemoryStore, write_ms: Arc<AtomicU64>, load_ms: Arc<AtomicU64>, fail_writes: Arc<AtomicBool>, fail_loads: Arc<AtomicBool> }
#[async_trait]
impl SessionStore for Odd {
    fn limit(&self) -> usize { self.inner.limit() }
    async fn load(&self, key: &StoreKey) -> Result<Option<Loaded>> {
        tokio::time::sleep(Duration::from_millis(self.load_ms.load(Ordering::SeqCst))).await;
        if self.fail_loads.load(Ordering::SeqCst) { return Err(Error::backend("odd", "down")); }
        self.inner.load(key).await
    }
    async fn insert(&self, key: &StoreKey, record: &Record) -> Result<Write> {
        tokio::time::sleep(Duration::from_millis(self.write_ms.load(Ordering::SeqCst))).await;
        if self.fail_writes.load(Ordering::SeqCst) { return Err(Error::backend("odd", "down")); }
        self.inner.insert(key, record).await
    }
    async fn update(&self, key: &StoreKey, record: &Record, revision: &Revision) -> Result<Write> {
        tokio::time::sleep(Duration::from_millis(self.write_ms.load(Ordering::SeqCst))).await;
        if self.fail_writes.load(Ordering::SeqCst) { return Err(Error::backend("odd", "down")); }
        self.inner.update(key, record, revision).await
    }
    async fn delete(&self, key: &StoreKey) -> Result<()> { self.inner.delete(key).await }
}
#[async_trait]
impl OwnerIndex for Odd {
    async fn owned_by(&self, owner: &OwnerKey, cursor: Option<&Cursor>, limit: usize) -> Result<Page> { self.inner.owned_by(owner, cursor, limit).await }
}

fn settings(name: &str) -> Settings {
    Settings::new(SecretKeys::new(SECRET).unwrap()).with_cookie(CookieAttributes { name: name.into(), secure: false, ..Default::default() })
}
fn sessions(settings: Settings, store: &Odd) -> Sessions { Sessions::with_owners(settings, Arc::new(store.clone())).unwrap() }

enum Admin {}

async fn both(a: Session, b: Session<Admin>) -> std::result::Result<HttpResponse, SessionError> {
    a.insert("a", &1)?;
    b.log_in("root")?;
    Ok(HttpResponse::Ok().insert_header(("Cache-Control", "public, max-age=60")).body("secret"))
}

fn headers<B>(r: &ServiceResponse<B>, n: &str) -> Vec<String> {
    r.headers().get_all(n).map(|v| v.to_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn an_answer_that_sets_a_sessions_cookie_is_not_stored_though_another_session_failed() {
    for outer_fails in [true, false] {
        let (shop, admin) = (Odd::default(), Odd::default());
        if outer_fails { shop.fail_writes.store(true, Ordering::SeqCst) } else { admin.fail_writes.store(true, Ordering::SeqCst) }
        let app = test::init_service(App::new()
            .wrap(SessionMiddleware::<Admin>::named(sessions(settings("admin"), &admin)))
            .wrap(SessionMiddleware::new(sessions(settings("shop"), &shop)))
            .route("/", web::get().to(both))).await;
        let r = test::call_service(&app, test::TestRequest::get().uri("/").to_request()).await;
        eprintln!("{outer_fails} {} {:?} {:?} {:?}", r.status(), headers(&r, "set-cookie"), headers(&r, "cache-control"), headers(&r, "vary"));
        assert_eq!(r.status(), 503);
        if !headers(&r, "set-cookie").is_empty() {
            assert!(headers(&r, "cache-control").iter().any(|v| v.contains("no-store")), "{outer_fails}");
        }
    }
}

/// Everything that any thread logs as a warning or worse.
#[derive(Clone)]
struct Log;
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
struct Line(String);
impl tracing::field::Visit for Line {
    fn record_debug(&mut self, f: &tracing::field::Field, v: &dyn std::fmt::Debug) { self.0 += &format!("{f}={v:?} "); }
}
impl tracing::Subscriber for Log {
    fn enabled(&self, m: &tracing::Metadata<'_>) -> bool { *m.level() <= tracing::Level::WARN }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id { tracing::span::Id::from_u64(1) }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, e: &tracing::Event<'_>) { let mut l = Line(String::new()); e.record(&mut l); LINES.lock().unwrap().push(l.0); }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
fn logged() -> Vec<String> {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
    std::mem::take(&mut *LINES.lock().unwrap())
}

// ---- real clients

struct Site { port: u16, store: Odd, done: Arc<AtomicUsize> }

fn serve(store: Odd, settings: Settings) -> Site {
    let done = Arc::new(AtomicUsize::new(0));
    let (send, receive) = std::sync::mpsc::channel();
    let all = sessions(settings, &store);
    let d = done.clone();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || App::new()
                .app_data(web::Data::from(d.clone()))
                .wrap(SessionMiddleware::new(all.clone()))
                .route("/login", web::get().to(|s: Session| async move { s.log_in("ada")?; Ok::<_, SessionError>("in") }))
                .route("/slow", web::get().to(|s: Session, d: web::Data<AtomicUsize>| async move {
                    s.insert("slow", &1)?;
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    d.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, SessionError>("slow")
                }))
                .route("/slow-logout", web::get().to(|s: Session, d: web::Data<AtomicUsize>| async move {
                    s.destroy();
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    d.fetch_add(1, Ordering::SeqCst);
                    "out"
                }))
                .route("/saves", web::get().to(|s: Session, d: web::Data<AtomicUsize>| async move {
                    s.insert("saves", &1)?;
                    s.save().await?;
                    d.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, SessionError>("saved")
                }))
                .route("/saves-logout", web::get().to(|s: Session, d: web::Data<AtomicUsize>| async move {
                    s.destroy();
                    s.save().await?;
                    d.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, SessionError>("saved")
                }))
                .route("/untouched", web::get().to(|| async { "static" }))
                .route("/stream", web::get().to(|s: Session, d: web::Data<AtomicUsize>| async move {
                    let d = d.clone();
                    let body = futures_util::stream::unfold(0, move |n| { let s = s.clone(); let d = d.clone(); async move {
                        if n == 0 { return Some((Ok::<_, actix_web::Error>(Bytes::from_static(b"first")), 1)); }
                        if n > 1 { return None; }
                        s.insert("stream", &1).unwrap();
                        let r = s.save().await;
                        d.fetch_add(1, Ordering::SeqCst);
                        Some((Ok(Bytes::from(format!("{r:?}"))), 2))
                    }});
                    HttpResponse::Ok().streaming(body)
                }))
                .route("/keys", web::get().to(|s: Session| async move { format!("{:?} {:?}", s.owner(), s.keys()) }))
            ).workers(1).bind("127.0.0.1:0").unwrap();
            send.send(server.addrs()[0].port()).unwrap();
            server.run().await.unwrap();
        });
    });
    Site { port: receive.recv().unwrap(), store, done }
}

fn ask(port: u16, path: &str, cookie: &str, wait: Option<Duration>) -> String {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(tcp, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n").unwrap();
    if let Some(wait) = wait {
        std::thread::sleep(wait);
        drop(tcp);
        return String::new();
    }
    let mut text = String::new();
    let _ = tcp.read_to_string(&mut text);
    text
}
fn login(site: &Site) -> String {
    let text = ask(site.port, "/login", "", None);
    let line = text.lines().find(|l| l.to_lowercase().starts_with("set-cookie")).unwrap();
    line.split(": ").nth(1).unwrap().split(';').next().unwrap().to_owned()
}

/// Hangs up with an answer unread, so that the server is sent a RST.
fn ask_and_reset(port: u16, path: &str, cookie: &str, wait: Duration) {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(tcp, "GET /untouched HTTP/1.1\r\nHost: x\r\n\r\nGET {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n").unwrap();
    std::thread::sleep(wait);
}

#[::core::prelude::v1::test]
fn what_a_handler_did_is_saved_although_the_connection_is_reset() {
    let mut bad = Vec::new();
    for path in ["/slow", "/slow-logout", "/saves", "/saves-logout"] {
        let site = serve(Odd::default(), settings("shop"));
        let cookie = login(&site);
        if path.starts_with("/saves") { site.store.write_ms.store(300, Ordering::SeqCst); }
        logged();
        ask_and_reset(site.port, path, &cookie, Duration::from_millis(80));
        std::thread::sleep(Duration::from_millis(700));
        let log = logged();
        site.store.write_ms.store(0, Ordering::SeqCst);
        let keys = ask(site.port, "/keys", &cookie, None);
        let last = keys.lines().last().unwrap();
        eprintln!("{path} handler done {}: {last} logged {log:?}", site.done.load(Ordering::SeqCst));
        // Issue 10, 8: it finishes, or is counted as lost in the log.
        if last.ends_with("[]") && last.contains("ada") && log.is_empty() { bad.push(path); }
    }
    assert!(bad.is_empty(), "not saved: {bad:?}");
}

#[::core::prelude::v1::test]
fn a_save_in_a_stream_goes_on_although_the_browser_hangs_up() {
    let site = serve(Odd::default(), settings("shop"));
    let cookie = login(&site);
    site.store.write_ms.store(300, Ordering::SeqCst);
    logged();
    ask(site.port, "/stream", &cookie, Some(Duration::from_millis(80)));
    std::thread::sleep(Duration::from_millis(700));
    eprintln!("{:?}", logged());
    site.store.write_ms.store(0, Ordering::SeqCst);
    let keys = ask(site.port, "/keys", &cookie, None);
    assert!(keys.contains("stream"), "stream done {}: {}", site.done.load(Ordering::SeqCst), keys.lines().last().unwrap());
}

#[::core::prelude::v1::test]
fn a_route_that_does_not_use_the_session_does_not_notice_a_store_whose_writes_hang() {
    let site = serve(Odd::default(), settings("shop").with_refresh(Refresh::EveryRequest));
    let cookie = login(&site);
    site.store.write_ms.store(60_000, Ordering::SeqCst);
    let start = Instant::now();
    let text = ask(site.port, "/untouched", &cookie, None);
    assert!(text.contains("200 OK"));
    assert!(start.elapsed() < Duration::from_millis(400), "{:?}", start.elapsed());
}
