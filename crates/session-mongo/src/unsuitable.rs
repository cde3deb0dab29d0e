//! Error messages for collections that hold something else than this store's sessions.
//!
//! Such a collection must not get an index that removes documents.

use mongodb::bson::RawDocument;

const FLASK_SESSION: &str = "the collection holds sessions in Flask-Session's layout; \
                             name another collection with SESSION_MONGODB_COLLECT";
const UNKNOWN: &str = "the collection holds documents that are not sessions; \
                       name another collection with SESSION_MONGODB_COLLECT";

/// Why a collection is unsuitable that holds `document`, which this library did not write.
pub(crate) fn reason(document: &RawDocument) -> &'static str {
    let has = |field: &&str| matches!(document.get(*field), Ok(Some(_)));
    if ["id", "val", "expiration"].iter().all(has) {
        FLASK_SESSION
    } else {
        UNKNOWN
    }
}
