use std::sync::Arc;

use super::Session;
use crate::{
    content::Lineage,
    error::{Error, Result},
    header::MAX_OWNER,
    op::Op,
    owned::{Owned, OwnedSession},
};

impl Session {
    /// Makes the session `owner`'s, and gives it a new id when it is saved: an id from before a login is never worth
    /// one from after it (CWE-384).
    ///
    /// Data is kept, unless the session was another owner's: then it is emptied first. The absolute timeout starts
    /// again. A request that came with an id that was renewed meanwhile gets a session of its own; the one that it came
    /// with goes on under its new id.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if another request ended this session meanwhile, [`Error::OwnerTooLong`] if the name has more
    /// than 512 bytes, [`Error::NotLoaded`] if the session could not be loaded.
    pub fn log_in(&self, owner: &str) -> Result<()> {
        if owner.len() > MAX_OWNER {
            return Err(Error::OwnerTooLong { limit: MAX_OWNER });
        }
        self.change(Op::LogIn(owner.into()))
    }

    /// Whose session it is; `None` if nobody is logged in.
    pub fn owner(&self) -> Option<Arc<str>> {
        self.read(|content| content.owner.clone()).flatten()
    }

    /// The live sessions of this session's owner, the oldest first; none if nobody is logged in.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions.
    pub async fn owner_sessions(&self) -> Result<Vec<OwnedSession>> {
        let work = self.owned()?;
        match self.owner() {
            Some(owner) => work.list(&owner).await,
            None => Ok(Vec::new()),
        }
    }

    /// Ends the owner's session that `lineage` names; false if this session's owner has none such.
    ///
    /// A request that came with an id that was renewed meanwhile ends one of the owner that it had with that id, or else of
    /// the one that it was renewed for.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions. [`Error::Conflict`] if another request ended this session
    /// meanwhile.
    pub async fn end_owner_session(&self, lineage: &Lineage) -> Result<bool> {
        let work = self.owned()?;
        let (Some(owner), _) = self.owner_and_lineage(&work).await? else {
            return Ok(false);
        };
        let ended = work.end_one(&owner, lineage).await?;
        if self.lineage().as_ref() == Some(lineage) {
            self.machine()?.destroy_ended(self.rules());
        }
        Ok(ended)
    }

    /// Ends every session of this session's owner, with `keep_current` every other one; says how many it ended.
    ///
    /// It ends every session whose login was answered before the call, and every renewal of those. A login of the same
    /// owner that is still in flight survives it. A request that came with an id that was renewed meanwhile ends the
    /// sessions of the owner that it had with that id, or else of the one that it was renewed for.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions: some may have been ended then; call it again.
    /// [`Error::Conflict`] if another request ended this session meanwhile, so that it has no owner any more.
    pub async fn log_out_everywhere(&self, keep_current: bool) -> Result<u64> {
        let work = self.owned()?;
        let (owner, lineage) = self.owner_and_lineage(&work).await?;
        let Some(owner) = owner else {
            return Ok(0);
        };
        let ended = work
            .end_all(&owner, lineage.filter(|_| keep_current))
            .await?;
        if !keep_current {
            self.machine()?.destroy_ended(self.rules());
        }
        Ok(ended)
    }

    /// Whose session it is and which; also of one that was renewed before the request came.
    async fn owner_and_lineage(
        &self,
        work: &Owned,
    ) -> Result<(Option<Arc<str>>, Option<[u8; 16]>)> {
        let late = {
            let machine = self.machine()?;
            if machine.is_ended() {
                return Err(Error::Conflict);
            }
            if machine.is_expired() && machine.view(self.rules()).owner.is_none() {
                return Err(Error::Expired);
            }
            let key = machine.key().map(|(key, form)| (key.clone(), form));
            // One that logged in by now has an owner of its own.
            let owned = machine.view(self.rules()).owner.is_some();
            key.filter(|_| machine.is_late() && !owned)
        };
        match late {
            Some((key, form)) => work.owner_behind(key, form).await,
            None => Ok((self.owner(), self.lineage().map(Lineage::to_bytes))),
        }
    }

    fn owned(&self) -> Result<Owned> {
        Owned::within_request(&self.0)
    }
}
