use std::time::SystemTime;

use mongodb::bson::doc;
use session_core::{Error, Loaded, OwnerIndex, OwnerKey, Result, StoreKey, async_trait};

use crate::{
    MongoStore,
    document::{binary, decode, decode_key, instant},
};

#[async_trait]
impl OwnerIndex for MongoStore {
    async fn owned_by(&self, owner: &OwnerKey) -> Result<Vec<(StoreKey, Loaded)>> {
        let live = doc! {
            "owner": binary(owner.as_str()),
            "expires_at": { "$gt": instant(SystemTime::now()) },
        };
        let collection = self.place.collection.clone();
        let found = self.place.calls.run(async move {
            let mut cursor = collection.find(live).await?;
            let mut found = Vec::new();
            while cursor.advance().await? {
                found.push(cursor.current().to_owned());
            }
            Ok(found)
        });
        let mut sessions = Vec::new();
        for document in &found.await? {
            match decode_key(document).and_then(|key| Ok((key, decode(document)?))) {
                Ok(session) => sessions.push(session),
                // One unreadable record must not keep the owner's others alive.
                Err(Error::Corrupt { source }) => {
                    tracing::warn!(%source, "a session record cannot be read and counts as absent");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sessions)
    }
}
