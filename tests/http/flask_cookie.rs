//! Sessions that start from the cookie of Flask's built-in session.

use std::time::Duration;

use futures_util::future::join_all;
use session_core::{Settings, config::FlaskCookie};

use super::{
    Response,
    browser::{Browser, browser, sessions, settings},
    observed_store::ObservedStore,
};

/// What Flask 3.1.3 signed with the key `dev` on 29 November 2026: the user `ada`, and nobody.
const ADA: &str = "session=eyJfdXNlcl9pZCI6ImFkYSIsIl9mcmVzaCI6dHJ1ZSwiY2FydCI6W3siIHQiOlsidGVhIiwyXX1dfQ.awxR_w.\
    8m54INdqTSqNVAtYONZHXKldmPo";
const NOBODY: &str =
    "session=eyJjYXJ0IjpbeyIgdCI6WyJ0ZWEiLDJdfV19.awxR_w.R2B1r7DAKUV-ZHFU4hQyBuMCrjE";
const REMOVAL: &str = "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/";

/// For as long as these tests are run.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

fn of_flask() -> FlaskCookie {
    FlaskCookie::new("dev").unwrap().with_lifetime(CENTURY)
}

fn importing(flask: FlaskCookie) -> Settings {
    settings().with_flask_cookie(flask)
}

async fn send(browser: &Browser, path: &str, cookies: &[&str]) -> Response {
    let cookies = cookies.join("; ").into_bytes();
    browser.send(path, Some(cookies)).await
}

#[tokio::test]
async fn a_flask_cookie_logs_its_user_in_and_is_removed() {
    let store = ObservedStore::default();
    let browser = browser(sessions(importing(of_flask()), &store)).await;
    let untouched = send(&browser, "/plain", &[ADA]).await;
    assert_eq!((untouched.set_cookies(), store.calls()), (vec![], 0));

    let answer = send(&browser, "/who", &[ADA]).await;
    assert_eq!(answer.body, "ada");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("vary"), Some("Cookie"));
    let [own, removal] = answer.set_cookies()[..] else {
        unreachable!("{:?}", answer.set_cookies());
    };
    assert_eq!(removal, REMOVAL);
    let own = own.split(';').next().unwrap();
    let answer = send(&browser, "/who", &[own]).await;
    assert_eq!((&*answer.body, answer.set_cookies()), ("ada", vec![]));

    let answer = send(&browser, "/logout", &[own]).await;
    assert_eq!(answer.set_cookies().len(), 2);
    for cookies in [&[own, ADA][..], &[ADA]] {
        assert_eq!(send(&browser, "/who", cookies).await.body, "nobody");
    }
    let answer = send(&browser, "/who", &[NOBODY]).await;
    assert_eq!((&*answer.body, answer.set_cookies().len()), ("nobody", 2));
}

#[tokio::test]
async fn requests_with_a_flask_cookie_at_once_lose_no_change() {
    let store = ObservedStore::default();
    let browser = browser(sessions(importing(of_flask().kept()), &store)).await;
    let requests = (0..8).map(|_| send(&browser, "/increment/n", &[ADA]));
    for answer in join_all(requests).await {
        assert_eq!(
            (answer.status.as_u16(), answer.set_cookies().len()),
            (200, 1)
        );
    }
    assert_eq!(send(&browser, "/get/n", &[ADA]).await.body, "8");
}

#[tokio::test]
async fn a_flask_cookie_waits_for_a_store_that_is_down() {
    let store = ObservedStore::default();
    let browser = browser(sessions(importing(of_flask()), &store)).await;
    store.set_down(true);
    let answer = send(&browser, "/who", &[ADA]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.set_cookies()),
        (503, vec![])
    );
    store.set_down(false);
    assert_eq!(send(&browser, "/who", &[ADA]).await.body, "ada");
}
