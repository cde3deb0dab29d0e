//! A session that was ended stays ended, whatever is still in flight, and of many renewals one id
//! survives.

#[macro_use]
mod site;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use session_tests::rounds;
use site::{Answer, Backend, Browser, Cookie, Demo};
use tokio::task::JoinHandle;

const AT_ONCE: usize = 8;
const ENCRYPTION: (&str, &str) = ("SESSION_ENCRYPTION_KEY", "Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ");

/// Plays `rounds` rounds, some at a time, each with a user of its own.
async fn play<F>(
    demo: Demo,
    rounds: usize,
    round: impl Fn(Arc<Demo>, Browser, usize) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let demo = Arc::new(demo);
    let players: Vec<_> = (0..AT_ONCE)
        .map(|player| {
            let (demo, round) = (Arc::clone(&demo), round.clone());
            tokio::spawn(async move {
                for number in (player..rounds).step_by(AT_ONCE) {
                    let browser = demo.logged_in(&format!("user{number}")).await;
                    round(Arc::clone(&demo), browser, number).await;
                }
            })
        })
        .collect();
    for player in players {
        player.await.expect("no round fails");
    }
}

fn send(browser: &Browser, method: Method, path: &str) -> JoinHandle<Answer> {
    let (browser, path) = (browser.clone(), path.to_owned());
    tokio::spawn(async move { browser.send(method, &path, String::new()).await })
}

/// Requests of all kinds that loaded the session before what comes next, and answer during it or
/// after it.
async fn in_flight(browser: &Browser, number: usize) -> Vec<JoinHandle<Answer>> {
    let jitter = number % 7;
    let late = [
        send(
            browser,
            Method::GET,
            &format!("/slow?ms={}&write=a", 8 + jitter),
        ),
        send(
            browser,
            Method::GET,
            &format!("/slow?ms={}&write=b", 14 + jitter),
        ),
        send(browser, Method::GET, &format!("/slow?ms={}", 11 + jitter)),
    ];
    tokio::time::sleep(Duration::from_millis(6)).await;
    late.into()
}

/// Who had loaded the session before it ended gets no cookie; who came later is anonymous, and a
/// change of theirs may have made a session of its own.
async fn assert_nothing_revived(browser: &Browser, late: Vec<JoinHandle<Answer>>, number: usize) {
    for answer in late {
        let answer = answer.await.expect("it is answered");
        match answer.cookie() {
            Cookie::Untouched => {}
            Cookie::Set(cookie) => {
                assert_eq!(
                    answer.json()["user"],
                    json!(null),
                    "round {number}: revived"
                );
                let user = browser.clone().holding(&cookie).user().await;
                assert_eq!(user, json!(null), "round {number}: revived");
            }
            Cookie::Removed => panic!("round {number}: nobody logged out here"),
        }
    }
}

async fn is_dead(mut browser: Browser, number: usize) {
    assert_eq!(browser.user().await, json!(null), "round {number}");
    assert_eq!(
        browser.get("/data").await.json(),
        json!({}),
        "round {number}"
    );
}

on_every_store! { a_logout_beats_requests_in_flight }
async fn a_logout_beats_requests_in_flight(backend: Backend) {
    play(
        Demo::on(backend).await,
        rounds(),
        |demo, browser, number| async move {
            let late = in_flight(&browser, number).await;
            let logout = browser.send(Method::POST, "/logout", String::new()).await;
            assert_eq!(
                (logout.status, logout.cookie()),
                (200, Cookie::Removed),
                "{}",
                demo.output()
            );
            is_dead(browser.clone(), number).await;
            assert_nothing_revived(&browser, late, number).await;
            is_dead(browser, number).await;
        },
    )
    .await;
}

on_every_store! { a_renewal_takes_requests_in_flight_along }
async fn a_renewal_takes_requests_in_flight_along(backend: Backend) {
    play(
        Demo::on(backend).await,
        rounds(),
        |_, mut browser, number| async move {
            let old = browser.clone();
            let late = in_flight(&browser, number).await;
            let renewal = browser.post("/renew").await;
            assert!(
                matches!(renewal.cookie(), Cookie::Set(_)),
                "round {number}: {renewal:?}"
            );
            let mut loaded_before = Vec::new();
            for answer in late {
                let answer = answer.await.expect("it is answered");
                assert_eq!(answer.cookie(), Cookie::Untouched, "round {number}");
                loaded_before.push(answer);
            }
            is_dead(old, number).await;
            assert_eq!(browser.user().await, json!(format!("user{number}")));
            // What was answered with success is in the session of today.
            let data = browser.get("/data").await.json();
            for (answer, key) in loaded_before.iter().zip(["a", "b"]) {
                match answer.status {
                    200 => assert_eq!(data[key], json!(true), "round {number}: {data}"),
                    status => assert_eq!(status, 409, "round {number}"),
                }
            }
        },
    )
    .await;
}

on_stores! {
    logging_out_everywhere_beats_requests_in_flight: memory Memory, filesystem Filesystem, redis Redis,
    mongodb Mongo, sqlite Sqlite, postgres Postgres, mariadb MariaDb
}
async fn logging_out_everywhere_beats_requests_in_flight(backend: Backend) {
    play(
        Demo::on(backend).await,
        rounds(),
        |demo, browser, number| async move {
            let other = demo.logged_in(&format!("user{number}")).await;
            let mut late = in_flight(&browser, number).await;
            let renewal = send(&other, Method::POST, "/renew");
            let ended = browser
                .send(Method::POST, "/logout-everywhere", String::new())
                .await;
            assert_eq!(ended.status, 200, "round {number}: {}", demo.output());
            // A renewal beside it is ended too, under either id.
            let renewal = renewal.await.expect("it is answered");
            if let Cookie::Set(cookie) = renewal.cookie() {
                is_dead(other.clone().holding(&cookie), number).await;
            }
            late.push(send(&browser, Method::GET, "/slow?ms=1"));
            assert_nothing_revived(&browser, late, number).await;
            is_dead(browser, number).await;
            is_dead(other, number).await;
        },
    )
    .await;
}

async fn from_provider(demo: &Demo, user: &str, sid: &str) -> Browser {
    let mut browser = demo.browser();
    let answer = browser.post(&format!("/login?user={user}&sid={sid}")).await;
    assert_eq!(answer.status, 200, "{}", demo.output());
    browser
}

on_stores! {
    a_back_channel_log_out_beats_requests_in_flight: filesystem Filesystem, redis Redis, mongodb Mongo, sqlite Sqlite,
    postgres Postgres, mariadb MariaDb
}
async fn a_back_channel_log_out_beats_requests_in_flight(backend: Backend) {
    for encryption in [&[][..], &[ENCRYPTION]] {
        let demo = Demo::with(backend.settings().await, encryption).await;
        let beside = Arc::new(demo.beside().await);
        play(
            demo,
            rounds().div_ceil(2),
            move |demo, same_user, number| {
                let beside = beside.clone();
                async move {
                    let (user, sid) = (format!("user{number}"), format!("sid{number}"));
                    let mut kept = [
                        same_user,
                        from_provider(&demo, &user, &user).await,
                        from_provider(&demo, &sid, &user).await,
                        from_provider(&demo, "bert", "sid").await,
                    ];
                    let one = from_provider(&demo, &user, &sid).await;
                    let other = from_provider(&beside, &user, &sid).await;
                    let mut late = in_flight(&one, number).await;
                    late.extend(in_flight(&other, number).await);
                    late.extend(in_flight(&one.at(beside.url()), number).await);
                    let renewal = send(&other.at(demo.url()), Method::POST, "/renew");
                    let path = format!("/backchannel-logout?sid={sid}");
                    let provider = beside.browser();
                    let ended = provider.send(Method::POST, &path, String::new()).await;
                    assert_eq!(ended.status, 200, "round {number}: {}", beside.output());
                    // A renewal beside it is ended too, under either id.
                    let renewal = renewal.await.expect("it is answered");
                    if let Cookie::Set(cookie) = renewal.cookie() {
                        is_dead(other.clone().holding(&cookie), number).await;
                    }
                    late.push(send(&one, Method::GET, "/slow?ms=1"));
                    assert_nothing_revived(&one, late, number).await;
                    is_dead(one.at(beside.url()), number).await;
                    is_dead(other.at(demo.url()), number).await;
                    for browser in &mut kept {
                        assert!(browser.user().await.is_string(), "round {number}");
                    }
                    let again = provider.send(Method::POST, &path, String::new()).await;
                    // The copy of a renewal that failed may be left. No browser has its id.
                    if renewal.status == 200 {
                        assert_eq!(again.json(), json!({ "ended": 0 }), "round {number}");
                    }
                }
            },
        )
        .await;
    }
}

on_every_store! { a_logout_beats_a_renewal_beside_it }
async fn a_logout_beats_a_renewal_beside_it(backend: Backend) {
    play(
        Demo::on(backend).await,
        rounds(),
        |_, browser, number| async move {
            // Both load the session, then one ends it and one renews it, in either order.
            let renewal = send(&browser, Method::POST, "/renew");
            if number % 3 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let logout = browser.send(Method::POST, "/logout", String::new()).await;
            assert_eq!((logout.status, logout.cookie()), (200, Cookie::Removed));
            let renewal = renewal.await.expect("it is answered");
            assert_ne!(renewal.cookie(), Cookie::Removed, "round {number}");
            is_dead(browser.clone(), number).await;
            if let Cookie::Set(cookie) = renewal.cookie() {
                is_dead(browser.holding(&cookie), number).await;
            }
        },
    )
    .await;
}

on_every_store! { of_fifty_renewals_one_id_survives }
async fn of_fifty_renewals_one_id_survives(backend: Backend) {
    let demo = Demo::on(backend).await;
    for number in 0..rounds().div_ceil(25) {
        let browser = demo.logged_in("anna").await;
        let renewals: Vec<_> = (0..50)
            .map(|_| send(&browser, Method::POST, "/renew"))
            .collect();
        let mut alive = 0;
        for renewal in renewals {
            let answer = renewal.await.expect("it is answered");
            assert!([200, 503].contains(&answer.status), "{}", answer.status);
            match answer.cookie() {
                Cookie::Set(cookie) => {
                    let user = browser.clone().holding(&cookie).user().await;
                    alive += usize::from(user == json!("anna"));
                }
                cookie => assert_eq!(cookie, Cookie::Untouched),
            }
        }
        assert_eq!(alive, 1, "round {number}");
        is_dead(browser, number).await;
    }
}
