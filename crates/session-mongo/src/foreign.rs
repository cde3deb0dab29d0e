//! Why a collection is none for a store; an index that removes documents has no business there.

use mongodb::bson::RawDocument;

const FLASK_SESSION: &str = "the collection holds sessions in Flask-Session's layout; \
                             name another with SESSION_MONGODB_COLLECT";
const UNKNOWN: &str = "the collection holds documents that are no sessions; \
                       name another with SESSION_MONGODB_COLLECT";

pub(crate) const OWN_LAYOUT: &str = "the collection holds sessions that are not in Flask-Session's layout; \
     name another with SESSION_MONGODB_COLLECT";
pub(crate) const DUPLICATES: &str = "the collection holds two documents with one id, so no unique index can be made; \
     remove all but the one that expires last";

/// What a document is whose `_id` this library did not make.
pub(crate) fn kind(document: &RawDocument) -> &'static str {
    let has = |field: &&str| matches!(document.get(*field), Ok(Some(_)));
    if ["id", "val", "expiration"].iter().all(has) {
        FLASK_SESSION
    } else {
        UNKNOWN
    }
}
