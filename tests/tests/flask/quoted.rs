//! A cookie in double quotes, as some proxies and clients send it back.

use crate::{
    SIGNED,
    neighbours::{Neighbours, Side},
    store::Store,
};

async fn is_read_by_both(settings: &[(&str, &str)]) {
    let both = Neighbours::on(Store::Redis, settings).await;
    let mut visitor = both.visitor();
    visitor.json(Side::Flask, "/login?user=ann").await;
    let value = visitor.cookie().to_owned();
    let (first, rest) = value.split_at(1);
    let octal = format!(r#""\{:03o}{rest}""#, first.as_bytes()[0]);
    for (cookie, read) in [
        (value.clone(), true),
        (format!(r#""{value}""#), true),
        (octal, true),
        (format!(r#""{value}"#), false),
        (format!(r#"{value}""#), false),
        (format!(r#"""{value}"""#), false),
        (format!(r#""{value} ""#), false),
    ] {
        let visitor = both.visitor().holding(&cookie);
        for side in Side::BOTH {
            let found = visitor.peek(side, "/get?k=user").await;
            assert_eq!(found["found"], read, "{side:?} {cookie}");
        }
    }
}

#[tokio::test]
async fn is_read_by_both_unsigned() {
    is_read_by_both(&[]).await;
}

#[tokio::test]
async fn is_read_by_both_signed() {
    is_read_by_both(&SIGNED).await;
}
