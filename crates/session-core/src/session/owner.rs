//! Login, and the sessions of the same owner, as handlers use them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::Session;
use crate::{
    content::{Content, Lineage},
    error::{Error, Result},
    expiry::Millis,
    header::MAX_OWNER,
    key::{SidDigest, digest_of_sid},
    op::Op,
    owned::{Owned, OwnedSession},
};

impl Session {
    /// Logs `owner` in to the session. The session gets a new id when it is saved, so that an id
    /// from before the login does not give access to it (CWE-384).
    ///
    /// The data is kept, unless the session belonged to another owner: then it is emptied first.
    /// The absolute timeout starts again. If the request came with an id that was renewed
    /// meanwhile, the login creates a session of its own. The session that the request came with
    /// continues under its new id.
    ///
    /// If the session is bound to a device (feature `dbsc`), the binding stays if this request has the
    /// proof of the device. Otherwise, and if the session belonged to another owner, the login frees
    /// it for another device.
    ///
    /// With [`Settings::with_max_per_user`](crate::Settings::with_max_per_user) the save of the
    /// login ends the user's oldest session, or fails with [`Error::TooManySessions`] if the user
    /// has the most. Then the session stays as it was, and all changes of the save are dropped. So a
    /// handler that wants to show a page of its own calls [`save`](Self::save) after the login. The
    /// save fails with [`Error::Conflict`] if so many other logins of the user were faster that this
    /// session would be the oldest.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if another request ended this session meanwhile. [`Error::OwnerTooLong`]
    /// if the name has more than 512 bytes. [`Error::NotLoaded`] if the session could not be
    /// loaded.
    pub fn log_in(&self, owner: &str) -> Result<()> {
        self.log_in_from(owner, None)
    }

    fn log_in_from(&self, owner: &str, provider_session: Option<SidDigest>) -> Result<()> {
        if owner.len() > MAX_OWNER {
            return Err(Error::OwnerTooLong { limit: MAX_OWNER });
        }
        #[cfg(feature = "dbsc")]
        let proved = self.proved_device();
        self.change(Op::LogIn(owner.into(), provider_session.map(Arc::new)))?;
        #[cfg(feature = "dbsc")]
        if self.binds_devices() {
            let kept = crate::dbsc::DeviceChange::Keep(proved);
            self.change(Op::Device(Box::new(kept)))?;
        }
        Ok(())
    }

    /// As [`log_in`](Self::log_in), for a user that an identity provider has authenticated. `sid` is
    /// the claim of that name in the ID token, which names the provider's session (OpenID Connect
    /// Back-Channel Logout 1.0, 2.1). [`Sessions::end_provider_session`] ends the session by it. If
    /// there are several providers, put the issuer before it, because a `sid` is unique only within
    /// one.
    ///
    /// The session belongs to that `sid` until it ends, also after renewals and after further logins
    /// of the same user without one. A record holds the SHA-256 of the `sid`.
    ///
    /// [`Sessions::end_provider_session`]: crate::Sessions::end_provider_session
    ///
    /// # Errors
    ///
    /// Those of `log_in`, and [`Error::NoOwnerIndex`] if the store or the settings cannot list
    /// sessions, as beside Flask's.
    pub fn log_in_from_provider(&self, owner: &str, sid: &str) -> Result<()> {
        if self.0.shared().owners.is_none() {
            return Err(Error::NoOwnerIndex);
        }
        self.log_in_from(owner, Some(digest_of_sid(sid)))
    }

    /// Notes that the session's user has just proved again who they are, such as by the password.
    ///
    /// It is a login of the same user: the session gets a new id when it is saved, the data is
    /// kept, and the absolute timeout starts again.
    ///
    /// # Errors
    ///
    /// [`Error::LoginNeeded`] if nobody is logged in, or if the request came with an id that was
    /// renewed meanwhile. [`Error::Conflict`] if another request ended this session meanwhile; the
    /// save fails with it, too, if that is found only then.
    pub fn reauthenticate(&self) -> Result<()> {
        let owner = self.owner().ok_or(Error::LoginNeeded)?;
        self.log_in(&owner)
    }

    /// When the session's user last proved who they are, by [`log_in`](Self::log_in) or
    /// [`reauthenticate`](Self::reauthenticate). `None` if nobody is logged in. Records in Flask's
    /// form do not tell it, so there it is `None` from the next request on.
    pub fn authenticated_at(&self) -> Option<SystemTime> {
        let authenticated = |content: &Content| {
            let owned = content.owner.is_some();
            content.authenticated_at.filter(|_| owned)
        };
        self.read(authenticated).flatten().map(SystemTime::from)
    }

    /// Refuses a session whose user did not prove who they are within this time. For what is worth
    /// asking for the password again, such as a change of the password or a payment.
    ///
    /// The clock is that of this process; see `SECURITY.md` on clocks that differ. A login from the
    /// future, by a clock that is ahead, counts as one of now.
    ///
    /// # Errors
    ///
    /// [`Error::LoginNeeded`], whose response is a 401, if the login is older, or if nobody is
    /// logged in.
    pub fn require_login_within(&self, time: Duration) -> Result<()> {
        let authenticated = self.authenticated_at().map(Millis::from);
        match authenticated {
            Some(at) if self.now().since(at) <= time => Ok(()),
            _ => Err(Error::LoginNeeded),
        }
    }

    /// The owner of the session: the user that is logged in. `None` if nobody is.
    pub fn owner(&self) -> Option<Arc<str>> {
        self.read(|content| content.owner.clone()).flatten()
    }

    /// The live sessions of this session's owner, the oldest first. Empty if nobody is logged in.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot list an owner's sessions.
    pub async fn owner_sessions(&self) -> Result<Vec<OwnedSession>> {
        let listed = async {
            let work = self.owned()?;
            match self.owner() {
                Some(owner) => work.list(&owner).await,
                None => Ok(Vec::new()),
            }
        };
        self.0.result.met(listed.await)
    }

    /// Ends the session with this `lineage`, if it belongs to this session's owner. Returns whether
    /// there was one.
    ///
    /// If the request came with an id that was renewed meanwhile, the owner is that of the session
    /// before the renewal, or, if it had none, that of its successor.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot list an owner's sessions. [`Error::Conflict`] if another
    /// request ended this session meanwhile.
    pub async fn end_owner_session(&self, lineage: &Lineage) -> Result<bool> {
        let ended = async {
            let work = self.owned()?;
            let (Some(owner), _) = self.owner_and_lineage(&work).await? else {
                return Ok(false);
            };
            let ended = work.end_one(&owner, lineage).await?;
            if self.lineage().as_ref() == Some(lineage) {
                self.machine()?.log_out_ended(self.rules());
            }
            Ok(ended)
        };
        self.0.result.met(ended.await)
    }

    /// Ends every session of this session's owner; with `keep_current`, every session but this one.
    /// Returns how many it ended. If nobody is logged in, that is none; so it is if the request came
    /// with an id that was rotated long ago.
    ///
    /// It ends every session whose login was answered before the call, and every renewal of those
    /// sessions. A login of the same owner that is still in flight survives. If the request came
    /// with an id that was renewed meanwhile, the owner is that of the session before the renewal,
    /// or, if it had none, that of its successor.
    ///
    /// # Errors
    ///
    /// If the store fails, or cannot list an owner's sessions. Some sessions may have been ended
    /// then; call it again. [`Error::Conflict`] if another request ended this session meanwhile, so
    /// that it has no owner any more.
    pub async fn log_out_everywhere(&self, keep_current: bool) -> Result<u64> {
        let ended = async {
            let work = self.owned()?;
            let (owner, lineage) = self.owner_and_lineage(&work).await?;
            let Some(owner) = owner else {
                return Ok(0);
            };
            let keep = lineage.filter(|_| keep_current);
            let ended = work.end_all(&owner, keep).await?;
            if !keep_current {
                self.machine()?.log_out_ended(self.rules());
            }
            Ok(ended)
        };
        self.0.result.met(ended.await)
    }

    /// The owner and the lineage of the session, also if it was renewed before the request arrived.
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
            // A request that logged in meanwhile has an owner of its own.
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
