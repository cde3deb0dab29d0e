use super::{
    ATTEMPTS,
    work::{Cookie, Done, Found, Live, Origin, Saved, Work},
    write::Terms,
};
use crate::{
    error::{Error, Result},
    op::Op,
    record::Write,
};

impl Work<'_> {
    /// Moves the session of `base` to a fresh id, together with its changes.
    ///
    /// The new record is inserted first and the old one retired by compare-and-set, so that of many renewals at once
    /// exactly one id survives and no moment leaves the user without a session.
    pub(crate) async fn renew(&self, base: &Live, ops: &[Op]) -> Result<Done> {
        let terms = Terms {
            owner: base.content.owner.as_deref(),
            login: Op::login(ops).map(|owner| &**owner),
        };
        let mut old = base.clone();
        let mut lane = None;
        for attempt in 1..=ATTEMPTS {
            let form = self.next_form(&old);
            let mut content = self.replay(&old.content, ops)?;
            self.shared.note(form, &mut content);
            let new = self.insert_fresh(form, content).await?;
            if self.retire(&old, &new).await? {
                return Ok(Done {
                    origin: Origin::Live(new),
                    saved: Saved::Stored,
                    cookie: Cookie::Set,
                });
            }
            drop(lane.take());
            lane = Some(self.queue(&old.key, attempt).await?);
            match self.look(&old.key, old.form).await? {
                Found::Retired(successor) if successor == new.key => {
                    return Ok(Done {
                        origin: Origin::Live(new),
                        saved: Saved::Stored,
                        cookie: Cookie::Set,
                    });
                }
                Found::Live(fresh) => {
                    self.discard(&new.key).await;
                    old = Live {
                        id: old.id,
                        outdated: old.outdated,
                        ..fresh
                    };
                }
                found => {
                    self.discard(&new.key).await;
                    return self.lost_renewal(base, found, ops, terms).await;
                }
            }
        }
        Err(Error::Contended)
    }

    /// Replaces the old record by the marker that names the new one; says whether that is known to be done.
    async fn retire(&self, old: &Live, new: &Live) -> Result<bool> {
        let marker = self.marker(old, Some(&new.key))?;
        let mut retired = self.update(&old.key, &marker, &old.revision).await;
        if retired.is_err() {
            // The one write that may be sent again: the same bytes at the same revision, and the marker names its writer.
            retired = self.update(&old.key, &marker, &old.revision).await;
            if !Self::keeps_markers(old.form) && matches!(retired, Ok(Write::Refused)) {
                return Err(Error::Contended);
            }
        }
        let done = retired?.is_stored();
        if done && !Self::keeps_markers(old.form) {
            self.discard(&old.key).await;
        }
        Ok(done)
    }

    /// Another request renewed or ended the session first: our changes follow the rule of every other change.
    async fn lost_renewal(
        &self,
        base: &Live,
        found: Found,
        ops: &[Op],
        terms: Terms<'_>,
    ) -> Result<Done> {
        if ops.is_empty() {
            // The other renewal's answer carries the id; this one has nothing to keep.
            return Ok(Done::unchanged(Origin::Ended));
        }
        let found = match found {
            Found::Retired(key) => {
                self.follow(&Live {
                    key,
                    id: None,
                    ..base.clone()
                })
                .await?
            }
            found => found,
        };
        match found {
            Found::Live(successor) if terms.allow(&successor) => {
                let successor = Live {
                    id: None,
                    ..successor
                };
                self.write(&successor, ops, terms).await
            }
            Found::Live(_) => terms.refused(),
            found => self.lost(base, &found, terms),
        }
    }
}
