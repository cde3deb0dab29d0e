use std::{sync::Arc, time::SystemTime};

use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{
    Budget,
    end::EndTerms,
    work::{Found, Live, Work},
};
use crate::{
    codec::Form,
    content::Lineage,
    error::{Error, Result},
    shared::Shared,
};

/// One of an owner's live sessions, as a list of devices shows it.
#[derive(Clone, Debug)]
pub struct OwnedSession {
    live: Live,
    lineage: Lineage,
}

impl OwnedSession {
    /// What names the session, before and after it is renewed; it opens nothing.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// When it was created or last logged in to.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.live.content.created_at
    }

    /// When it ends unless it is used.
    pub fn expires_at(&self) -> SystemTime {
        self.live.expires_at
    }

    /// The value under `key`.
    ///
    /// # Errors
    ///
    /// If it is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.live.content.payload.get(key)
    }
}

/// Work on an owner's sessions, with a budget of its own.
#[derive(Debug)]
pub(crate) struct Alone {
    shared: Arc<Shared>,
    budget: Budget,
    since: Instant,
}

impl Shared {
    pub(crate) fn alone(self: &Arc<Self>) -> Alone {
        Alone {
            shared: self.clone(),
            budget: Budget::new(self.settings.store_timeout),
            since: Instant::now(),
        }
    }
}

impl Alone {
    /// The live sessions of `owner`, the oldest first.
    pub(crate) async fn owned(&self, owner: &str) -> Result<Vec<OwnedSession>> {
        let work = self.work();
        let mut sessions: Vec<_> = self
            .listed(owner)
            .await?
            .into_iter()
            .filter_map(
                |(key, loaded)| match work.read(&key, Form::Native, loaded) {
                    Found::Live(live) if live.content.owner.as_deref() == Some(owner) => {
                        Some(OwnedSession {
                            lineage: live.content.lineage.clone()?,
                            live,
                        })
                    }
                    _ => None,
                },
            )
            .collect();
        sessions.sort_by_key(OwnedSession::created_at);
        Ok(sessions)
    }

    /// Ends every session of `owner` but the one of the lineage `keep`; says how many it ended.
    pub(crate) async fn end_all(&self, owner: &str, keep: Option<&Lineage>) -> Result<u64> {
        let mut ended = 0;
        let terms = EndTerms {
            owner: Some(owner),
            keep,
        };
        for (key, loaded) in self.listed(owner).await? {
            // Each session is worth the whole budget: a user with a hundred of them is no reason to give up.
            self.budget.refill();
            let seen = self.work().read(&key, Form::Native, loaded);
            ended += u64::from(
                self.work()
                    .end(&key, Form::Native, Some(seen), terms)
                    .await?,
            );
        }
        Ok(ended)
    }

    /// Ends the session of `owner` that `lineage` names; false if there is none.
    pub(crate) async fn end_one(&self, owner: &str, lineage: &Lineage) -> Result<bool> {
        let session = self
            .owned(owner)
            .await?
            .into_iter()
            .find(|it| it.lineage == *lineage);
        let Some(OwnedSession { live, .. }) = session else {
            return Ok(false);
        };
        let terms = EndTerms {
            owner: Some(owner),
            keep: None,
        };
        self.work()
            .end(
                &live.key.clone(),
                Form::Native,
                Some(Found::Live(live)),
                terms,
            )
            .await
    }

    async fn listed(&self, owner: &str) -> Result<Vec<(crate::StoreKey, crate::Loaded)>> {
        let index = self.shared.owners.as_ref().ok_or(Error::NoOwnerIndex)?;
        let owner = self.shared.settings.prefix.owner_key(owner);
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = index.owned_by(&owner, cursor.as_ref(), 1000);
            let page = self.budget.spend(page).await??;
            for listed in page.records {
                let load = self.shared.store.load(&listed.key);
                if let Some(loaded) = self.budget.spend(load).await?? {
                    found.push((listed.key, loaded));
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    fn work(&self) -> Work<'_> {
        Work {
            shared: &self.shared,
            budget: &self.budget,
            since: self.since,
        }
    }
}
