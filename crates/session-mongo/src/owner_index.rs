//! The implementation of `OwnerIndex`.

use std::time::SystemTime;

use mongodb::bson::doc;
use session_core::{Cursor, Error, Listed, OwnerIndex, OwnerKey, Page, Result, async_trait};

use crate::{
    MongoStore,
    layout::{bytes, decode_listed, encode_bytes, encode_time},
};

#[async_trait]
impl OwnerIndex for MongoStore {
    async fn owned_by(
        &self,
        owner: &OwnerKey,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page> {
        let mut filter = doc! {
            "owner": encode_bytes(owner.as_str().as_bytes()),
            "listed_until": { "$gt": encode_time(SystemTime::now()) },
        };
        if let Some(cursor) = cursor {
            filter.insert("_id", doc! { "$gt": encode_bytes(cursor.as_bytes()) });
        }
        let limit = u32::try_from(limit.max(1)).unwrap_or(u32::MAX);
        let found = self.collection.find_heads(filter, limit).await?;
        let mut records: Vec<Listed> = Vec::new();
        for document in &found {
            match decode_listed(document) {
                Ok(listed) => records.push(listed),
                // One unreadable record must not keep the owner's other sessions from ending.
                Err(Error::Corrupt { source }) => {
                    tracing::warn!(%source, "a session record cannot be read, so it is missing from its user's list");
                }
                Err(error) => return Err(error),
            }
        }
        let next = found
            .get(limit as usize - 1)
            .map(|last| bytes(last, "_id").map(|id| Cursor::new(id.to_vec())))
            .transpose()?;
        Ok(Page { records, next })
    }
}
