//! A user's sessions: listed by their headers, page by page, and ended many at once.

mod admission;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

#[cfg(feature = "flask-cookie")]
use crate::flask::{ListedLogOuts, note_log_out_of};
use crate::{
    codec::{Times, of_header},
    content::{Content, Lineage},
    driver::{Aim, Drive, Request, after},
    error::{Error, Result},
    expiry::Millis,
    header::{Header, Kind},
    key::{OwnerKey, StoreKey, digest_of_sid},
    machine::{EndCondition, Goal, Machine, table::rule_holds},
    measure::{self, Began, Described, Operation},
    payload::Payload,
    record::{Cursor, Listed},
    rules::{Form, Live, LoadedRecord},
    security_events,
    shared::Shared,
    store::OwnerIndex,
};

/// How many records a page of the index holds.
const PAGE: usize = 1000;

/// How many sessions are ended at once.
const AT_ONCE: usize = 64;

/// All work on a user's sessions together may take this many times a request's store time.
pub(crate) const PATIENCE: u32 = 5;

/// One of an owner's live sessions, for a list of devices.
#[derive(Clone, Debug)]
pub struct OwnedSession {
    content: Content,
    lineage: Lineage,
    used_at: Option<SystemTime>,
    expires_at: SystemTime,
}

impl OwnedSession {
    /// A value that names the session before and after renewals, and gives no access to it.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The label that [`Session::set_label`](crate::Session::set_label) gave it.
    pub fn label(&self) -> Option<&str> {
        self.content.label.as_deref()
    }

    /// Whether it is bound to the device of its browser.
    #[cfg(feature = "dbsc")]
    pub fn is_device_bound(&self) -> bool {
        self.content.device.is_some()
    }

    /// When it was created or last logged in to.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.content.started_at().map(Into::into)
    }

    /// When it was last used, as its record says. By default that is exact to an hour, or to a
    /// tenth of its idle timeout if that is less; see
    /// [`Settings::with_last_seen`](crate::Settings::with_last_seen). With
    /// [`Refresh::OnChange`](crate::config::Refresh::OnChange) it is when the session was last
    /// changed.
    pub fn last_seen(&self) -> Option<SystemTime> {
        self.used_at
    }

    /// When it ends unless it is used.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

/// A record of an owner that is no tombstone, without its data.
struct OwnedRecord {
    key: StoreKey,
    lineage: [u8; 16],
    content: Content,
    times: Times,
    /// When its session ends unless it is used.
    end: Millis,
    has_expired: bool,
}

/// Work on an owner's sessions, with its own time limit.
pub(crate) struct Owned {
    shared: Arc<Shared>,
    index: Arc<dyn OwnerIndex>,
    /// The request that it is done for. The time it takes is taken from the request's time for such
    /// work.
    request: Option<Arc<Request>>,
    start: Instant,
    end: Instant,
}

impl Owned {
    /// With the whole time limit.
    ///
    /// # Errors
    ///
    /// [`Error::NoOwnerIndex`] if the application was built without lists.
    pub(crate) fn of(shared: &Arc<Shared>) -> Result<Self> {
        let settings = &shared.rules.settings;
        let index = shared.owners.clone().ok_or(Error::NoOwnerIndex)?;
        let start = Instant::now();
        Ok(Self {
            shared: shared.clone(),
            index,
            request: None,
            start,
            end: after(start, settings.store_timeout.saturating_mul(PATIENCE)),
        })
    }

    /// With the time that the request has left for such work.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of), and [`Error::NotLoaded`] if the request's session could not be loaded.
    pub(crate) fn within_request(request: &Arc<Request>) -> Result<Self> {
        let machine = request.lock()?;
        if machine.is_not_loaded() {
            return Err(Error::NotLoaded);
        }
        let left = machine.work_left();
        drop(machine);
        let mut work = Self::of(request.shared())?;
        work.end = after(work.start, left);
        work.request = Some(request.clone());
        Ok(work)
    }

    /// The live sessions of `owner`, the oldest first.
    pub(crate) async fn list(&self, owner: &str) -> Result<Vec<OwnedSession>> {
        let mut sessions: HashMap<[u8; 16], OwnedSession> = HashMap::new();
        for live in self.records(owner).await? {
            if live.has_expired || live.times.provisional {
                continue;
            }
            let session = OwnedSession {
                lineage: Lineage::from_bytes(live.lineage),
                used_at: live.times.used_at.map(Into::into),
                expires_at: live.end.into(),
                content: live.content,
            };
            let known = sessions.get(&live.lineage);
            if known.is_none_or(|known| known.expires_at < session.expires_at) {
                sessions.insert(live.lineage, session);
            }
        }
        let mut sessions: Vec<_> = sessions.into_values().collect();
        sessions.sort_by_key(OwnedSession::created_at);
        Ok(sessions)
    }

    /// The records of `owner`'s sessions that have not ended, or only by time. A session that is
    /// renewed meanwhile may have two.
    async fn records(&self, owner: &str) -> Result<Vec<OwnedRecord>> {
        let mut found = Vec::new();
        let mut listed_keys = HashSet::new();
        let mut successors = Vec::new();
        let mut pages = self.pages(&self.shared.rules.settings.prefix.owner_key(owner));
        while let Some(records) = pages.next().await? {
            for listed in records {
                let header = match Header::parse(&listed.head) {
                    Ok((header, _)) => header,
                    Err(error) => {
                        self.shared.rules.events.record_unreadable(&error);
                        if error.others_can_read() {
                            return Err(error);
                        }
                        // It is missing from the list.
                        continue;
                    }
                };
                if let Some(successor) = header.successor {
                    successors.push(StoreKey::from_stored(successor));
                } else if self.shared.rules.may_open(&header)
                    && let Some((_, live)) = live_in(&listed)
                {
                    found.extend(self.record(owner, &live));
                }
                listed_keys.insert(listed.key);
            }
        }
        // Most successors are in the list themselves. A session that was renewed while the pages
        // were read may be in none of them.
        successors.retain(|key| listed_keys.insert(key.clone()));
        let follows = successors.into_iter().map(|key| self.live_behind(key));
        let mut follows = stream::iter(follows).buffer_unordered(AT_ONCE);
        while let Some(live) = follows.next().await {
            found.extend(live?.and_then(|live| self.record(owner, &live)));
        }
        Ok(found)
    }

    /// The record of `live`, if its session is `owner`'s.
    fn record(&self, owner: &str, live: &Live) -> Option<OwnedRecord> {
        let end = self.shared.rules.end(live)?;
        (live.content.owner.as_deref() == Some(owner)).then_some(OwnedRecord {
            key: live.key.clone(),
            lineage: live.content.lineage?,
            content: live.content.clone(),
            times: live.times,
            end,
            has_expired: end <= self.shared.now(),
        })
    }

    /// The live record that the one under `key` was renewed to.
    async fn live_behind(&self, mut key: StoreKey) -> Result<Option<Arc<Live>>> {
        loop {
            let load = self.shared.store.load(&key);
            let loaded = self.measured(Operation::Load, load).await?;
            match self.shared.rules.read(&key, Form::Native, loaded) {
                LoadedRecord::Live(live) => return Ok(Some(live)),
                LoadedRecord::Forwarded(forwarding) => key = forwarding.successor,
                LoadedRecord::Ended(_) | LoadedRecord::Absent => return Ok(None),
                LoadedRecord::Unreadable(error) => return Err(error),
            }
        }
    }

    /// Ends every session that belongs to the identity provider's session `sid`. Returns how many it
    /// ended.
    pub(crate) async fn end_provider_session(&self, sid: &str) -> Result<u64> {
        let condition = EndCondition {
            provider_session: Some(Arc::new(digest_of_sid(sid))),
            ..EndCondition::default()
        };
        let key = self.shared.rules.settings.prefix.provider_session_key(sid);
        let ended = self
            .end_listed(&key, condition, None, Ends::of_log_outs())
            .await?;
        security_events::back_channel_log_out(ended);
        Ok(ended)
    }

    /// Ends every session of `owner` except the one with the lineage `keep`. Returns how many it
    /// ended.
    pub(crate) async fn end_all(&self, owner: &str, keep: Option<[u8; 16]>) -> Result<u64> {
        // The user may have sessions that Flask's cookie has not started yet.
        #[cfg(feature = "flask-cookie")]
        self.within(note_log_out_of(&self.shared, owner)).await?;
        let ends = Ends {
            #[cfg(feature = "flask-cookie")]
            log_outs: Some(ListedLogOuts::of(owner)),
            ..Ends::default()
        };
        let ended = self.end_of_owner(owner, None, keep, ends).await?;
        security_events::log_out_everywhere(ended);
        Ok(ended)
    }

    /// Ends what is left of `owner`'s session with this `lineage`, which has ended.
    pub(crate) async fn end_copies(&self, owner: &str, lineage: [u8; 16]) -> Result<()> {
        let only = HashSet::from([lineage]);
        let condition = EndCondition {
            owner: Some(owner.into()),
            ..EndCondition::default()
        };
        // The session's own end was reported.
        let ends = Ends {
            by_this_call: only.clone(),
            ..Ends::default()
        };
        let key = self.shared.rules.settings.prefix.owner_key(owner);
        self.end_listed(&key, condition, Some(&only), ends)
            .await
            .map(drop)
    }

    /// Ends the session of `owner` with this `lineage`. Returns whether there was one.
    pub(crate) async fn end_one(&self, owner: &str, lineage: &Lineage) -> Result<bool> {
        let only = HashSet::from([lineage.to_bytes()]);
        let ends = Ends::of_log_outs();
        Ok(self.end_of_owner(owner, Some(&only), None, ends).await? > 0)
    }

    /// Ends the sessions of `owner`: all, or those with the lineages `only`; never the one with
    /// the lineage `keep`. Returns how many it ended.
    async fn end_of_owner(
        &self,
        owner: &str,
        only: Option<&HashSet<[u8; 16]>>,
        keep: Option<[u8; 16]>,
        ends_so_far: Ends,
    ) -> Result<u64> {
        let condition = EndCondition {
            owner: Some(owner.into()),
            keep,
            ..EndCondition::default()
        };
        let key = self.shared.rules.settings.prefix.owner_key(owner);
        self.end_listed(&key, condition, only, ends_so_far).await
    }

    /// Ends the sessions that are listed under `name` and that `condition` allows: all, or those
    /// with the lineages `only`. Returns how many it ended, beside those of `ends_so_far`.
    async fn end_listed(
        &self,
        name: &OwnerKey,
        condition: EndCondition,
        only: Option<&HashSet<[u8; 16]>>,
        mut ends_so_far: Ends,
    ) -> Result<u64> {
        let keep = condition.keep;
        let mut listed_keys = HashSet::new();
        let mut successors = Vec::new();
        let mut pages = self.pages(name);
        while let Some(records) = pages.next().await? {
            #[cfg(feature = "flask-cookie")]
            ends_so_far.note(self, &records, &condition, only).await?;
            let mut ends = Vec::new();
            for listed in records {
                listed_keys.insert(listed.key.clone());
                match Header::parse(&listed.head) {
                    Ok((header, _)) if only.is_some_and(|only| !only.contains(&header.lineage)) => {
                    }
                    Ok((header, _)) if keep == Some(header.lineage) => {}
                    Ok((header, _)) => match (header.kind, header.successor) {
                        (Kind::Live, _) => {
                            let lineage = Some(header.lineage);
                            ends.push(self.end(listed, lineage, condition.clone()));
                        }
                        (Kind::Forwarded, Some(key)) => {
                            successors.push((StoreKey::from_stored(key), header.lineage));
                        }
                        _ => {}
                    },
                    // It may be a record that is meant.
                    Err(error) if only.is_some() => {
                        self.shared.rules.events.record_unreadable(&error);
                        ends_so_far.unread = Some(error);
                    }
                    Err(_) => ends.push(self.end(listed, None, condition.clone())),
                }
            }
            ends_so_far.wait_for(ends).await;
        }
        // Most successors are in the list themselves. A session that was renewed while the pages
        // were read may be in none of them.
        let mut ends = Vec::new();
        for (key, lineage) in successors {
            if rule_holds!(LogOutFollowsRenewals) && listed_keys.insert(key.clone()) {
                let head = Bytes::new();
                let listed = Listed { key, head };
                ends.push(self.end(listed, Some(lineage), condition.clone()));
            }
        }
        ends_so_far.wait_for(ends).await;
        ends_so_far.result(only.map_or(usize::MAX, HashSet::len))
    }

    /// The owner and the lineage of the session under `key`, which was renewed. If it had no owner,
    /// those of its successor.
    pub(crate) async fn owner_behind(
        &self,
        mut key: StoreKey,
        form: Form,
    ) -> Result<(Option<Arc<str>>, Option<[u8; 16]>)> {
        loop {
            let load = self.shared.store.load(&key);
            let loaded = self.measured(Operation::Load, load).await?;
            let bytes = loaded.as_ref().map(|loaded| loaded.bytes.clone());
            match self.shared.rules.read(&key, form, loaded) {
                LoadedRecord::Live(live) => {
                    return Ok((live.content.owner.clone(), live.content.lineage));
                }
                LoadedRecord::Forwarded(forwarding) => {
                    let header = bytes.as_deref().map(Header::parse).transpose()?;
                    if let Some((owner, lineage)) =
                        header.and_then(|(header, _)| Some((header.owner?, header.lineage)))
                    {
                        return Ok((Some(owner.into()), Some(lineage)));
                    }
                    key = forwarding.successor;
                }
                LoadedRecord::Ended(_) => return Err(Error::Conflict),
                LoadedRecord::Absent => return Err(Error::Missing),
                LoadedRecord::Unreadable(error) => return Err(error),
            }
        }
    }

    /// Ends the session of a record, or of its successor. Returns the lineage, and whether this
    /// call ended it.
    async fn end(
        &self,
        listed: Listed,
        lineage: Option<[u8; 16]>,
        condition: EndCondition,
    ) -> (Option<[u8; 16]>, Result<bool>) {
        (lineage, self.end_record(listed, condition).await)
    }

    async fn end_record(&self, listed: Listed, condition: EndCondition) -> Result<bool> {
        let expired = live_in(&listed)
            .is_some_and(|(_, live)| self.shared.rules.is_expired(&live, self.shared.now()));
        let left = self.end.saturating_duration_since(Instant::now());
        match end_record(&self.shared, listed.key, condition, left).await {
            // It had expired, and was swept meanwhile.
            Err(Error::Missing) if expired => Ok(false),
            ended => ended,
        }
    }

    /// What is listed under `name`, page by page.
    fn pages(&self, name: &OwnerKey) -> Pages<'_> {
        Pages {
            work: self,
            owner: name.clone(),
            cursor: None,
            done: false,
        }
    }

    /// The answer to `call`, or an error if it takes too long.
    async fn within<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        timeout_at(self.end, call).await.unwrap_or_else(|_| {
            Err(Error::Timeout {
                budget: self.patience(),
            })
        })
    }

    /// As [`within`](Self::within), for one call of the store.
    async fn measured<T: Described>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let began = Began::now();
        let metrics = &self.shared.metrics;
        let _counted = metrics.begin_call(&*self.shared.store);
        let answer = self.within(measure::spanned(operation, call)).await;
        metrics.store_answer(operation, began, &answer);
        answer
    }

    /// The time that all work together may take.
    fn patience(&self) -> Duration {
        self.shared
            .rules
            .settings
            .store_timeout
            .saturating_mul(PATIENCE)
    }
}

/// Ends the session of the record under `key`, or of its successor, if `condition` allows it. Returns
/// whether this call ended it.
pub(crate) async fn end_record(
    shared: &Arc<Shared>,
    key: StoreKey,
    condition: EndCondition,
    left: Duration,
) -> Result<bool> {
    let machine = Machine::ending(key, Form::Native, condition);
    let request = Arc::new(Request::new(shared.clone(), machine, left));
    let _ended = Drive::new(request.clone(), Aim::Reach(Goal::Save)).await?;
    Ok(request.lock()?.has_ended_one())
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(request) = &self.request
            && let Ok(mut machine) = request.lock()
        {
            machine.spend_work(self.start.elapsed());
        }
    }
}

/// The pages of an owner's index that are still to be read.
struct Pages<'o> {
    work: &'o Owned,
    owner: OwnerKey,
    cursor: Option<Cursor>,
    done: bool,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<Listed>>> {
        if self.done {
            return Ok(None);
        }
        let index = &self.work.index;
        let page = index.owned_by(&self.owner, self.cursor.as_ref(), PAGE);
        let page = self.work.measured(Operation::List, page).await?;
        self.cursor = page.next;
        self.done = self.cursor.is_none();
        Ok(Some(page.records))
    }
}

/// What came of ending many sessions.
#[derive(Default)]
struct Ends {
    ended: u64,
    /// The lineages of those that this call has ended.
    by_this_call: HashSet<[u8; 16]>,
    /// The lineages of the sessions that have ended, by this call or before.
    lineages: HashSet<[u8; 16]>,
    /// The lineages of listed records that were absent when they were to be ended.
    missing: HashSet<[u8; 16]>,
    failed: Option<Error>,
    /// Why a record could not be read that may belong to one of the sessions meant.
    unread: Option<Error>,
    /// What notes them for Flask's cookies, if they are log-outs.
    #[cfg(feature = "flask-cookie")]
    log_outs: Option<ListedLogOuts>,
}

impl Ends {
    /// Of sessions that end because their users log out, and not because of a limit.
    fn of_log_outs() -> Self {
        Self {
            #[cfg(feature = "flask-cookie")]
            log_outs: Some(ListedLogOuts::default()),
            ..Self::default()
        }
    }

    /// Notes, before they end, the log-outs of the sessions whose `records` are meant: all that
    /// `condition` does not keep, or those with the lineages `only`.
    #[cfg(feature = "flask-cookie")]
    async fn note(
        &mut self,
        work: &Owned,
        records: &[Listed],
        condition: &EndCondition,
        only: Option<&HashSet<[u8; 16]>>,
    ) -> Result<()> {
        let shared = &work.shared;
        let Some(log_outs) = &mut self.log_outs else {
            return Ok(());
        };
        if shared.rules.settings.flask.cookie.is_none() {
            return Ok(());
        }
        for listed in records {
            let Ok((header, _)) = Header::parse(&listed.head) else {
                continue;
            };
            let is_meant = only.is_none_or(|only| only.contains(&header.lineage))
                && condition.keep != Some(header.lineage);
            if is_meant {
                let note = log_outs.note(shared, header.owner, header.flask_cookie);
                work.within(note).await?;
            }
        }
        Ok(())
    }

    /// Waits for `ends`, several at once.
    async fn wait_for(
        &mut self,
        ends: Vec<impl Future<Output = (Option<[u8; 16]>, Result<bool>)>>,
    ) {
        let mut ends = stream::iter(ends).buffer_unordered(AT_ONCE);
        while let Some((lineage, end)) = ends.next().await {
            match (lineage, end) {
                (lineage, Ok(by_this_call)) => {
                    // A renewal that failed has left a session a second record.
                    let is_new =
                        by_this_call && lineage.is_none_or(|it| self.by_this_call.insert(it));
                    if is_new {
                        self.ended += 1;
                        security_events::log_out(lineage);
                    }
                    self.lineages.extend(lineage);
                }
                (Some(lineage), Err(Error::Missing)) => {
                    self.missing.insert(lineage);
                }
                (_, Err(error)) => self.failed = Some(error),
            }
        }
    }

    /// How many sessions were ended. If so many were meant as were ended, a record that could not be
    /// read belongs to none of them.
    fn result(self, meant: usize) -> Result<u64> {
        // A renewal that lost to a log-out has deleted the copy that it made. The session itself
        // has ended.
        let lost = !self.missing.is_subset(&self.lineages);
        let unread = self.unread.filter(|_| self.ended < meant as u64);
        match self.failed.or(lost.then_some(Error::Missing)).or(unread) {
            Some(error) => Err(error),
            None => Ok(self.ended),
        }
    }
}

/// The content without the data, and the record, if its header says that it is live.
fn live_in(listed: &Listed) -> Option<(Content, Live)> {
    let (header, _) = Header::parse(&listed.head).ok()?;
    if header.kind != Kind::Live {
        return None;
    }
    let (content, times) = of_header(&header, Payload::default());
    let live = Live {
        key: listed.key.clone(),
        form: Form::Native,
        id: None,
        content: content.clone(),
        times,
        encoded: listed.head.clone(),
        revision: crate::Revision::new(listed.head.clone()),
        outdated: false,
        presented: false,
    };
    Some((content, live))
}
