use std::sync::Arc;

use super::Session;
use crate::{
    content::Lineage,
    error::{Error, Result},
    lifecycle::{Origin, OwnedSession},
    op::Op,
};

impl Session {
    /// Makes the session `owner`'s, and gives it a new id when it is saved: an id from before a login is never worth
    /// one from after it (CWE-384).
    ///
    /// Data is kept, unless the session was another owner's: then it is emptied first. The absolute timeout starts
    /// again.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if another request ended this session meanwhile.
    pub fn log_in(&self, owner: &str) -> Result<()> {
        if matches!(self.state().origin, Origin::Ended) {
            return Err(Error::Conflict);
        }
        self.mutate(Op::LogIn(owner.into()))
    }

    /// Whose session it is; `None` if nobody is logged in.
    pub fn owner(&self) -> Option<Arc<str>> {
        self.read(|content| content.owner.clone())
    }

    /// The live sessions of this session's owner, the oldest first; none if nobody is logged in.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions.
    pub async fn sessions_of_owner(&self) -> Result<Vec<OwnedSession>> {
        self.index()?;
        match self.owner() {
            Some(owner) => self.0.shared.alone().owned(&owner).await,
            None => Ok(Vec::new()),
        }
    }

    /// Ends the owner's session that `lineage` names; false if this session's owner has none such.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions.
    pub async fn end_of_owner(&self, lineage: &Lineage) -> Result<bool> {
        self.index()?;
        let Some(owner) = self.owner() else {
            return Ok(false);
        };
        let ended = self.0.shared.alone().end_one(&owner, lineage).await?;
        if self.lineage().as_ref() == Some(lineage) {
            self.destroy();
        }
        Ok(ended)
    }

    /// Ends every session of this session's owner, with `keep_current` every other one; says how many it ended.
    ///
    /// It ends every session whose login was answered before the call, and every renewal of those. A login of the same
    /// owner that is still in flight survives it.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot name an owner's sessions.
    pub async fn log_out_everywhere(&self, keep_current: bool) -> Result<u64> {
        self.index()?;
        let Some(owner) = self.owner() else {
            return Ok(0);
        };
        let lineage = self.lineage().filter(|_| keep_current);
        let ended = self
            .0
            .shared
            .alone()
            .end_all(&owner, lineage.as_ref())
            .await?;
        if !keep_current {
            self.destroy();
        }
        Ok(ended)
    }

    fn index(&self) -> Result<()> {
        self.0
            .shared
            .owners
            .as_ref()
            .map(|_| ())
            .ok_or(Error::NoOwnerIndex)
    }
}
