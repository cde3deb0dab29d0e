//! What is wrong with a server.

use std::time::{Duration, SystemTime};

use mongodb::bson::doc;
use session_core::{Finding, Result};

use crate::{MongoStore, collection::Target};

/// The oldest version that the store works with.
const OLDEST: (i32, i32) = (4, 4);

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
        let build = move |target: Target| async move {
            target.database.run_command(doc! { "buildInfo": 1 }).await
        };
        // Not everybody may ask.
        let build = self.collection.run(build).await.unwrap_or_default();
        let version = build.get_array("versionArray").ok();
        let part = |number: usize| version?.get(number)?.as_i32();
        if let (Some(major), Some(minor)) = (part(0), part(1))
            && (major, minor) < OLDEST
        {
            findings.push(Finding::new(
                format!("The server is MongoDB {major}.{minor}; the store needs 4.4."),
                "Update it.",
            ));
        }
        let names = |target: Target| async move {
            let mut names = Vec::new();
            let mut indexes = target.documents.list_indexes().await?;
            while indexes.advance().await? {
                let index = indexes.deserialize_current()?;
                let expires = index.options.as_ref().and_then(|it| it.expire_after);
                names.extend(index.keys.keys().next().map(|key| (key.clone(), expires)));
            }
            Ok(names)
        };
        // A collection that does not exist has no indexes, which some servers answer by an error.
        let indexes = self.collection.run(names).await.unwrap_or_default();
        let has = |name: &str, expires: Option<Duration>| {
            let mut indexes = indexes.iter();
            indexes.any(|(first, it)| first == name && *it == expires)
        };
        let late = indexes.iter().find_map(|(first, it)| {
            let late = it.filter(|it| *it > Duration::ZERO)?;
            (first == "expires_at").then_some(late)
        });
        if let Some(late) = late {
            findings.push(Finding::new(
                format!(
                    "The index on expires_at removes documents {} s after their time.",
                    late.as_secs()
                ),
                "Drop it, and run `sessionctl migrate`.",
            ));
        } else if !has("expires_at", Some(Duration::ZERO)) {
            findings.push(Finding::new(
                "The collection has no index that removes expired documents: it grows for ever.",
                "Run `sessionctl migrate`, or ensure_indexes() once.",
            ));
        }
        if !has("owner", None) {
            findings.push(Finding::new(
                "The collection has no index on owner: a log-out everywhere reads all documents.",
                "Run `sessionctl migrate`, or ensure_indexes() once.",
            ));
        }
        Ok(findings)
    }
}
