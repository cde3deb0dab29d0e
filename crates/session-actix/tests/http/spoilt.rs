//! Records that cannot be read: no session, never an error, and never again under the same id.

use crate::{
    browser::{browser, sessions, settings},
    observed::ObservedStore,
};

#[actix_web::test]
async fn a_record_that_cannot_be_read_is_no_session_and_the_next_change_gets_another_id() {
    let mangles: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| Vec::new(),
        |payload| payload[..payload.len() / 2].to_vec(),
        |_| b"\x80\x04\x95 written by something else".to_vec(),
        |payload| [&payload[..], b"\x00"].concat(),
    ];
    for mangle in mangles {
        let store = ObservedStore::default();
        let mut browser = browser(sessions(settings(), &store)).await;
        browser.get("/login/ada").await;
        let spoilt = browser.cookie();
        store.set_mangle(Some(mangle));
        let answer = browser.get("/who").await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, "nobody")
        );
        assert_eq!(browser.get("/set/a").await.status.as_u16(), 200);
        assert_ne!(browser.cookie(), spoilt);
        store.set_mangle(None);
        assert_eq!(browser.get("/get/a").await.body, "1");
    }
}
