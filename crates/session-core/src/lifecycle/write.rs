use super::{
    ATTEMPTS,
    end::EndTerms,
    work::{Cookie, Done, Found, Live, Origin, Saved, Work},
};
use crate::{
    codec::Form,
    content::{Content, PERMANENT},
    error::{Error, Result},
    id::SessionId,
    op::Op,
    record::Write,
};

impl Work<'_> {
    /// The first record of a session: under a fresh id, never over another's record.
    pub(crate) async fn insert(&self, form: Form, ops: &[Op]) -> Result<Done> {
        let mut content = self.replay(&self.shared.blank, ops)?;
        if content.is_empty() {
            // Flask has a browser forget the cookie, if it has one, of a session that was emptied.
            let emptied = form == Form::Flask && !ops.is_empty();
            return Ok(Done {
                cookie: if emptied {
                    Cookie::Remove
                } else {
                    Cookie::Leave
                },
                ..Done::unchanged(Origin::New)
            });
        }
        self.shared.note(form, &mut content);
        let live = self.insert_fresh(form, content).await?;
        Ok(Done {
            origin: Origin::Live(live),
            saved: Saved::Stored,
            cookie: Cookie::Set,
        })
    }

    /// Inserts `content` under a fresh id; a taken id only costs another try.
    pub(crate) async fn insert_fresh(&self, form: Form, content: Content) -> Result<Live> {
        for _ in 0..ATTEMPTS {
            let id = SessionId::random(self.shared.settings.id_bytes);
            let key = self.shared.key_of(form, &id);
            let record = self.record(&key, form, &content)?;
            let write = self
                .budget
                .spend(self.shared.store.insert(&key, &record))
                .await??;
            if let Write::Stored(revision) = write {
                return Ok(Live {
                    key,
                    form,
                    id: Some(id),
                    content,
                    revision,
                    expires_at: record.expires_at,
                    outdated: false,
                });
            }
        }
        Err(Error::Contended)
    }

    /// Makes the changes in the record of `live`, and again on fresher data as often as others were faster.
    pub(crate) async fn write(&self, live: &Live, ops: &[Op], terms: Terms<'_>) -> Result<Done> {
        // Where others wait already, what was loaded will be stale.
        if !self.shared.lanes.is_busy(&live.key)
            && let Some(done) = self.write_once(live, ops).await?
        {
            return Ok(done);
        }
        // What is rare is not to make the future of every change larger.
        Box::pin(self.write_in_turn(live.clone(), ops, terms)).await
    }

    async fn write_in_turn(&self, mut live: Live, ops: &[Op], terms: Terms<'_>) -> Result<Done> {
        let mut lane = None;
        for attempt in 1..=ATTEMPTS {
            drop(lane.take());
            lane = Some(self.queue(&live.key, attempt).await?);
            match self.follow(&live).await? {
                Found::Live(fresh) => {
                    if fresh.key != live.key && !terms.allow(&fresh) {
                        return terms.refused();
                    }
                    live = fresh;
                }
                found => return self.lost(&live, &found, terms),
            }
            if let Some(done) = self.write_once(&live, ops).await? {
                return Ok(done);
            }
        }
        Err(Error::Contended)
    }

    /// Makes the changes in the record of `live`, unless another request was faster.
    async fn write_once(&self, live: &Live, ops: &[Op]) -> Result<Option<Done>> {
        let content = self.replay(&live.content, ops)?;
        if live.form == Form::Flask && content.is_empty() {
            return Box::pin(self.end_emptied(live)).await.map(Some);
        }
        let record = self.record(&live.key, live.form, &content)?;
        let Write::Stored(revision) = self.update(&live.key, &record, &live.revision).await? else {
            return Ok(None);
        };
        let due = live.id.is_some() && self.cookie_due(live, ops);
        let origin = Live {
            content,
            revision,
            expires_at: record.expires_at,
            outdated: live.outdated && !due,
            ..live.clone()
        };
        Ok(Some(Done {
            origin: Origin::Live(origin),
            saved: Saved::Stored,
            cookie: if due { Cookie::Set } else { Cookie::Leave },
        }))
    }

    /// What is under the key of `live` now, or of its last successor.
    pub(crate) async fn follow(&self, live: &Live) -> Result<Found> {
        let mut key = live.key.clone();
        loop {
            match self.look(&key, live.form).await? {
                Found::Retired(successor) => key = successor,
                Found::Live(fresh) if key == live.key => {
                    return Ok(Found::Live(Live {
                        id: live.id.clone(),
                        outdated: live.outdated,
                        ..fresh
                    }));
                }
                found => return Ok(found),
            }
        }
    }

    /// The session ended before the changes could be made: they are dropped, unless that must be said.
    pub(crate) fn lost(&self, live: &Live, found: &Found, terms: Terms<'_>) -> Result<Done> {
        // Without markers nobody knows whether the session was ended or renewed.
        if terms.login.is_some() || !Self::keeps_markers(live.form) {
            return Err(Error::Conflict);
        }
        if matches!(found, Found::Absent) {
            self.gone()?;
        }
        Ok(Done::dropped())
    }

    fn cookie_due(&self, before: &Live, ops: &[Op]) -> bool {
        before.form == Form::Flask
            || self.refresh_due(before)
            || ops.iter().any(|op| match op {
                Op::Lifetime(_) | Op::Permanent(_) => true,
                Op::Insert(key, _) | Op::Remove(key) => &**key == PERMANENT,
                _ => false,
            })
    }

    /// In Flask a session without data has no record.
    async fn end_emptied(&self, live: &Live) -> Result<Done> {
        self.end(&live.key, live.form, None, EndTerms::default())
            .await?;
        Ok(Done {
            origin: Origin::New,
            saved: Saved::Stored,
            cookie: Cookie::Remove,
        })
    }
}

/// On which terms a change may go on to the session's successor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'o> {
    /// Whose session it was when the request loaded it.
    pub(crate) owner: Option<&'o str>,
    /// Whose login the change is part of.
    pub(crate) login: Option<&'o str>,
}

impl Terms<'_> {
    pub(crate) fn allow(self, successor: &Live) -> bool {
        let owner = successor.content.owner.as_deref();
        match self.login {
            Some(login) => owner == Some(login),
            None => self.owner.is_none() || owner == self.owner,
        }
    }

    /// Another user's session now; it was emptied first, so nothing of the change is missing.
    pub(crate) fn refused(self) -> Result<Done> {
        if self.login.is_some() {
            Err(Error::Conflict)
        } else {
            Ok(Done::dropped())
        }
    }
}
