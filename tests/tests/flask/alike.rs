//! Flask and this library give the same answers: status, `Set-Cookie` to the byte, `Vary` and body;
//! and they store the same record.

use std::time::Duration;

use serde_json::Value;

use crate::{
    neighbours::{Neighbours, Side, Visitor},
    site::Answer,
    store::Store,
};

const STEPS: &[&str] = &[
    // Without a session.
    "/health",
    "/get",
    "/clear",
    "/permanent?on=1",
    "/regenerate",
    "/flashes",
    "/get?k=a",
    "/del?k=a",
    "/nowhere",
    // A session is made, read, left alone.
    "/set?k=a&v=x&t=str",
    "/get",
    "/get?k=a",
    "/get?k=b",
    "/touch",
    "/health",
    "/nowhere",
    "/del?k=b",
    // Changed.
    "/set?k=a&v=x&t=str",
    "/set?k=n&v=5&t=int",
    "/incr?k=n",
    "/incr?k=m",
    "/set?k=d&v=1&t=bool",
    "/del?k=d",
    "/flash?m=hi&c=info",
    "/flash?m=ho",
    "/get",
    "/flashes",
    "/flashes",
    "/slow?ms=1",
    "/slow?ms=1&k=s&v=t",
    // For as long as the browser runs, and longer again.
    "/permanent?on=0",
    "/get",
    "/touch",
    "/permanent?on=1",
    "/get",
    // Under another id.
    "/regenerate",
    "/get",
    "/login?user=ann",
    "/get",
    // Emptied.
    "/clear",
    "/get",
    "/clear",
    "/login?user=bob",
    "/del?k=user",
    "/get",
    "/flash?m=x",
    "/flashes",
    "/get",
    "/login_clear?user=cyd",
    "/get",
    "/set?k=a&v=y",
];

/// Not a promise of Flask-Session, which keeps the id: the two differ here on purpose.
const KEEPS_THE_ID: &str = "/login_clear?user=dan";

pub(crate) async fn every_answer(both: &Neighbours) {
    let (mut with_flask, mut with_actix) = (both.visitor(), both.visitor());
    for step in STEPS {
        let theirs = with_flask.get(Side::Flask, step).await;
        let ours = with_actix.get(Side::Actix, step).await;
        assert_alike(step, &theirs, &ours);
    }
    let theirs = both.record(with_flask.sid()).await.unwrap();
    let ours = both.record(with_actix.sid()).await.unwrap();
    assert_eq!(theirs.payload, ours.payload, "the records");
    assert!(
        (theirs.ends - ours.ends).abs() < 30.0,
        "{theirs:?} {ours:?}"
    );

    let planted = with_flask.sid().to_owned();
    with_flask.json(Side::Flask, KEEPS_THE_ID).await;
    assert_eq!(with_flask.sid(), planted);
    logs_in_under_another_id(&mut with_actix).await;
}

async fn logs_in_under_another_id(visitor: &mut Visitor<'_>) {
    let planted = visitor.sid().to_owned();
    let state = visitor.json(Side::Actix, KEEPS_THE_ID).await;
    assert_ne!(visitor.sid(), planted);
    assert_eq!(state["sid"], visitor.sid());
}

fn assert_alike(step: &str, theirs: &Answer, ours: &Answer) {
    assert_eq!(theirs.status, ours.status, "{step}");
    assert_eq!(theirs.header("vary"), ours.header("vary"), "{step}");
    assert_eq!(
        theirs.header("content-type"),
        ours.header("content-type"),
        "{step}"
    );
    if theirs.status == 200 {
        assert_eq!(without_id(theirs), without_id(ours), "{step}");
    }
    match (theirs.set_cookie(), ours.set_cookie()) {
        (None, None) => {}
        (Some(theirs), Some(ours)) => assert_same_cookie(step, theirs, ours),
        differing => panic!("{step}: {differing:?}"),
    }
}

fn without_id(answer: &Answer) -> Value {
    let mut body = answer.json();
    if let Value::Object(body) = &mut body {
        body.remove("sid");
    }
    body
}

/// To the byte, but for the id and for an end that the clock has moved meanwhile.
fn assert_same_cookie(step: &str, theirs: &str, ours: &str) {
    let blind = |cookie: &str| {
        let mut parts: Vec<_> = cookie.split("; ").map(str::to_owned).collect();
        let (name, value) = parts[0].split_once('=').unwrap();
        // An id's length does not tell which it is, and neither does a signature's.
        parts[0] = format!("{name}={}", value.replace(|it| it != '.', "x"));
        let mut ends = None;
        for part in &mut parts {
            if let Some(end) = part.strip_prefix("Expires=") {
                ends = Some(end.to_owned());
                part.truncate("Expires=".len());
            }
        }
        (parts, ends)
    };
    let ((theirs, their_end), (ours, our_end)) = (blind(theirs), blind(ours));
    assert_eq!(theirs, ours, "{step}");
    let at = |end: Option<String>| end.map(|end| httpdate::parse_http_date(&end).unwrap());
    match (at(their_end), at(our_end)) {
        (None, None) => {}
        (Some(theirs), Some(ours)) => {
            let apart = ours
                .duration_since(theirs)
                .unwrap_or_else(|error| error.duration());
            assert!(apart <= Duration::from_secs(30), "{step}: {apart:?}");
        }
        differing => panic!("{step}: {differing:?}"),
    }
}

/// With settings that change the cookie.
mod settings {
    use super::*;

    async fn alike(settings: &[(&str, &str)]) {
        every_answer(&Neighbours::on(Store::Redis, settings).await).await;
    }

    #[tokio::test]
    async fn not_permanent() {
        alike(&[("PERMANENT", "0")]).await;
    }

    #[tokio::test]
    async fn not_refreshed() {
        alike(&[("REFRESH", "0"), ("LIFETIME", "3600")]).await;
    }

    #[tokio::test]
    async fn not_permanent_and_not_refreshed() {
        alike(&[("PERMANENT", "0"), ("REFRESH", "0"), ("SID_LENGTH", "16")]).await;
    }

    #[tokio::test]
    async fn no_prefix() {
        alike(&[("PREFIX", "")]).await;
    }

    #[tokio::test]
    async fn every_attribute_of_the_cookie() {
        alike(&[
            ("COOKIE_DOMAIN", ".example.org"),
            ("COOKIE_PATH", "/"),
            ("COOKIE_SECURE", "1"),
            ("COOKIE_HTTPONLY", "0"),
            ("COOKIE_SAMESITE", "Strict"),
        ])
        .await;
    }
}
