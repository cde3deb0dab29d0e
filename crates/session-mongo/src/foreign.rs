use std::{error, fmt};

use mongodb::bson::RawDocument;

/// Why a collection is none for this store; an index that removes documents has no business there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// Flask-Session's layout, and the store is for this library's own.
    FlaskSession,
    /// This library's own layout, and the store is for Flask-Session's.
    OwnLayout,
    /// Two documents of Flask-Session have one `id`.
    Duplicates,
    /// Something that is no session.
    Unknown,
}

impl Foreign {
    /// What a document is whose `_id` this library did not make.
    pub(crate) fn of(document: &RawDocument) -> Self {
        let has = |field: &&str| matches!(document.get(*field), Ok(Some(_)));
        if ["id", "val", "expiration"].iter().all(has) {
            Self::FlaskSession
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FlaskSession => {
                "the collection holds sessions in Flask-Session's layout; \
                 name another with SESSION_MONGODB_COLLECT"
            }
            Self::OwnLayout => {
                "the collection holds sessions that are not in Flask-Session's layout; \
                 name another with SESSION_MONGODB_COLLECT"
            }
            Self::Duplicates => {
                "the collection holds two documents with one id, so no unique index can be made; \
                 remove all but the one that expires last"
            }
            Self::Unknown => {
                "the collection holds documents that are no sessions; \
                 name another with SESSION_MONGODB_COLLECT"
            }
        })
    }
}

impl error::Error for Foreign {}
