//! The implementation of `Scan`.

use mongodb::bson::doc;
use session_core::{Cursor, KeyPrefix, Listed, Page, Result, Scan, async_trait};

use crate::{
    MongoStore,
    layout::{bytes, decode_listed, encode_bytes},
};

/// How many documents a page reads: at least and at most. In `MongoDB` all of them are records of the
/// prefix. `SecantusDB` (0.7) sorts binary keys as `MongoDB` does, but compares them without regard to
/// their length, and so returns others, too.
const DOCUMENTS: std::ops::RangeInclusive<usize> = 100..=1000;

#[async_trait]
impl Scan for MongoStore {
    /// `MongoDB` orders binary keys by their length first. So each page reads keys of one length,
    /// between the first and the last that the prefix makes.
    async fn records(
        &self,
        prefix: &KeyPrefix,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let [sessions, logins] = prefix.record_starts();
        let first = |start: &str| format!("{start}{}", "/".repeat(64)).into_bytes();
        let after = cursor.map_or_else(|| first(&sessions), |it| it.as_bytes().to_vec());
        let of_logins = after.len() == logins.len() + 64;
        let start = if of_logins { &logins } else { &sessions };
        let end = format!("{start}{}", "g".repeat(64));
        let between = doc! { "$gt": encode_bytes(&after), "$lt": encode_bytes(end.as_bytes()) };
        let limit = limit.clamp(1, *DOCUMENTS.end());
        let read = u32::try_from(limit.max(*DOCUMENTS.start())).unwrap_or(u32::MAX);
        let found = self
            .collection
            .find_heads(doc! { "_id": between }, read)
            .await?;
        let full = found.len() == read as usize;
        let mut records: Vec<Listed> = found
            .iter()
            .filter_map(|it| decode_listed(it).ok())
            .collect();
        records.retain(|it| {
            prefix.is_of_record(it.key.as_str()) && it.key.as_str().len() == end.len()
        });
        let more = full || records.len() > limit;
        records.truncate(limit);
        let last = records.last().map(|it| it.key.as_str().as_bytes().to_vec());
        let next = match last {
            Some(last) if more => Some(last),
            None if more => found
                .last()
                .map(|it| bytes(it, "_id"))
                .transpose()?
                .map(<[u8]>::to_vec),
            _ if of_logins => None,
            _ => Some(first(&logins)),
        };
        Ok(Page {
            records,
            next: next.map(Cursor::new),
        })
    }
}
