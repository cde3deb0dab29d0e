use std::time::SystemTime;

use mongodb::bson::{
    Binary, DateTime, Document, RawDocument, doc, oid::ObjectId, spec::BinarySubtype,
};
use session_core::{Error, Loaded, Record, Result, Revision, StoreKey};

/// The most that a document takes beside its payload: a key and an owner of 250 bytes each, names and lengths.
pub(crate) const OVERHEAD: usize = 1024;

/// Binary, not text: in a collection made with a collation, text may equal other text.
pub(crate) fn binary(text: &str) -> Binary {
    blob(text.as_bytes())
}

pub(crate) fn blob(bytes: &[u8]) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    }
}

/// The instant in milliseconds, rounded down.
pub(crate) fn instant(at: SystemTime) -> DateTime {
    DateTime::from_system_time(at)
}

pub(crate) fn encode(key: &StoreKey, record: &Record, revision: ObjectId) -> Document {
    let mut document = doc! {
        "_id": binary(key.as_str()),
        "payload": blob(&record.payload),
        "revision": revision,
        "expires_at": instant(record.expires_at),
    };
    if let Some(owner) = &record.owner {
        document.insert("owner", binary(owner.as_str()));
    }
    document
}

pub(crate) fn decode(document: &RawDocument) -> Result<Loaded> {
    Ok(Loaded {
        payload: bytes(document, "payload")?.to_vec(),
        expires_at: document
            .get_datetime("expires_at")
            .map_err(Error::corrupt)?
            .to_system_time(),
        revision: token(document.get_object_id("revision").map_err(Error::corrupt)?),
    })
}

pub(crate) fn decode_key(document: &RawDocument) -> Result<StoreKey> {
    std::str::from_utf8(bytes(document, "_id")?)
        .map(StoreKey::from_stored)
        .map_err(Error::corrupt)
}

pub(crate) fn bytes<'a>(document: &'a RawDocument, field: &str) -> Result<&'a [u8]> {
    let binary = document.get_binary(field).map_err(Error::corrupt)?;
    if binary.subtype == BinarySubtype::Generic {
        Ok(binary.bytes)
    } else {
        Err(Error::corrupt(format!(
            "{field} is not of binary subtype 0"
        )))
    }
}

pub(crate) fn token(revision: ObjectId) -> Revision {
    Revision::new(revision.bytes().to_vec())
}

/// The revision as it is stored, or `None` if another store made it.
pub(crate) fn stored_revision(token: &Revision) -> Option<ObjectId> {
    token.as_bytes().try_into().ok().map(ObjectId::from_bytes)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use mongodb::bson::{Bson, RawDocumentBuf, bson};
    use session_core::{KeyPrefix, SessionId};

    use super::*;

    fn record(payload: usize) -> (StoreKey, Record) {
        let prefix = KeyPrefix::new(&"p".repeat(KeyPrefix::MAX_LEN)).unwrap();
        let id = SessionId::random(SessionId::MAX_BYTES);
        let record = Record {
            payload: vec![7; payload],
            expires_at: UNIX_EPOCH + Duration::from_micros(1_234_567_891_999),
            owner: Some(prefix.owner_key("owner")),
        };
        (prefix.plain_key(&id), record)
    }

    #[test]
    fn a_document_is_read_as_it_was_written_to_the_millisecond() {
        let (key, record) = record(300);
        let revision = ObjectId::new();
        let document = raw(&encode(&key, &record, revision));
        let loaded = decode(&document).unwrap();
        assert!(decode_key(&document).unwrap() == key);
        assert!(loaded.payload == record.payload);
        assert_eq!(
            loaded.expires_at,
            UNIX_EPOCH + Duration::from_millis(1_234_567_891)
        );
        assert_eq!(stored_revision(&loaded.revision), Some(revision));
    }

    #[test]
    fn the_longest_keys_fit_the_overhead() {
        let (key, record) = record(0);
        assert!(
            raw(&encode(&key, &record, ObjectId::new()))
                .as_bytes()
                .len()
                <= OVERHEAD
        );
    }

    #[test]
    fn another_stores_revision_is_none_of_ours() {
        assert_eq!(stored_revision(&Revision::from(7)), None);
        assert_eq!(stored_revision(&Revision::of(b"bytes")), None);
    }

    #[test]
    fn a_field_of_a_wrong_type_or_missing_is_corrupt_and_never_a_panic() {
        let good = doc! {
            "_id": binary("key"), "payload": blob(b"x"), "revision": ObjectId::new(), "expires_at": DateTime::now(),
        };
        assert!(decode(&raw(&good)).is_ok() && decode_key(&raw(&good)).is_ok());
        for field in ["_id", "payload", "revision", "expires_at"] {
            for wrong in wrong_values() {
                let mut bad = good.clone();
                match wrong {
                    Some(value) => bad.insert(field, value),
                    None => bad.remove(field),
                };
                let bad = raw(&bad);
                let read = match field {
                    "_id" => decode_key(&bad).map(drop),
                    _ => decode(&bad).map(drop),
                };
                assert!(matches!(read, Err(Error::Corrupt { .. })), "{bad:?}");
            }
        }
    }

    #[test]
    fn an_absurd_expiry_is_no_panic() {
        let (key, record) = record(1);
        for expires_at in [DateTime::MIN, DateTime::MAX] {
            let mut absurd = encode(&key, &record, ObjectId::new());
            absurd.insert("expires_at", expires_at);
            assert!(decode(&raw(&absurd)).is_ok());
        }
    }

    fn wrong_values() -> [Option<Bson>; 8] {
        let uuid = Binary {
            subtype: BinarySubtype::Uuid,
            bytes: b"0123456789abcdef".to_vec(),
        };
        [
            None,
            Some(Bson::Null),
            Some(bson!("text")),
            Some(bson!(7)),
            Some(bson!(7.5)),
            Some(bson!(true)),
            Some(bson!({ "payload": 1 })),
            Some(Bson::Binary(uuid)),
        ]
    }

    fn raw(document: &Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).unwrap()
    }
}
