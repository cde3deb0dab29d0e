use std::collections::BTreeMap;

use session_core::{Format, KeyPrefix, Payload, SessionId, SessionStore, StoreKey};

use crate::run::Run;

/// A live record: its data, its owner and its lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) key: StoreKey,
    pub(crate) data: Data,
    pub(crate) lineage: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) values: BTreeMap<String, i64>,
    pub(crate) owner: Option<String>,
}

/// Every record that is no marker.
pub(crate) async fn live_records(run: &Run) -> Vec<Live> {
    let keys: Vec<_> = run.store.desk().keys.clone();
    let mut live = Vec::new();
    for key in keys {
        let Some(loaded) = run
            .store
            .inner
            .load(&key)
            .await
            .expect("memory does not fail")
        else {
            continue;
        };
        let mut payload = Payload::decode(loaded.payload, Format::MessagePack)
            .expect("it is ours")
            .expect("no nil");
        let notes = payload
            .remove("__session")
            .expect("ours has notes")
            .to_json_lossy();
        if notes.get("m").is_some() {
            continue;
        }
        let values = payload
            .keys()
            .map(|key| {
                (
                    key.to_owned(),
                    payload
                        .get(key)
                        .expect("a number")
                        .expect("the key is there"),
                )
            })
            .collect();
        let text = |name: &str| {
            notes
                .get(name)
                .and_then(|it| it.as_str())
                .map(str::to_owned)
        };
        live.push(Live {
            key,
            data: Data {
                values,
                owner: text("o"),
            },
            lineage: text("l").expect("ours has a lineage"),
        });
    }
    live
}

pub(crate) fn key_of(id: &str) -> StoreKey {
    KeyPrefix::default()
        .hashed_key(&SessionId::from_native(id, 32).expect("the test's ids are ids"))
}
