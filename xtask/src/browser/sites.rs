//! A guarded site and a page from which anything can be sent to it, under whatever host name the
//! browser asks for.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::dev::Service as _;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, ORIGIN};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use session_actix::CrossSiteGuard;

use super::person::Result;

const PATIENCE: Duration = Duration::from_secs(10);

/// What reached the guard: what the browser sent, and whether it passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) method: String,
    pub(super) sec_fetch_site: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) passed: bool,
}

/// The arrivals of each case, by its number.
type Arrivals = Arc<Mutex<BTreeMap<usize, Vec<Arrival>>>>;

/// One server on two ports, which answers for every host.
pub(super) struct Sites {
    pub(super) ports: [u16; 2],
    arrivals: Arrivals,
}

impl Sites {
    pub(super) fn start() -> Result<Self> {
        let listeners = [
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
        ];
        let mut ports = [0; 2];
        for (port, listener) in ports.iter_mut().zip(&listeners) {
            *port = listener.local_addr()?.port();
        }
        let arrivals = Arrivals::default();
        let seen = arrivals.clone();
        std::thread::spawn(move || rt::System::new().block_on(serve(listeners, seen)));
        Ok(Self { ports, arrivals })
    }

    /// The first request of `case` with this method, or whatever came if none has it. Empty if
    /// nothing came.
    pub(super) async fn arrival(&self, case: usize, method: &str) -> Option<Arrival> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(found) = self.seen(case).iter().find(|it| it.method == method) {
                return Some(found.clone());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.seen(case).first().cloned()
    }

    /// All requests of `case` so far.
    pub(super) fn seen(&self, case: usize) -> Vec<Arrival> {
        let arrivals = self.arrivals.lock().expect("no handler panics");
        arrivals.get(&case).cloned().unwrap_or_default()
    }
}

async fn serve(listeners: [TcpListener; 2], arrivals: Arrivals) -> std::io::Result<()> {
    let mut server = HttpServer::new(move || {
        let arrivals = arrivals.clone();
        let guarded = web::resource("/act/{case}")
            .wrap(CrossSiteGuard::default())
            // Added after the guard, so it sees what the guard answers.
            .wrap_fn(move |request, service| {
                let (arrivals, mut arrival) = (arrivals.clone(), arrival_of(request.request()));
                let case = request
                    .match_info()
                    .query("case")
                    .parse()
                    .unwrap_or_default();
                let answer = service.call(request);
                async move {
                    let answer = answer.await;
                    arrival.passed = answer.is_ok();
                    let mut all = arrivals.lock().expect("no handler panics");
                    all.entry(case).or_default().push(arrival);
                    answer
                }
            })
            .to(|| async { HttpResponse::Ok().content_type("text/html").body("done") });
        App::new()
            .service(guarded)
            .route("/page/{policy}", web::get().to(page))
            .route("/hop/{status}", web::route().to(hop))
    })
    .workers(1)
    .disable_signals();
    for listener in listeners {
        server = server.listen(listener)?;
    }
    server.run().await
}

fn arrival_of(request: &HttpRequest) -> Arrival {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Arrival {
        method: request.method().to_string(),
        sec_fetch_site: header("sec-fetch-site"),
        origin: header(ORIGIN.as_str()),
        passed: false,
    }
}

/// Does what the script after the `#` of its address says.
async fn page(policy: web::Path<String>) -> HttpResponse {
    const PAGE: &str =
        "<!doctype html><body><script>eval(decodeURIComponent(location.hash.slice(1)))</script>";
    HttpResponse::Ok()
        .content_type("text/html")
        .insert_header(("Referrer-Policy", policy.into_inner()))
        .body(PAGE)
}

/// Redirects to the address in the query.
async fn hop(request: HttpRequest, status: web::Path<u16>) -> HttpResponse {
    let status = StatusCode::from_u16(status.into_inner()).unwrap_or(StatusCode::FOUND);
    HttpResponse::build(status)
        .insert_header((LOCATION, request.query_string().to_owned()))
        .finish()
}
