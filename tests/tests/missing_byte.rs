//! One byte is missing in a reply of the store. The client quickly gets the right answer or a 503,
//! nobody gets the session of another user, and the next requests succeed.

mod site;

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use session_tests::{
    ChaosProxy, Disruption, MariaDb, Memcached, Postgres, RedisServer, Watch, assert_in_time,
    with_port,
};
use site::{Answer, Backend, Browser, Cookie, Demo};

const QUICK: Duration = Duration::from_millis(1500);
const RECOVERY: Duration = Duration::from_secs(2);
const USERS: usize = 4;

/// Every byte of a reply's head, and of what follows enough to meet each field.
fn positions() -> impl Iterator<Item = usize> {
    (0..48).chain((48..260).step_by(9))
}

/// Whether it is a success; panics unless it is that or an honest 503.
fn succeeded(browser: &Browser, answer: &Answer, place: usize) -> bool {
    assert_in_time!(answer.took < QUICK, "byte {place}: {:?}", answer.took);
    match (answer.status, answer.cookie()) {
        (_, Cookie::Untouched) => {}
        // A session that seems to end sooner is refreshed.
        (200, Cookie::Set(value)) => assert_eq!(Some(&*value), browser.cookie(), "byte {place}"),
        (_, cookie) => panic!("byte {place}: {cookie:?}"),
    }
    match answer.status {
        200 => true,
        503 => false,
        status => panic!("byte {place}: {status} {}", answer.text()),
    }
}

/// All users ask at once who they are, and one counts up; the number of answers that were 503, and
/// whether it counted.
async fn everybody_asks(browsers: &[Browser], place: usize) -> (usize, bool) {
    let mut asking = Vec::new();
    for browser in browsers {
        let browser = browser.clone();
        asking.push(tokio::spawn(async move {
            browser.send(Method::GET, "/whoami", String::new()).await
        }));
    }
    let counting = browsers[0].send(Method::POST, "/increment/n", String::new());
    let counted = succeeded(&browsers[0], &counting.await, place);
    let mut refused = usize::from(!counted);
    for (user, answer) in asking.into_iter().enumerate() {
        let answer = answer.await.expect("it ends");
        if succeeded(&browsers[user], &answer, place) {
            let expected = json!({ "user": format!("user{user}") });
            assert_eq!(answer.json(), expected, "byte {place}");
        } else {
            refused += 1;
        }
    }
    (refused, counted)
}

async fn one_byte_less_harms_nobody(backend: Backend, port: u16, address: impl Fn(u16) -> String) {
    let proxy = ChaosProxy::start(port).await;
    let demo = Demo::with(backend.at(&address(proxy.port())), &[]).await;
    let mut browsers = Vec::new();
    for user in 0..USERS {
        browsers.push(demo.logged_in(&format!("user{user}")).await);
    }
    let (mut met, mut refused, mut certain, mut possible) = (0, 0, 0, 0);
    for place in positions() {
        proxy.set(Disruption::DropByte(place));
        let (refusals, counted) = everybody_asks(&browsers, place).await;
        met += usize::from(proxy.disruption() == Disruption::None);
        proxy.set(Disruption::None);
        refused += refusals;
        certain += u64::from(counted);
        possible += 1;
        let begin = Watch::start();
        loop {
            let ended = begin.stop(RECOVERY).await > RECOVERY;
            let (refusals, counted) = everybody_asks(&browsers, place).await;
            refused += refusals;
            certain += u64::from(counted);
            possible += 1;
            if refusals == 0 {
                break;
            }
            assert!(!ended, "byte {place}: not healthy\n{}", demo.output());
        }
    }
    let last = browsers[0]
        .send(Method::GET, "/data/n", String::new())
        .await;
    let last = last.json().as_u64().expect("a number");
    eprintln!(
        "{backend:?}: {met} replies lacked a byte, {refused} answers were 503; {certain} to {possible} increments, in the end {last}"
    );
    assert!((certain..=possible).contains(&last));
    assert!(
        met > 48,
        "{met}: the replies are shorter than the test supposes"
    );
}

#[tokio::test]
async fn redis() {
    let server = RedisServer::start(&[]).await;
    let address = |port| server.url_by(port);
    one_byte_less_harms_nobody(Backend::Redis, server.port(), address).await;
}

#[tokio::test]
async fn memcached() {
    let server = Memcached::start(&[]).await;
    let address = |port| format!("127.0.0.1:{port}");
    one_byte_less_harms_nobody(Backend::Memcached, server.port(), address).await;
}

#[tokio::test]
async fn postgres() {
    let server = Postgres::start().await;
    let address = |port| with_port(&server.url(), server.port(), port);
    one_byte_less_harms_nobody(Backend::Postgres, server.port(), address).await;
}

#[tokio::test]
async fn mariadb() {
    let server = MariaDb::start().await;
    let address = |port| with_port(&server.url(), server.port(), port);
    one_byte_less_harms_nobody(Backend::MariaDb, server.port(), address).await;
}
