//! What goes over the wire: one command for each call, to the primary, confirmed by the majority, never sent again.

use std::sync::{Arc, Mutex};

use session_core::{OwnerIndex, Record, SessionStore};
use session_mongo::mongodb::{
    bson::{Document, doc},
    event::{EventHandler, command::CommandEvent},
};

use crate::setup::{Setup, key, keys_of, listed, owner, record, stored};

#[tokio::test]
async fn each_call_is_one_command_to_the_primary_and_the_majority() {
    let setup = Setup::shared().await;
    let log = Arc::new(Mutex::new(Vec::<Document>::new()));
    let heard = Arc::clone(&log);
    // A client that says the opposite of all that.
    let url = format!(
        "{}?w=1&retryWrites=true&readPreference=secondaryPreferred",
        setup.server.url()
    );
    let store = setup
        .store_with(&url, |options| {
            options.command_event_handler = Some(EventHandler::callback(move |event| {
                if let CommandEvent::Started(event) = event {
                    heard.lock().unwrap().push(event.command);
                }
            }));
        })
        .await;
    let sent = || std::mem::take(&mut *log.lock().unwrap());
    let (key, owner) = (key(), owner());
    let record = listed(record(&[7; 5000]), &owner);

    stored(store.insert(&key, &record).await.unwrap());
    one_write(&sent());
    stored(store.insert(&crate::setup::key(), &record).await.unwrap());
    one_write(&sent());
    let loaded = store.load(&key).await.unwrap().unwrap();
    one_read(&sent());
    stored(store.update(&key, &record, &loaded.revision).await.unwrap());
    one_write(&sent());
    assert_eq!(keys_of(&store, &owner).await.len(), 2);
    let [page] = &sent()[..] else {
        panic!("not one command");
    };
    one_read(std::slice::from_ref(page));
    let heads = doc! { "head": 1 };
    assert_eq!(page.get_document("projection").unwrap(), &heads, "{page}");
    let first = store.owned_by(&owner, None, 1).await.unwrap();
    one_read(&sent());
    assert_eq!(first.records[0].head.len(), Record::HEAD);
    let next = store.owned_by(&owner, first.next.as_ref(), 1).await;
    one_read(&sent());
    assert!(next.unwrap().records[0].key != first.records[0].key);
    store.delete(&key).await.unwrap();
    one_write(&sent());
}

#[track_caller]
fn one_write(sent: &[Document]) {
    let [command] = sent else {
        panic!("not one command: {sent:?}");
    };
    let concern = command.get_document("writeConcern").unwrap();
    assert_eq!(concern.get_str("w").unwrap(), "majority", "{command}");
    // What the driver adds to a write that it would send again.
    assert!(!command.contains_key("txnNumber"), "{command}");
}

#[track_caller]
fn one_read(sent: &[Document]) {
    let [command] = sent else {
        panic!("not one command: {sent:?}");
    };
    assert!(command.contains_key("find"), "{command}");
    if let Ok(preference) = command.get_document("$readPreference") {
        assert_ne!(
            preference.get_str("mode").unwrap(),
            "secondaryPreferred",
            "{command}"
        );
    }
}
