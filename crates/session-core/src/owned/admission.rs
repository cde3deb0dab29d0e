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
//! A login of the future is from a process whose clock is fast. It is taken for the oldest:
//! otherwise nobody could log in before that time. So processes whose clocks differ by more than
//! [`CLOCK_TOLERANCE`] do not have the same order, and of two logins at the same moment each may end
//! the other. No user has more sessions than allowed then, but may have less.
//!
//! **The login is refused.** Here two logins that see each other must not both give up, and one that
//! was admitted must stay. Inserts and lists alone cannot decide that; a compare-and-set can. So
//! each owner has one more record, which names the logins that were admitted. What a login inserts
//! is *provisional*: it counts only if that record names it, until it is an ordinary one. A login
//! loads the record of logins, lists the sessions, counts, and adds itself by compare-and-set if they
//! are less than n. If another login was faster, it starts again. Whoever is named before has
//! inserted its session before, so the list shows it. So no more than n are admitted. A login is
//! refused only if n others count, each of which was admitted and is live.
//!
//! **What has expired** does not count, and is ended by a tombstone, because a request that loaded it
//! in time may otherwise go on with it.
//!
//! **What was left unfinished** must take nobody's place, or a failure of the store could lock a user
//! out. So the record of a login is *provisional*. Once the record before is replaced, one more write
//! makes it an ordinary one, and so does any other write. If a record is still provisional when no
//! request can be at work on it any more, its login was answered with an error. It is taken for the
//! oldest, or else ended if it takes the last place; so a process whose clock is slow cannot go on
//! with it after all. A renewal inserts a copy of the same lineage, which counts together with the
//! session. If the renewal fails, the copy stays. A log-out ends it with the session, and so does the
//! login of another user in the same browser.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{Ends, Owned, OwnedRecord, PATIENCE};
use crate::{
    codec,
    config::OnMaxPerUser,
    error::{Error, Result},
    expiry::Millis,
    header::{binding, has_mark},
    machine::{Login, table::rule_holds},
    measure::Operation,
    record::{Record, Write},
};

/// How far the login of a session may be in the future. Clocks that a time service keeps right
/// differ by some milliseconds.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// How far the clocks of two processes may differ before one takes a login of the other that is
/// under way for one that was cut off.
const CUT_OFF_TOLERANCE: Duration = Duration::from_secs(10);

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
        self.end_those(login, expired.filter(|it| !alive.contains(it)).collect())
            .await?;
        Ok(live)
    }

    /// Ends the owner's sessions with these lineages.
    async fn end_those(&self, login: &Login, lineages: HashSet<[u8; 16]>) -> Result<()> {
        if lineages.is_empty() {
            return Ok(());
        }
        match self
            .end_of_owner(&login.owner, Some(&lineages), None, Ends::default())
            .await
        {
            // What is absent by now, no request can go on with.
            Ok(_) | Err(Error::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a record is that of another login, which cannot be under way any more and did not come
    /// to its end.
    fn was_cut_off(&self, record: &OwnedRecord, login: &Login) -> bool {
        let timeout = self.shared.rules.settings.store_timeout;
        let longest = timeout.saturating_mul(1 + PATIENCE) + CUT_OFF_TOLERANCE;
        let written = record.times.used_at;
        record.times.provisional
            && record.lineage != login.lineage
            && written.is_none_or(|at| self.shared.now().since(at) > longest)
    }

    /// Ends all but the `most` newest sessions of the owner.
    async fn end_oldest(&self, login: &Login, most: usize) -> Result<()> {
        loop {
            let mut logins: HashMap<[u8; 16], Option<Millis>> = HashMap::new();
            let mut is_listed = false;
            let listed = self.unexpired(login).await?;
            let latest = self.shared.now().after(CLOCK_TOLERANCE);
            for live in listed {
                let is_own = live.lineage == login.lineage;
                let is_early = |it: &Millis| is_own || *it <= latest;
                let is_whole = !self.was_cut_off(&live, login);
                let content = &live.content;
                let logged_in = content.authenticated_at.or(content.created_at);
                let at = logins.entry(live.lineage).or_default();
                *at = logged_in.filter(is_early).filter(|_| is_whole).max(*at);
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
            let ends = Ends::default();
            match self
                .end_of_owner(&login.owner, Some(&oldest), None, ends)
                .await
            {
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
            let load = self.shared.store.load(&key);
            let loaded = self.measured(Operation::Load, load).await?;
            let read = loaded
                .as_ref()
                .map(|loaded| codec::read_logins(&key, &loaded.bytes));
            let is_ours = loaded.as_ref().is_some_and(|it| has_mark(&it.bytes));
            let (named, until) = match read.transpose() {
                // It is written anew. Only logins that are under way are lost.
                Err(error) if is_ours && !error.others_can_read() => {
                    rules.events.record_unreadable(&error);
                    Default::default()
                }
                read => read?.unwrap_or_default(),
            };
            let (mut counted, mut still_named) = (HashSet::new(), vec![own]);
            let mut cut_off = HashSet::new();
            for live in self.unexpired(login).await? {
                let name = binding(&live.key).filter(|name| named.contains(name));
                if live.times.provisional {
                    still_named.extend(name);
                }
                if live.times.provisional && name.is_none() {
                    continue;
                }
                if self.was_cut_off(&live, login) {
                    cut_off.insert(live.lineage);
                } else {
                    counted.insert(live.lineage);
                }
            }
            counted.remove(&login.lineage);
            if counted.len() >= most {
                rules
                    .events
                    .limit_reached(login.renews.then_some(login.lineage), "sessions");
                return Err(Error::TooManySessions { limit: most });
            }
            cut_off.retain(|it| !counted.contains(it));
            if counted.len() + cut_off.len() >= most {
                self.end_those(login, cut_off).await?;
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
                None => {
                    let insert = store.insert(&key, &record);
                    self.measured(Operation::Insert, insert).await?
                }
                Some(found) => {
                    let update = store.update(&key, &record, &found.revision);
                    self.measured(Operation::Update, update).await?
                }
            };
            if matches!(written, Write::Stored(_)) || !rule_holds!(LoginsAreCompared) {
                return Ok(());
            }
        }
    }
}
