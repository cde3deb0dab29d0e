//! A value that `take` returns, such as a token that may be used once.

use session_core::{Error, Saved};

use crate::support::{Browser, Site, signed};

async fn with_token() -> (Site, Browser) {
    let site = Site::new(signed());
    let browser = site.browser();
    site.request(&browser, |session| session.insert("token", &7).unwrap())
        .await;
    (site, browser)
}

#[tokio::test]
async fn of_two_requests_that_take_it_one_is_answered() {
    let (site, browser) = with_token().await;
    let (first, second) = (site.open(&browser).await, site.open(&browser).await);
    for request in [&first, &second] {
        assert_eq!(request.take::<i32>("token").unwrap(), Some(7));
        request.insert("order", &1).unwrap();
    }
    first.answer().await.unwrap();
    assert!(matches!(second.answer().await, Err(Error::Conflict)));
    // The same of a `save` in the handler, and whatever is under the key by then.
    let (site, browser) = with_token().await;
    let (first, second) = (site.open(&browser).await, site.open(&browser).await);
    assert_eq!(first.take::<i32>("token").unwrap(), Some(7));
    first.insert("token", &8).unwrap();
    assert_eq!(first.save().await.unwrap(), Saved::Stored);
    assert_eq!(second.take::<i32>("token").unwrap(), Some(7));
    assert!(matches!(second.save().await, Err(Error::Conflict)));
    assert_eq!(site.value::<i32>(&browser, "token").await, Some(8));
}

#[tokio::test]
async fn another_change_beside_it_takes_nothing_away() {
    let (site, browser) = with_token().await;
    let (takes, counts) = (site.open(&browser).await, site.open(&browser).await);
    assert_eq!(takes.take::<i32>("token").unwrap(), Some(7));
    counts.insert("n", &1).unwrap();
    counts.answer().await.unwrap();
    takes.answer().await.unwrap();
    assert_eq!(site.value::<i32>(&browser, "token").await, None);
    assert_eq!(site.value::<i32>(&browser, "n").await, Some(1));
}
