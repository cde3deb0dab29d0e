//! Malformed and forged cookies: they are never accepted, and never hide the real cookie.

use std::time::Duration;

use session_core::SessionId;

use super::{
    browser::{browser, quickest, sessions, settings},
    observed_store::ObservedStore,
};

#[tokio::test]
async fn malformed_and_invented_ids_never_reach_the_store() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    browser.get("/login/ada").await;
    let good = browser.cookie();
    let value = good.split_once('=').unwrap().1;
    let (id, signature) = value.split_once('.').unwrap();
    let invented = (0..200).map(|_| format!("{}.{signature}", SessionId::random(32).as_str()));
    let unsigned = (0..50).map(|_| SessionId::random(32).as_str().to_owned());
    let cut = (0..value.len()).map(|end| value[..end].to_owned());
    let changed = (0..value.len()).map(|at| {
        let mut changed = value.as_bytes().to_vec();
        changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
        String::from_utf8(changed).unwrap()
    });
    let forms = [
        "",
        ".",
        "..",
        "null",
        "../../etc/passwd",
        "' OR 1=1 --",
        "%00",
        "a\tb",
        &"A".repeat(4096),
    ]
    .map(String::from);
    let mixed = [
        id.to_owned(),
        format!("{id}."),
        format!("{value}="),
        format!("\"{value}\""),
        value.replace('.', "%2E"),
    ];
    store.calls();
    for forged in invented
        .chain(unsigned)
        .chain(cut)
        .chain(changed)
        .chain(forms)
        .chain(mixed)
    {
        let response = browser
            .send(
                "/who",
                Some(format!("__Host-session={forged}").into_bytes()),
            )
            .await;
        assert_eq!(
            (response.body.as_str(), response.set_cookies().len()),
            ("nobody", 0),
            "{forged}"
        );
        assert_eq!(store.calls(), 0, "{forged}");
    }
    assert_eq!(browser.get("/who").await.body, "ada");
}

#[tokio::test]
async fn hostile_cookies_beside_it_neither_hide_nor_forge_the_session() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/login/ada").await;
    let good = browser.cookie();
    let value = good.split_once('=').unwrap().1;
    let around: [(&[u8], &[u8]); 7] = [
        (b"a=b; ", b"; c=d"),
        (b"x=\"; ", b"; y=\""),
        (b"x=\xff\xfe; ", b""),
        (b"=; ;;; ", b";"),
        (b"novalue; ", b"; \x80"),
        (b"__Host-session=forged; ", b""),
        (b"", b"; __Host-session="),
    ];
    for (before, after) in around {
        let header = [before, good.as_bytes(), after].concat();
        assert_eq!(
            browser.send("/who", Some(header.clone())).await.body,
            "ada",
            "{header:?}"
        );
    }
    for forged in [
        format!("%5F%5FHost-session={value}"),
        format!("={good}"),
        format!("__host-session={value}"),
        format!("x{good}"),
    ] {
        assert_eq!(
            browser
                .send("/who", Some(forged.clone().into_bytes()))
                .await
                .body,
            "nobody",
            "{forged}"
        );
    }
}

#[tokio::test]
async fn only_the_cookie_carries_an_id() {
    let mut browser = browser(sessions(settings(), &ObservedStore::default())).await;
    browser.get("/login/ada").await;
    let good = browser.cookie();
    for path in [format!("/who?{good}"), format!("/who?session={good}")] {
        assert_eq!(browser.send(&path, None).await.body, "nobody");
    }
}

#[tokio::test]
async fn a_header_of_100_kib_costs_milliseconds() {
    let browser = browser(sessions(settings(), &ObservedStore::default())).await;
    for piece in [&b"a=b;"[..], b";", b"__Host-session=x;", b"="] {
        let header = piece.repeat(102_400 / piece.len());
        let took = quickest(async || {
            let answer = browser.send("/who", Some(header.clone())).await;
            assert_eq!(answer.body, "nobody");
        });
        let took = took.await;
        assert!(took < Duration::from_millis(250), "{took:?}");
    }
}
