//! The commands on the wire: one for each call, to the primary, confirmed by the majority, never
//! sent again.

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
    let recorded = Arc::clone(&log);
    // The client's options say the opposite.
    let url = format!(
        "{}?w=1&retryWrites=true&readPreference=secondaryPreferred",
        setup.server.url()
    );
    let store = setup
        .store_with(&url, |options| {
            options.command_event_handler = Some(EventHandler::callback(move |event| {
                if let CommandEvent::Started(event) = event {
                    recorded.lock().unwrap().push(event.command);
                }
            }));
        })
        .await;
    let commands_sent = || std::mem::take(&mut *log.lock().unwrap());
    let (key, owner) = (key(), owner());
    let record = listed(record(&[7; 5000]), &owner);

    stored(store.insert(&key, &record).await.unwrap());
    assert_one_write(&commands_sent());
    stored(store.insert(&crate::setup::key(), &record).await.unwrap());
    assert_one_write(&commands_sent());
    let loaded = store.load(&key).await.unwrap().unwrap();
    assert_one_read(&commands_sent());
    stored(store.update(&key, &record, &loaded.revision).await.unwrap());
    assert_one_write(&commands_sent());
    assert_eq!(keys_of(&store, &owner).await.len(), 2);
    let [page] = &commands_sent()[..] else {
        panic!("not one command");
    };
    assert_one_read(std::slice::from_ref(page));
    let heads = doc! { "head": 1 };
    assert_eq!(page.get_document("projection").unwrap(), &heads, "{page}");
    let first = store.owned_by(&owner, None, 1).await.unwrap();
    assert_one_read(&commands_sent());
    assert_eq!(first.records[0].head.len(), Record::HEAD);
    let next = store.owned_by(&owner, first.next.as_ref(), 1).await;
    assert_one_read(&commands_sent());
    assert!(next.unwrap().records[0].key != first.records[0].key);
    store.delete(&key).await.unwrap();
    let sent = commands_sent();
    assert_one_write(&sent);
    let [statement] = &sent[0].get_array("deletes").unwrap()[..] else {
        panic!("not one deletion: {sent:?}");
    };
    let statement = statement.as_document().unwrap();
    // 0 is all. With 1, some servers answer "none" after a wait, and keep the document.
    assert_eq!(statement.get_i32("limit").unwrap(), 0, "{statement}");
}

#[track_caller]
fn assert_one_write(commands: &[Document]) {
    let [command] = commands else {
        panic!("not one command: {commands:?}");
    };
    let concern = command.get_document("writeConcern").unwrap();
    assert_eq!(concern.get_str("w").unwrap(), "majority", "{command}");
    // The default store time is a second.
    let patience = concern.get_i32("wtimeout").unwrap();
    assert!((1..1000).contains(&patience), "{command}");
    // The driver adds this field to a write that it would send again.
    assert!(!command.contains_key("txnNumber"), "{command}");
}

#[track_caller]
fn assert_one_read(commands: &[Document]) {
    let [command] = commands else {
        panic!("not one command: {commands:?}");
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
