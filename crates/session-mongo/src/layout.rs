//! The store's own layout: one document for each record.

use std::time::{Duration, SystemTime};

use mongodb::bson::{
    Binary, DateTime, Document, RawDocument, doc, oid::ObjectId, spec::BinarySubtype,
};
use session_core::{Error, Listed, Loaded, OwnerKey, Record, Result, Revision, StoreKey};

/// The most bytes that a document takes besides its record: three keys of 250 bytes each, field
/// names and lengths.
pub(crate) const OVERHEAD: usize = 1024;

/// Binary and not text, because a collation of the collection can make different texts equal.
pub(crate) fn encode_bytes(bytes: &[u8]) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    }
}

pub(crate) fn id(key: &StoreKey) -> Document {
    doc! { "_id": encode_bytes(key.as_str().as_bytes()) }
}

/// Encodes `at` in milliseconds. Rounds up, so that the server removes nothing too early.
pub(crate) fn encode_time(at: SystemTime) -> DateTime {
    let up = at.checked_add(Duration::from_nanos(999_999));
    DateTime::from_system_time(up.unwrap_or(at))
}

/// The fields that a write of `record` sets. If the record has no entry, the fields of the owner's
/// index stay unchanged.
pub(crate) fn fields(record: &Record, revision: ObjectId) -> Document {
    let (head, rest) = record.bytes.split_at(record.bytes.len().min(Record::HEAD));
    let mut fields = doc! {
        "head": encode_bytes(head),
        "rest": encode_bytes(rest),
        "revision": revision,
        "expires_at": encode_time(record.expires_at),
    };
    if let Some(entry) = &record.entry {
        let name = |key: &OwnerKey| encode_bytes(key.as_str().as_bytes());
        let owner = name(&entry.owner);
        match &entry.provider_session {
            None => fields.insert("owner", owner),
            // The index has an entry for each element of an array.
            Some(sid) => fields.insert("owner", vec![owner, name(sid)]),
        };
        fields.insert("listed_until", encode_time(entry.expires_at));
    }
    fields
}

pub(crate) fn decode(document: &RawDocument) -> Result<Loaded> {
    let revision = document.get_object_id("revision").map_err(Error::corrupt)?;
    Ok(Loaded {
        bytes: [bytes(document, "head")?, bytes(document, "rest")?]
            .concat()
            .into(),
        revision: encode_revision(revision),
        expires_at: None,
    })
}

pub(crate) fn decode_listed(document: &RawDocument) -> Result<Listed> {
    let key = std::str::from_utf8(bytes(document, "_id")?).map_err(Error::corrupt)?;
    Ok(Listed {
        key: StoreKey::from_stored(key),
        head: bytes(document, "head")?.to_vec().into(),
    })
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

pub(crate) fn encode_revision(revision: ObjectId) -> Revision {
    Revision::new(revision.bytes().to_vec())
}

/// Decodes a revision to the document's field. `None` if another store created it.
pub(crate) fn decode_revision(revision: &Revision) -> Option<ObjectId> {
    let bytes = revision.as_bytes();
    bytes.try_into().ok().map(ObjectId::from_bytes)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use mongodb::bson::{Bson, RawDocumentBuf, bson};
    use session_core::{IndexEntry, KeyPrefix, SessionId};

    use super::*;

    fn record(length: usize) -> (StoreKey, Record) {
        let prefix = KeyPrefix::new(&"p".repeat(KeyPrefix::MAX_LEN)).unwrap();
        let id = SessionId::random(SessionId::MAX_BYTES);
        let record = Record {
            bytes: vec![7; length].into(),
            expires_at: UNIX_EPOCH + Duration::from_micros(1_234_567_891_001),
            entry: Some(IndexEntry {
                owner: prefix.owner_key("owner"),
                provider_session: Some(prefix.provider_session_key("sid")),
                expires_at: UNIX_EPOCH,
            }),
        };
        (
            StoreKey::from_stored([prefix.as_str(), id.as_str()].concat()),
            record,
        )
    }

    fn document(key: &StoreKey, record: &Record, revision: ObjectId) -> RawDocumentBuf {
        let mut document = id(key);
        document.extend(fields(record, revision));
        raw(&document)
    }

    #[test]
    fn a_document_is_decoded_as_it_was_encoded() {
        for length in [0, 1, Record::HEAD, Record::HEAD + 1, 5 * Record::HEAD] {
            let (key, record) = record(length);
            let revision = ObjectId::new();
            let document = document(&key, &record, revision);
            let loaded = decode(&document).unwrap();
            assert!(loaded.bytes == record.bytes);
            assert_eq!(decode_revision(&loaded.revision), Some(revision));
            let listed = decode_listed(&document).unwrap();
            assert!(listed.key == key);
            assert!(listed.head == record.bytes[..length.min(Record::HEAD)]);
        }
    }

    #[test]
    fn a_time_is_rounded_up_to_its_millisecond() {
        let (_, record) = record(0);
        let millis = |at: SystemTime| encode_time(at).timestamp_millis();
        assert_eq!(millis(record.expires_at), 1_234_567_892);
        assert_eq!(millis(UNIX_EPOCH), 0);
        assert_eq!(millis(DateTime::MAX.to_system_time()), i64::MAX);
    }

    #[test]
    fn the_longest_keys_fit_the_overhead() {
        let (key, record) = record(0);
        assert!(document(&key, &record, ObjectId::new()).as_bytes().len() <= OVERHEAD);
    }

    #[test]
    fn a_revision_of_another_store_is_not_decoded() {
        assert_eq!(decode_revision(&Revision::from(7)), None);
        assert_eq!(decode_revision(&Revision::new(&b"bytes"[..])), None);
    }

    #[test]
    fn a_missing_field_or_one_of_a_wrong_type_is_corrupt_and_no_panic() {
        let good = doc! {
            "_id": encode_bytes(b"key"),
            "head": encode_bytes(b"x"),
            "rest": encode_bytes(b""),
            "revision": ObjectId::new(),
        };
        assert!(decode(&raw(&good)).is_ok() && decode_listed(&raw(&good)).is_ok());
        for field in ["_id", "head", "rest", "revision"] {
            for wrong in wrong_values() {
                let mut bad = good.clone();
                match wrong {
                    Some(value) => bad.insert(field, value),
                    None => bad.remove(field),
                };
                let bad = raw(&bad);
                let read = match field {
                    "_id" => decode_listed(&bad).map(drop),
                    _ => decode(&bad).map(drop),
                };
                assert!(matches!(read, Err(Error::Corrupt { .. })), "{bad:?}");
            }
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
