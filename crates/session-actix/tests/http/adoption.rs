//! Ids are the server's to give out: one that it did not give is not adopted, one that is taken is
//! not given twice.

use session_actix::session_core::{SessionId, Settings};

use crate::{
    browser::{browser, sessions, settings},
    observed::ObservedStore,
};

#[actix_web::test]
async fn an_id_that_the_server_did_not_give_is_never_adopted() {
    let mut browser = browser(sessions(Settings::unsigned(), &ObservedStore::default())).await;
    for _ in 0..50 {
        let invented = format!("__Host-session={}", SessionId::random(32).as_str());
        browser.set_cookie(&invented);
        let answer = browser.get("/set/a").await;
        assert_eq!(answer.set_cookies().len(), 1);
        assert_ne!(browser.cookie(), invented);
        assert_eq!(browser.get("/get/a").await.body, "1");
        browser.set_cookie(&invented);
        assert_eq!(browser.get("/get/a").await.body, "none");
    }
}

#[actix_web::test]
async fn an_id_that_is_taken_is_given_to_nobody_else() {
    let store = ObservedStore::default();
    let mut browser = browser(sessions(settings(), &store)).await;
    store.refuse_inserts(3);
    let answer = browser.get("/set/a").await;
    assert_eq!(
        (answer.status.as_u16(), answer.set_cookies().len()),
        (200, 1)
    );
    assert_eq!(
        store.calls(),
        4,
        "three ids were taken, the fourth was free"
    );
    assert_eq!(browser.get("/get/a").await.body, "1");
}
