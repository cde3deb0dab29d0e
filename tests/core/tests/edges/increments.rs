//! `Session::increment`: absent values, concurrent requests, values that are no numbers.

use futures_util::future::join_all;
use session_core::{Error, Session};

use crate::support::{Request, Site, signed};

#[test]
fn an_absent_value_counts_as_zero() {
    let session = Session::in_memory();
    assert_eq!(session.increment("visits").unwrap(), 1);
    assert_eq!(session.increment("visits").unwrap(), 2);
    session.insert("balance", &-1).unwrap();
    assert_eq!(session.increment("balance").unwrap(), 0);
    session.insert("most", &i64::MAX).unwrap();
    assert_eq!(session.increment("most").unwrap(), i64::MAX);
}

#[test]
fn a_value_that_is_no_integer_stays() {
    let session = Session::in_memory();
    session.insert("name", "ada").unwrap();
    assert!(matches!(
        session.increment("name"),
        Err(Error::Decode { .. })
    ));
    assert_eq!(session.get::<String>("name").unwrap().unwrap(), "ada");
    session.insert("large", &u64::MAX).unwrap();
    assert!(session.increment("large").is_err());
}

#[tokio::test]
async fn concurrent_requests_lose_none() {
    let site = Site::new(signed());
    let browser = site.visited().await;
    let mut requests = Vec::new();
    for _ in 0..8 {
        requests.push(site.open(&browser).await);
    }
    for request in &requests {
        assert_eq!(request.increment("n").unwrap(), 1);
    }
    for answer in join_all(requests.iter().map(Request::answer)).await {
        answer.unwrap();
    }
    assert_eq!(site.value(&browser, "n").await, Some(8));
}
