//! Reads the server's reply to a write.

use mongodb::bson::{Bson, Document};
use session_core::Result;

use crate::error::{backend_error, write_error};

pub(crate) const DUPLICATE_KEY: i32 = 11000;

/// Whether the write wrote a document. It did not if no document matches the filter, or if there
/// is one with the same key.
///
/// The driver itself detects only errors of the command as a whole.
pub(crate) fn wrote_document(reply: &Document) -> Result<bool> {
    // Checked first: if the majority did not confirm it, even a refusal can be rolled back.
    if let Ok(error) = reply.get_document("writeConcernError") {
        return Err(write_error(error));
    }
    let errors = reply.get_array("writeErrors").ok();
    if let Some(error) = errors.and_then(|all| all.first()) {
        return match error.as_document() {
            Some(error) if integer(error.get("code")) == Some(DUPLICATE_KEY.into()) => Ok(false),
            Some(error) => Err(write_error(error)),
            None => Err(backend_error(
                "the server reported a write error without details",
            )),
        };
    }
    integer(reply.get("n"))
        .map(|documents| documents > 0)
        .ok_or_else(|| backend_error("the server's reply lacks the number of written documents"))
}

/// Reads an integer. Servers differ in the types of their numbers.
pub(crate) fn integer(number: Option<&Bson>) -> Option<i64> {
    match number? {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "counts and codes are small"
        )]
        Bson::Double(number) if number.fract() == 0.0 => Some(*number as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn the_count_of_documents_decides() {
        assert!(!wrote_document(&doc! { "n": 0, "ok": 1.0 }).unwrap());
        assert!(wrote_document(&doc! { "n": 1_i64, "nModified": 0 }).unwrap());
        assert!(wrote_document(&doc! { "n": 1.0 }).unwrap());
    }

    #[test]
    fn a_duplicate_key_is_recognised_by_its_code_and_not_by_its_text() {
        let reply = |code: i32, text: &str| {
            wrote_document(
                &doc! { "n": 0, "writeErrors": [{ "index": 0, "code": code, "errmsg": text }] },
            )
        };
        assert!(!reply(11000, "in another language").unwrap());
        assert!(reply(10334, "E11000 duplicate key error").is_err());
    }

    #[test]
    fn a_write_without_a_majority_is_an_error() {
        let unconfirmed =
            doc! { "code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting" };
        let reply = doc! { "n": 1, "writeConcernError": unconfirmed };
        assert!(wrote_document(&reply).is_err());
    }

    #[test]
    fn a_reply_without_a_count_is_an_error() {
        for reply in [doc! {}, doc! { "n": "one" }, doc! { "writeErrors": [1] }] {
            assert!(wrote_document(&reply).is_err(), "{reply}");
        }
    }
}
