use mongodb::bson::Document;
use session_core::{Result, Revision, Touch, Write};

use crate::{
    failure::{ServerRefusal, failed},
    number::whole,
};

pub(crate) const DUPLICATE_KEY: i32 = 11000;

/// What a write command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A document was changed, added or removed.
    Done,
    /// No document answers the filter.
    NoMatch,
    /// A document with this `_id` is there.
    Taken,
}

impl Outcome {
    /// As the answer to a write after which the record is at `revision`.
    pub(crate) fn written(self, revision: Revision) -> Write {
        match self {
            Self::Done => Write::Stored(revision),
            Self::NoMatch | Self::Taken => Write::Refused,
        }
    }

    pub(crate) fn moved(self) -> Touch {
        match self {
            Self::Done => Touch::Moved,
            Self::NoMatch | Self::Taken => Touch::Refused,
        }
    }
}

/// Reads the reply to a write command, in which the driver looks for errors of the command alone.
pub(crate) fn outcome(reply: &Document) -> Result<Outcome> {
    // First: without the majority's word even a refusal may be taken back.
    if let Ok(error) = reply.get_document("writeConcernError") {
        return Err(failed(ServerRefusal::new(error)));
    }
    if let Some(error) = reply
        .get_array("writeErrors")
        .ok()
        .and_then(|all| all.first())
    {
        return match error.as_document() {
            Some(error) if whole(error.get("code")) == Some(DUPLICATE_KEY.into()) => {
                Ok(Outcome::Taken)
            }
            Some(error) => Err(failed(ServerRefusal::new(error))),
            None => Err(failed("the server reported a write error of no kind")),
        };
    }
    match whole(reply.get("n")) {
        Some(0) => Ok(Outcome::NoMatch),
        Some(_) => Ok(Outcome::Done),
        None => Err(failed(
            "the server does not say how many documents it wrote",
        )),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn the_count_of_documents_decides() {
        assert_eq!(
            outcome(&doc! { "n": 0, "ok": 1.0 }).unwrap(),
            Outcome::NoMatch
        );
        assert_eq!(
            outcome(&doc! { "n": 1_i64, "nModified": 0 }).unwrap(),
            Outcome::Done
        );
        assert_eq!(outcome(&doc! { "n": 1.0 }).unwrap(), Outcome::Done);
    }

    #[test]
    fn a_duplicate_key_is_known_by_its_code_and_never_by_its_text() {
        let reply = |code: i32, text: &str| {
            outcome(&doc! { "n": 0, "writeErrors": [{ "index": 0, "code": code, "errmsg": text }] })
        };
        assert_eq!(reply(11000, "in another language").unwrap(), Outcome::Taken);
        assert!(reply(10334, "E11000 duplicate key error").is_err());
    }

    #[test]
    fn what_no_majority_confirmed_is_no_success() {
        let unconfirmed =
            doc! { "code": 64, "codeName": "WriteConcernTimeout", "errmsg": "waiting" };
        let reply = doc! { "n": 1, "writeConcernError": unconfirmed };
        assert!(outcome(&reply).is_err());
    }

    #[test]
    fn a_reply_that_says_nothing_is_an_error() {
        for reply in [doc! {}, doc! { "n": "one" }, doc! { "writeErrors": [1] }] {
            assert!(outcome(&reply).is_err(), "{reply}");
        }
    }
}
