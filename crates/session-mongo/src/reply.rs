use mongodb::bson::{Bson, Document};
use session_core::Result;

use crate::failure::{failed, refused};

pub(crate) const DUPLICATE_KEY: i32 = 11000;

/// Whether the write command that is answered so wrote a document; it did not if none answers the filter, or if one
/// with this key is there.
///
/// The driver looks for errors of the command alone.
pub(crate) fn wrote(reply: &Document) -> Result<bool> {
    // First: without the majority's word even a refusal may be taken back.
    if let Ok(error) = reply.get_document("writeConcernError") {
        return Err(refused(error));
    }
    if let Some(error) = reply
        .get_array("writeErrors")
        .ok()
        .and_then(|all| all.first())
    {
        return match error.as_document() {
            Some(error) if whole(error.get("code")) == Some(DUPLICATE_KEY.into()) => Ok(false),
            Some(error) => Err(refused(error)),
            None => Err(failed("the server reported a write error of no kind")),
        };
    }
    whole(reply.get("n"))
        .map(|documents| documents > 0)
        .ok_or_else(|| failed("the server does not say how many documents it wrote"))
}

/// Servers differ in the type of their numbers.
pub(crate) fn whole(number: Option<&Bson>) -> Option<i64> {
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
        assert!(!wrote(&doc! { "n": 0, "ok": 1.0 }).unwrap());
        assert!(wrote(&doc! { "n": 1_i64, "nModified": 0 }).unwrap());
        assert!(wrote(&doc! { "n": 1.0 }).unwrap());
    }

    #[test]
    fn a_duplicate_key_is_known_by_its_code_and_never_by_its_text() {
        let reply = |code: i32, text: &str| {
            wrote(&doc! { "n": 0, "writeErrors": [{ "index": 0, "code": code, "errmsg": text }] })
        };
        assert!(!reply(11000, "in another language").unwrap());
        assert!(reply(10334, "E11000 duplicate key error").is_err());
    }

    #[test]
    fn what_no_majority_confirmed_is_no_success() {
        let unconfirmed =
            doc! { "code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting" };
        let reply = doc! { "n": 1, "writeConcernError": unconfirmed };
        assert!(wrote(&reply).is_err());
    }

    #[test]
    fn a_reply_that_says_nothing_is_an_error() {
        for reply in [doc! {}, doc! { "n": "one" }, doc! { "writeErrors": [1] }] {
            assert!(wrote(&reply).is_err(), "{reply}");
        }
    }
}
