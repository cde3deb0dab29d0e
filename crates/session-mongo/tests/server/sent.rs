//! What goes over the wire: one command for each call, to the primary, confirmed by the majority, never sent again.

use std::sync::{Arc, Mutex};

use session_core::{OwnerIndex, SessionStore, Touch};
use session_mongo::mongodb::{
    bson::Document,
    event::{EventHandler, command::CommandEvent},
};

use crate::setup::{Setup, key, owner, record, stored};

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
    let mut record = record(b"one");
    record.owner = Some(owner.clone());

    stored(store.insert(&key, &record).await.unwrap());
    one_write(&sent());
    stored(store.insert(&crate::setup::key(), &record).await.unwrap());
    one_write(&sent());
    let loaded = store.load(&key).await.unwrap().unwrap();
    one_read(&sent());
    stored(store.update(&key, &record, &loaded.revision).await.unwrap());
    one_write(&sent());
    let moved = store.touch(&key, record.expires_at).await.unwrap();
    assert_eq!(moved, Touch::Moved);
    one_write(&sent());
    assert_eq!(store.owned_by(&owner).await.unwrap().len(), 2);
    one_read(&sent());
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
