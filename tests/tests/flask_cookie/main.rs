//! Flask's built-in session, made by a real Flask, starts sessions here.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, sync::Arc, time::Duration};

use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::{Value, json};
use session_core::{
    Dynamic, Finish, MemoryStore, ResponseHeaders, SecretKeys, Session, SessionStore, Sessions,
    Settings, config::FlaskCookie,
};
use session_memcached::MemcachedStore;
use session_redis::RedisStore;
use session_tests::{Memcached, Program, RedisServer, scratch_dir};

const KEY: &str = "a key of the Flask application";
const COOKIES: &str = "1000";

fn settings(flask: FlaskCookie) -> Settings {
    let keys = SecretKeys::new("Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP").unwrap();
    Settings::new(keys).with_flask_cookie(flask)
}

fn sessions(store: Arc<dyn SessionStore>, flask: FlaskCookie) -> Sessions {
    Sessions::new(settings(flask), store).unwrap()
}

/// A request with this `Cookie` header. Returns what `handler` does, and the head of its response.
async fn request<T>(
    sessions: &Sessions,
    cookie: &str,
    handler: impl FnOnce(&Session) -> T,
) -> (T, ResponseHeaders) {
    let request = sessions.begin_request();
    let session = request.session(&mut [cookie.as_bytes()].into_iter());
    let done = handler(&session.await.unwrap());
    let headers = match request.finish() {
        Finish::Ready(headers) => headers,
        Finish::Pending(saving) => saving.await.unwrap(),
    };
    (done, headers)
}

fn pair(set_cookie: &str) -> String {
    set_cookie.split(';').next().unwrap().to_owned()
}

async fn owner(sessions: &Sessions, cookie: &str) -> Option<String> {
    let owner = |session: &Session| session.owner().map(|it| it.to_string());
    request(sessions, cookie, owner).await.0
}

/// What a value is, as `make.py` says it.
fn described(value: &Dynamic) -> Value {
    match value {
        Dynamic::Nil => json!(["nil"]),
        Dynamic::Bool(value) => json!(["bool", value]),
        Dynamic::Int(value) => json!(["int", value.to_string()]),
        Dynamic::UInt(value) => json!(["int", value.to_string()]),
        Dynamic::Float(value) if value.is_nan() => json!(["float", "nan"]),
        Dynamic::Float(value) => json!(["float", format!("{:016x}", value.to_bits())]),
        Dynamic::Text(text) => json!(["text", text]),
        Dynamic::Bytes(bytes) => json!(["bytes", bytes]),
        Dynamic::Timestamp(instant) => json!(["date", instant.seconds()]),
        Dynamic::Array(items) => json!(["list", items.iter().map(described).collect::<Vec<_>>()]),
        Dynamic::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| match key {
                Dynamic::Text(key) => (key.clone(), described(value)),
                key => unreachable!("{key:?}"),
            });
            json!(["map", sorted(pairs)])
        }
        other => unreachable!("{other:?}"),
    }
}

fn sorted(pairs: impl Iterator<Item = (String, Value)>) -> Vec<(String, Value)> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    pairs
}

#[tokio::test]
async fn a_thousand_cookies_start_sessions_with_equal_values_and_spoilt_ones_none() {
    let directory = scratch_dir();
    let seed = any_seed();
    let made = Program::run_python(
        directory.path(),
        "tests/tests/flask_cookie/make.py",
        &[("SECRET_KEY", KEY), ("COOKIES", COOKIES), ("SEED", &seed)],
    );
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let made = fs::read_to_string(directory.path().join("cookies")).unwrap();
    let mut lines: Vec<Value> = made
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Of a lifetime of 60 seconds: 61 and 60 old, of now, 1 and 3 from later.
    let clocks = lines.pop().unwrap();
    assert_eq!(clocks, json!([false, true, true, false, false]));
    assert_eq!(lines.len().to_string(), COOKIES);

    let flask = FlaskCookie::new(KEY).unwrap();
    let sessions = sessions(Arc::new(MemoryStore::new()), flask);
    let mut compressed = 0;
    for (number, line) in lines.iter().enumerate() {
        let cookie = line["cookie"].as_str().unwrap();
        compressed += usize::from(cookie.starts_with('.'));
        let values = |session: &Session| {
            // Flask's sessions end with the browser, unless they say that they are permanent.
            assert!(!session.is_permanent());
            let keys = session.keys().into_iter().filter(|it| it != "_permanent");
            let values = keys.map(|key| {
                let value = session.value(&key).unwrap().to_dynamic().unwrap();
                (key, described(&value))
            });
            json!(sorted(values))
        };
        let (held, headers) = request(&sessions, &format!("session={cookie}"), values).await;
        assert_eq!(held, line["holds"], "seed {seed}: {cookie}");
        // From the store, too.
        let own = pair(&headers.set_cookie.unwrap());
        assert_eq!(
            request(&sessions, &own, values).await.0,
            line["holds"],
            "seed {seed}"
        );

        // One character of it is another one.
        let place = number * 31 % cookie.len();
        let mut spoilt = cookie.as_bytes().to_vec();
        spoilt[place] = if spoilt[place] == b'x' { b'y' } else { b'x' };
        let spoilt = format!("session={}", String::from_utf8(spoilt).unwrap());
        let is_new = |session: &Session| session.is_new() && session.keys().is_empty();
        assert!(request(&sessions, &spoilt, is_new).await.0, "{spoilt}");
    }
    assert!(compressed > 100, "{compressed}");
}

fn any_seed() -> String {
    std::process::id().to_string()
}

/// A visitor of the Flask application: its cookie's name and value.
async fn log_in_to_flask(flask: &Program, user: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/in?user={user}", flask.url());
    let answer = http.post(url).send().await.unwrap();
    pair(answer.headers()[SET_COOKIE].to_str().unwrap())
}

async fn who_in_flask(flask: &Program, cookie: &str) -> Value {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http
        .get(format!("{}/who", flask.url()))
        .header(COOKIE, cookie);
    serde_json::from_str(&answer.send().await.unwrap().text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_user_of_flask_login_goes_on_here_and_logs_out_for_good() {
    let script = "tests/tests/flask_cookie/app.py";
    let older = Program::start_python(script, &[("SECRET_KEY", "older")]).await;
    let of_older_key = log_in_to_flask(&older, "bob").await;
    let flask = Program::start_python(script, &[("SECRET_KEY", KEY), ("OLDER", "older")]).await;
    let settings = || {
        let flask = FlaskCookie::new(KEY).unwrap().with_fallback("older");
        flask.unwrap().kept()
    };
    let server = RedisServer::start(&[]).await;
    let store = || Arc::new(RedisStore::connect(&server.url()).unwrap());
    let here = sessions(store(), settings());

    let cookie = log_in_to_flask(&flask, "ada").await;
    let elsewhere = log_in_to_flask(&flask, "ada").await;
    let seen = |session: &Session| {
        let cart: Vec<(String, u32)> = session.get("cart").unwrap().unwrap();
        let owner = session.owner().map(|it| it.to_string());
        (owner, cart, session.get::<bool>("_fresh").unwrap())
    };
    let (seen_here, headers) = request(&here, &cookie, seen).await;
    let cart = vec![("tea".to_owned(), 2)];
    assert_eq!(seen_here, (Some("ada".into()), cart, Some(true)));
    assert_eq!(headers.remove_flask_cookie, None);
    let both = format!("{}; {cookie}", pair(&headers.set_cookie.unwrap()));
    assert_eq!(owner(&here, &of_older_key).await.as_deref(), Some("bob"));

    // Flask goes on with what it signed: it cannot read what is here.
    drop(request(&here, &both, |session| session.insert("cart", &0).unwrap()).await);
    let in_flask = json!({ "user": "ada", "cart": [["tea", 2]] });
    assert_eq!(who_in_flask(&flask, &both).await, in_flask);

    let ((), headers) = request(&here, &both, Session::log_out).await;
    let removal = headers.remove_flask_cookie.unwrap();
    assert!(removal.starts_with("session=; "), "{removal}");
    // A copy of it is nobody's here, in another process, and after a restart; in Flask it is Ada's.
    for sessions in [&here, &sessions(store(), settings())] {
        for copy in [&cookie, &elsewhere, &both] {
            assert_eq!(owner(sessions, copy).await, None);
        }
    }
    assert_eq!(who_in_flask(&flask, &cookie).await, in_flask);
    // A later login in Flask is one here.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let later = log_in_to_flask(&flask, "ada").await;
    assert_eq!(owner(&here, &later).await.as_deref(), Some("ada"));
}

#[tokio::test]
async fn memcached_which_forgets_log_outs_is_refused() {
    let server = Memcached::start(&[]).await;
    let store = Arc::new(MemcachedStore::connect(&server.addr()).unwrap());
    let settings = settings(FlaskCookie::new(KEY).unwrap());
    let built = Sessions::builder(settings, store)
        .without_owner_lists()
        .build();
    let error = built.unwrap_err().to_string();
    assert!(error.contains("memcached forgets"), "{error}");
}
