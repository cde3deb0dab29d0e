//! What is wrong with a server.

use std::time::SystemTime;

use mongodb::bson::doc;
use session_core::{Finding, Result};

use crate::{MongoStore, collection::Target};

impl MongoStore {
    pub(crate) async fn findings(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let asked = SystemTime::now();
        let hello = move |target: Target| async move {
            target.database.run_command(doc! { "hello": 1 }).await
        };
        let hello = self.collection.run(hello).await?;
        if let Ok(time) = hello.get_datetime("localTime") {
            findings.extend(Finding::of_clock(
                time.to_system_time(),
                asked,
                SystemTime::now(),
            ));
        }
        if !hello.contains_key("setName") && hello.get_str("msg").ok() != Some("isdbgrid") {
            findings.push(Finding::new(
                "The server is no member of a replica set: a log-out that it confirmed can be lost with it.",
                "Run a replica set of three members.",
            ));
        }
        let names = |target: Target| async move {
            let mut names = Vec::new();
            let mut indexes = target.documents.list_indexes().await?;
            while indexes.advance().await? {
                let index = indexes.deserialize_current()?;
                let expires = index
                    .options
                    .as_ref()
                    .is_some_and(|it| it.expire_after.is_some());
                names.extend(index.keys.keys().next().map(|key| (key.clone(), expires)));
            }
            Ok(names)
        };
        // A collection that does not exist has no indexes, which some servers answer by an error.
        let indexes = self.collection.run(names).await.unwrap_or_default();
        let has = |name: &str, expires: bool| {
            let mut indexes = indexes.iter();
            indexes.any(|(first, it)| first == name && *it == expires)
        };
        if !has("expires_at", true) {
            findings.push(Finding::new(
                "The collection has no index that removes expired documents: it grows for ever.",
                "Run `sessionctl migrate`, or ensure_indexes() once.",
            ));
        }
        if !has("owner", false) {
            findings.push(Finding::new(
                "The collection has no index on owner: a log-out everywhere reads all documents.",
                "Run `sessionctl migrate`, or ensure_indexes() once.",
            ));
        }
        Ok(findings)
    }
}
