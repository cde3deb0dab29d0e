//! What a session costs that is bound to a device: verifying a proof beside ring's bare
//! verification, and a request with the bound cookie beside one of a session that is not bound.
//!
//! `cargo run --release -p session-actix --features dbsc --example device_cost` prints both in
//! processor time, the shortest of many rounds, and ends with an error if one is beyond its limit.
//! With the words `bound 1000` or `unbound 1000` it only sends so many requests, to be counted by
//! callgrind.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::{error::Error, hint::black_box, sync::Arc, time::Duration};

use actix_http::Request;
use actix_web::{
    App,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    get,
    http::header::{COOKIE, SET_COOKIE},
    test::{TestRequest, init_service, read_body, try_call_service},
    web,
};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use rustix::time::{ClockId, clock_gettime};
use session_actix::{
    DeviceGuard, Session, SessionError, SessionMiddleware, device_routes,
    session_core::{
        MemoryStore, SecretKeys, Sessions, Settings,
        dbsc::{DeviceBinding, DevicePolicy, Proof, TestDevice},
    },
};

type Failure = Box<dyn Error>;

const ROUNDS: usize = 200;
const VERIFICATIONS: u32 = 20;
const REQUESTS: u32 = 100;
/// The most that a proof may cost, of a bare verification.
const PROOF_LIMIT: f64 = 1.5;
/// The most that a bound session's request may cost, of another one's.
const REQUEST_LIMIT: f64 = 1.03;

#[get("/account")]
async fn account(session: Session) -> Result<String, SessionError> {
    Ok(session.get("name")?.unwrap_or_default())
}

async fn log_in(session: Session) -> Result<&'static str, SessionError> {
    session.log_in("grace")?;
    session.insert("name", "Grace Brewster Hopper")?;
    session.insert("cart", &"7781:1,4410:2,9023:1,1177:4".repeat(10))?;
    Ok("welcome")
}

#[actix_web::main]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let binding = DeviceBinding::new("/device/bind", "/device/refresh");
    let keys = SecretKeys::new("Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP")?;
    let settings = Settings::new(keys).with_device_binding(binding);
    let sessions = Sessions::new(settings, Arc::new(MemoryStore::new()))?;
    let guard = DeviceGuard::new(&sessions, DevicePolicy::RequireOnceBound)?;
    let app = init_service(
        App::new()
            .configure(device_routes(&sessions)?)
            .route("/login", web::post().to(log_in))
            .service(web::scope("").wrap(guard).service(account))
            .wrap(SessionMiddleware::new(sessions)),
    )
    .await;
    let unbound = Browser::log_in(&app, false).await?;
    let bound = Browser::log_in(&app, true).await?;
    match words.as_slice() {
        [] => {
            let proof = proofs()?;
            let request = requests(&app, &unbound, &bound).await?;
            if proof > PROOF_LIMIT || request > REQUEST_LIMIT {
                return Err("a limit is exceeded".into());
            }
        }
        ["unbound", count] => unbound.send(&app, count.parse()?).await?,
        ["bound", count] => bound.send(&app, count.parse()?).await?,
        _ => return Err("device_cost [bound|unbound REQUESTS]".into()),
    }
    Ok(())
}

/// How much a proof costs, of a bare verification.
fn proofs() -> Result<f64, Failure> {
    let (device, random) = (TestDevice::new(), SystemRandom::new());
    let registration = device.registration("challenge");
    let token = device.proof("challenge");
    let key = *Proof::read(registration.as_bytes())?
        .key()
        .ok_or("no key")?;
    let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::generate_pkcs8(curve, &random).map_err(|_| "no key")?;
    let pair = EcdsaKeyPair::from_pkcs8(curve, pair.as_ref(), &random).map_err(|_| "no key")?;
    let message = token.rsplit_once('.').ok_or("no token")?.0.as_bytes();
    let signature = pair.sign(&random, message).map_err(|_| "no signature")?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    let mut shortest = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        let bare = took(|| {
            for _ in 0..VERIFICATIONS {
                let verified = public.verify(black_box(message), signature.as_ref());
                verified.expect("it is the right key");
            }
        });
        let whole = took(|| {
            for _ in 0..VERIFICATIONS {
                let proof = Proof::read(black_box(token.as_bytes()));
                let verified = proof.and_then(|it| it.verify(&key));
                verified.expect("it is the right key");
            }
        });
        shortest = [shortest[0].min(bare), shortest[1].min(whole)];
    }
    Ok(report(
        "a proof, beside ring's bare verification",
        shortest,
        VERIFICATIONS,
    ))
}

/// How much a request with the bound cookie costs, of one of a session that is not bound.
async fn requests<S, B>(app: &S, unbound: &Browser, bound: &Browser) -> Result<f64, Failure>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    let mut shortest = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (place, browser) in [unbound, bound].into_iter().enumerate() {
            let before = processor_time();
            browser.send(app, REQUESTS).await?;
            shortest[place] = shortest[place].min(processor_time().saturating_sub(before));
        }
    }
    Ok(report(
        "a request with the bound cookie, beside an unbound session's",
        shortest,
        REQUESTS,
    ))
}

fn took(work: impl FnOnce()) -> Duration {
    let before = processor_time();
    work();
    processor_time().saturating_sub(before)
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

fn report(what: &str, [without, with]: [Duration; 2], times: u32) -> f64 {
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    let each = |it: Duration| it.as_secs_f64() * 1e6 / f64::from(times);
    println!(
        "{what}: {:.2} and {:.2} microseconds, {ratio:.3} times",
        each(with),
        each(without)
    );
    ratio
}

/// The cookies of somebody who is logged in.
struct Browser(String);

impl Browser {
    async fn log_in<S, B>(app: &S, binds: bool) -> Result<Self, Failure>
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
        B: MessageBody,
    {
        let login = TestRequest::post().uri("/login").to_request();
        let login = try_call_service(app, login).await?;
        let session = cookie(&login)?;
        if !binds {
            // What a browser sends beside it, of another name and the same length.
            return Ok(Self(format!(
                "{session}; __Host-things=0123456789abcdefABCDEF"
            )));
        }
        let offer = login.headers().get("secure-session-registration");
        let proof = TestDevice::new().registration(offer.ok_or("no offer")?.to_str()?);
        let register = TestRequest::post().uri("/device/bind");
        let register = register.insert_header((COOKIE, session.clone()));
        let register = register.insert_header(("Secure-Session-Response", proof));
        let bound = try_call_service(app, register.to_request()).await?;
        Ok(Self(format!("{session}; {}", cookie(&bound)?)))
    }

    async fn send<S, B>(&self, app: &S, requests: u32) -> Result<(), Failure>
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
        B: MessageBody,
    {
        for _ in 0..requests {
            let request = TestRequest::get().uri("/account");
            let request = request.insert_header((COOKIE, self.0.clone())).to_request();
            let answer = try_call_service(app, request).await?;
            let (status, body) = (answer.status(), read_body(answer).await);
            if body != "Grace Brewster Hopper" {
                return Err(format!("{status}: {body:?}").into());
            }
        }
        Ok(())
    }
}

fn cookie<B>(answer: &ServiceResponse<B>) -> Result<String, Failure> {
    let cookie = answer.headers().get(SET_COOKIE).ok_or("no cookie")?;
    let (pair, _) = cookie.to_str()?.split_once(';').ok_or("no attributes")?;
    Ok(pair.to_owned())
}
