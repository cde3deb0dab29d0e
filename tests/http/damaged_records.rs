//! Damaged records: they count as absent, and the next change uses another id.

use super::{
    browser::{browser, sessions, settings},
    observed_store::ObservedStore,
};

#[tokio::test]
async fn a_damaged_record_counts_as_absent_and_the_next_change_gets_another_id() {
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
        let damaged = browser.cookie();
        store.set_mangle(Some(mangle));
        let response = browser.get("/who").await;
        assert_eq!(
            (response.status.as_u16(), response.body.as_str()),
            (200, "nobody")
        );
        assert_eq!(browser.get("/set/a").await.status.as_u16(), 200);
        assert_ne!(browser.cookie(), damaged);
        store.set_mangle(None);
        assert_eq!(browser.get("/get/a").await.body, "1");
    }
}
