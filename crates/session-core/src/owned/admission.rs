//! The limit of a user's sessions: whether a login whose record is stored may stay.
//!
//! A login's record is inserted, with its entry in the owner's index, before the owner's sessions
//! are listed. Only then the login is admitted and answered. There is no lock, and no clock that
//! processes share. It is exact for these reasons.
//!
//! **The oldest ends.** All processes put an owner's sessions in the same order: by the time of the
//! login as its record has it, and then by lineage. A login ends every session that is not one of
//! the first n of its list. Of several logins at once, one begins its list last. All others were
//! inserted before that, so it sees them all and leaves the n newest. No other login ends one of
//! these: it sees a part of the same sessions, and what is one of the n newest of all is one of the
//! n newest of any part. A login that is not among them itself was overtaken, and is undone.
//!
//! **The login is refused.** Here two logins that see each other must not both give up, and one that
//! was admitted must stay. Inserts and lists alone cannot decide that; a compare-and-set can. So
//! each owner has one more record, which names the logins that were admitted. What a login inserts
//! is *provisional*: it counts only if that record names it. A login loads the record of logins,
//! lists the sessions, counts those that are not provisional or are named, and adds itself by
//! compare-and-set if they are less than n. If another login was faster, it starts again. Whoever is
//! named before has inserted its session before, so the list shows it. So no more than n are
//! admitted. A login is refused only if n others count, each of which was admitted and is live.
//!
//! **What has expired** does not count, and is ended by a tombstone, because a request that loaded it
//! in time may otherwise go on with it.
//!
//! The next write of a provisional record makes it an ordinary one, which counts by itself. Nobody
//! writes it before its login was admitted, because its id was sent to nobody and no tombstone names
//! it. So the record of logins is needed only as long as the sessions that it names would live if
//! they were never used, and it expires after that. A login that was cut off leaves a provisional
//! record that nothing names: it takes nobody's place.

use std::collections::{HashMap, HashSet};

use super::{Owned, OwnedRecord};
use crate::{
    codec,
    config::OnMaxPerUser,
    error::{Error, Result},
    expiry::Millis,
    header::binding,
    machine::{Login, table::rule_holds},
    record::{Record, Write},
};

impl Owned {
    /// Admits `login`, whose record is stored, or says why it must be undone.
    ///
    /// # Errors
    ///
    /// [`Error::TooManySessions`] if it is refused. [`Error::Conflict`] if so many later logins were
    /// faster that it would be one of those to end. If the store fails.
    pub(crate) async fn admit(&self, login: &Login) -> Result<()> {
        let settings = &self.shared.rules.settings;
        let Some(most) = settings.max_per_user else {
            return Ok(());
        };
        match settings.on_max_per_user {
            OnMaxPerUser::EndOldest => self.end_oldest(login, most).await,
            OnMaxPerUser::RefuseLogin => self.name_login(login, most).await,
        }
    }

    /// The records of the owner's sessions, without those that have expired. A request that loaded
    /// such a session in time could still store its changes, and so go on with it. So they are
    /// ended. The login's own session has not expired, whatever the clock says.
    async fn unexpired(&self, login: &Login) -> Result<Vec<OwnedRecord>> {
        let records = self.records(&login.owner).await?;
        let has_expired = |it: &OwnedRecord| it.has_expired && it.lineage != login.lineage;
        let (expired, live): (Vec<_>, Vec<_>) = records.into_iter().partition(has_expired);
        let alive: HashSet<_> = live.iter().map(|it| it.lineage).collect();
        let expired = expired.into_iter().map(|it| it.lineage);
        let expired: HashSet<_> = expired.filter(|it| !alive.contains(it)).collect();
        if !expired.is_empty() {
            match self.end_of_owner(&login.owner, Some(&expired), None).await {
                // What is absent by now, no request can go on with.
                Ok(_) | Err(Error::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(live)
    }

    /// Ends all but the `most` newest sessions of the owner.
    async fn end_oldest(&self, login: &Login, most: usize) -> Result<()> {
        loop {
            let mut logins: HashMap<[u8; 16], Option<Millis>> = HashMap::new();
            let mut is_listed = false;
            for live in self.unexpired(login).await? {
                let at = logins.entry(live.lineage).or_default();
                *at = live.content.started_at().max(*at);
                is_listed |= live.key == login.key;
            }
            let mut newest: Vec<_> = logins.into_iter().map(|(it, at)| (at, it)).collect();
            newest.sort_unstable_by(|one, other| other.cmp(one));
            let oldest = newest.split_off(newest.len().min(most));
            let oldest: HashSet<_> = oldest.into_iter().map(|(_, lineage)| lineage).collect();
            if !is_listed || oldest.contains(&login.lineage) {
                return Err(Error::Conflict);
            }
            if oldest.is_empty() || !rule_holds!(OldestEnds) {
                return Ok(());
            }
            match self.end_of_owner(&login.owner, Some(&oldest), None).await {
                Ok(_) => {
                    let events = &self.shared.rules.events;
                    events.limit_reached(Some(login.lineage), "sessions");
                    return Ok(());
                }
                // A renewal that lost has deleted its record meanwhile. The list tells whether its
                // session is live.
                Err(Error::Missing) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds the login to the record of the owner's logins, unless `most` sessions count already.
    async fn name_login(&self, login: &Login, most: usize) -> Result<()> {
        let rules = &self.shared.rules;
        let key = rules.settings.prefix.logins_key(&login.owner);
        let own = binding(&login.key).unwrap_or_default();
        loop {
            let loaded = self.within(self.shared.store.load(&key)).await?;
            let read = loaded
                .as_ref()
                .map(|loaded| codec::read_logins(&key, &loaded.bytes));
            let (named, until) = read.transpose()?.unwrap_or_default();
            let (mut counted, mut still_named) = (HashSet::new(), vec![own]);
            for live in self.unexpired(login).await? {
                let name = binding(&live.key).filter(|name| named.contains(name));
                if live.times.provisional {
                    still_named.extend(name);
                }
                if !live.times.provisional || name.is_some() {
                    counted.insert(live.lineage);
                }
            }
            counted.remove(&login.lineage);
            if counted.len() >= most {
                rules.events.limit_reached(Some(login.lineage), "sessions");
                return Err(Error::TooManySessions { limit: most });
            }
            let until = until.max(login.expires_at);
            let mut write_tag = [0; 8];
            getrandom::fill(&mut write_tag).map_err(|error| Error::backend("random", error))?;
            let record = Record {
                bytes: codec::logins(&key, &still_named, until, write_tag),
                expires_at: until.after(Record::KEPT_AFTER_END).into(),
                entry: None,
            };
            let store = &self.shared.store;
            let written = match &loaded {
                None => self.within(store.insert(&key, &record)).await?,
                Some(found) => {
                    let update = store.update(&key, &record, &found.revision);
                    self.within(update).await?
                }
            };
            if matches!(written, Write::Stored(_)) || !rule_holds!(LoginsAreCompared) {
                return Ok(());
            }
        }
    }
}
