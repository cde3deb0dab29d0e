//! Reads the live records of a store.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
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

/// Every record that is no tombstone.
pub(crate) async fn live_records(run: &Run) -> Vec<Live> {
    let keys: Vec<_> = run.store.shared().keys.clone();
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
        // The format's page says what stands where.
        let bytes = &loaded.bytes;
        if bytes[2] != 0 {
            continue;
        }
        let header = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let owner = (bytes[3] & 1 == 1).then(|| {
            let times = usize::try_from(bytes[6].count_ones()).expect("a small number");
            let fields = &bytes[66 + 6 * times..];
            let length = usize::from(u16::from_be_bytes([fields[0], fields[1]]));
            String::from_utf8(fields[2..2 + length].to_vec()).expect("a name is text")
        });
        let lineage = URL_SAFE_NO_PAD.encode(&bytes[32..48]);
        let payload = Payload::decode(bytes[header..].to_vec(), Format::MessagePack)
            .expect("it is ours")
            .expect("no nil");
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
        live.push(Live {
            key,
            data: Data { values, owner },
            lineage,
        });
    }
    live
}

pub(crate) fn key_of(id: &str) -> StoreKey {
    KeyPrefix::default()
        .hashed_key(&SessionId::from_native(id, 32).expect("the test's ids are ids"))
}
