//! The store call of each state, and the record that it writes.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Call, Inputs, Machine, Origin, PendingCookie,
    table::{Event, RunEnd, State, rule_holds},
};
use crate::{
    codec::{Successor, Times},
    content::Content,
    error::{Error, Result},
    header::IdUse,
    id::SessionId,
    op::replay,
    record::Revision,
    rules::{Form, Live, Rules},
};

/// How often a save is tried. The request's store time usually ends it earlier.
const ATTEMPTS: usize = 100;

impl Machine {
    /// Enters `state` and sets the call that it needs.
    pub(super) fn enter(&mut self, state: State, inputs: &mut Inputs<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        run.state = state;
        run.attempts += usize::from(run.counts_as_attempt(state));
        if run.attempts > ATTEMPTS {
            run.error = Some(Error::Contended);
            return self.finish(RunEnd::Failed, None);
        }
        let call = match state {
            State::Opening => run.next_candidate(),
            State::Reloading
            | State::Rebasing
            | State::CheckingRefresh
            | State::CheckingId
            | State::LoadingToEnd => run.key.as_ref().map(|(key, _)| Call::Load(key.clone())),
            State::CheckingNew => self
                .keep_new_record()
                .map(|new| Call::Load(new.key.clone())),
            State::Confirming => return self.enter_confirming(inputs),
            State::CheckingWinner => run.live.as_ref().map(|live| Call::Load(live.key.clone())),
            State::Inserting => return self.enter_inserting(inputs),
            State::Copying => return self.enter_copying(inputs),
            State::Updating => return self.enter_updating(inputs),
            State::Refreshing => return self.enter_refreshing(inputs),
            State::Forwarding => return self.enter_forwarding(inputs),
            State::ForwardingAgain => run.reforward(),
            State::Ending => run.live.as_ref().map(|live| {
                let counts = inputs.rules.counts(live.content.owner.as_ref());
                run.limited = self.condition.is_none() && live.form.has_header() && counts;
                let tombstone =
                    inputs
                        .rules
                        .tombstone(live, None, inputs.now, random_tag(inputs.random));
                Call::Update(live.key.clone(), tombstone, live.revision.clone())
            }),
            State::DeletingRenewed | State::DeletingEnded | State::DeletingEmptied => {
                run.live.as_ref().map(|live| Call::Delete(live.key.clone()))
            }
            State::Admitting => run.login().map(Call::Admit),
            State::EndingCopies | State::EndingFormer => run
                .whose_end()
                .and_then(|it| Some(Call::EndCopies(it.owner?, it.lineage))),
            State::Withdrawing => run.written.take().map(|new| {
                let (rules, now) = (inputs.rules, inputs.now);
                let tombstone = rules.tombstone(&new, None, now, random_tag(inputs.random));
                Call::Update(new.key.clone(), tombstone, new.revision.clone())
            }),
            State::DiscardingToRetry | State::DiscardingToFollow => {
                run.written.take().map(|new| Call::Delete(new.key.clone()))
            }
            State::Idle | State::Queued => None,
        };
        let Some(run) = &mut self.run else {
            return;
        };
        run.call = call;
        if run.call.is_none() {
            debug_assert!(false, "{state:?} without what it is about");
            self.fail_run();
        }
    }

    /// The new record of this run. It is the session's by now: even if what follows fails, the
    /// response carries its id.
    fn keep_new_record(&mut self) -> Option<Arc<Live>> {
        let new = self.run.as_ref()?.written.clone()?;
        self.origin = Origin::Live(new.clone());
        self.pending_cookie = PendingCookie::NewId;
        Some(new)
    }

    pub(super) fn enter_confirming(&mut self, inputs: &mut Inputs<'_>) {
        let Some(new) = self.keep_new_record() else {
            return self.fail_run();
        };
        let mut confirmed = (*new).clone();
        confirmed.times.provisional = false;
        let tag = random_tag(inputs.random);
        let record = inputs.rules.record(
            &mut confirmed,
            Some(&new),
            &new.times,
            tag,
            Some(&new.encoded),
        );
        let Some(run) = &mut self.run else { return };
        match record {
            Ok(record) => {
                run.call = Some(Call::Update(new.key.clone(), record, new.revision.clone()));
                run.written = Some(Arc::new(confirmed));
            }
            Err(error) => {
                run.error = Some(error);
                self.transition(Event::Failed, inputs);
            }
        }
    }

    pub(super) fn enter_inserting(&mut self, inputs: &mut Inputs<'_>) {
        let form = inputs.rules.settings.form;
        match self.apply_changes(None, inputs) {
            Ok(content) => self.insert(form, content, inputs),
            Err(error) => self.refuse_changes(error, inputs),
        }
    }

    pub(super) fn enter_copying(&mut self, inputs: &mut Inputs<'_>) {
        let Some(live) = self.record_to_replace() else {
            return self.fail_run();
        };
        let form = inputs.rules.next_form(live.form).unwrap_or(live.form);
        match self.apply_changes_in_time(&live, inputs) {
            Ok(content) => {
                if let Some(run) = &mut self.run {
                    run.live = Some(live);
                }
                self.prepare_rotation(inputs);
                self.insert(form, content, inputs);
            }
            Err(error) => self.refuse_changes(error, inputs),
        }
    }

    /// Inserts `content` under a new id. An existing record is never overwritten.
    pub(super) fn insert(&mut self, form: Form, mut content: Content, inputs: &mut Inputs<'_>) {
        let rules = inputs.rules;
        fill_own_fields(form, &mut content, inputs);
        let bytes = rules.settings.id_bytes;
        let (id, id_use, encoded) = if let Some((live, old, nonce)) = self.rotation() {
            let id = old.successor(&nonce, bytes);
            (id, Some(IdUse::NotYet), Some(live.encoded.clone()))
        } else {
            let id = self.new_id(bytes, inputs);
            (id, rules.id_use_of_new(&content, inputs.now), None)
        };
        let key = rules.key_of(form, &id);
        let before = Times {
            id_use,
            ..Times::default()
        };
        let replaced = self.run.as_ref().and_then(|run| run.live.clone());
        let owner = replaced
            .as_ref()
            .and_then(|live| live.content.owner.as_ref());
        let limited = form.has_header() && rules.is_limited(&content, owner);
        let times = Times {
            provisional: limited,
            ..rules.times(form, &content, &before, true, inputs.now)
        };
        let mut new = Live {
            key,
            form,
            id: Some(id),
            content,
            times,
            encoded: Bytes::new(),
            revision: Revision::new(Bytes::new()),
            outdated: false,
            presented: false,
        };
        let tag = random_tag(inputs.random);
        let record = rules.record(
            &mut new,
            replaced.as_deref(),
            &before,
            tag,
            encoded.as_ref(),
        );
        let Some(run) = &mut self.run else { return };
        match record {
            Ok(record) => {
                run.sends_cookie = true;
                run.limited = limited;
                run.call = Some(Call::Insert(new.key.clone(), record));
                #[cfg(feature = "flask-cookie")]
                if let Some((_, Some(tombstone))) = &self.given_id
                    && let Some(Call::Insert(key, record)) = run.call.take()
                {
                    run.call = Some(Call::Update(key, record, tombstone.clone()));
                }
                run.written = Some(Arc::new(new));
            }
            Err(error) => self.refuse_changes(error, inputs),
        }
    }

    #[cfg(not(feature = "flask-cookie"))]
    #[expect(clippy::unused_self, reason = "with the feature it may have one")]
    fn new_id(&self, bytes: usize, inputs: &mut Inputs<'_>) -> SessionId {
        SessionId::filled(bytes, |raw| (inputs.random)(raw))
    }

    #[cfg(feature = "flask-cookie")]
    fn new_id(&self, bytes: usize, inputs: &mut Inputs<'_>) -> SessionId {
        let random = || SessionId::filled(bytes, |raw| (inputs.random)(raw));
        let given = self.given_id.as_ref().map(|(id, _)| id.clone());
        given.unwrap_or_else(random)
    }

    pub(super) fn enter_updating(&mut self, inputs: &mut Inputs<'_>) {
        let Some(live) = self.record_to_replace() else {
            return self.fail_run();
        };
        let content = match self.apply_changes_in_time(&live, inputs) {
            Ok(content) => content,
            Err(error) => return self.refuse_changes(error, inputs),
        };
        let emptied = !live.form.has_header() && content.is_empty();
        let sends_cookie = live.id.is_some()
            && !self.head_sent
            && !self.is_no_use(&live, inputs)
            && inputs.rules.cookie_due(&live, &content, inputs.now);
        if emptied {
            let record = inputs.rules.tombstone(&live, None, inputs.now, [0; 8]);
            let Some(run) = &mut self.run else { return };
            run.call = Some(Call::Update(
                live.key.clone(),
                record,
                live.revision.clone(),
            ));
            run.written = None;
            run.live = Some(live);
        } else {
            self.write(live, content, sends_cookie, inputs);
        }
    }

    pub(super) fn enter_refreshing(&mut self, inputs: &mut Inputs<'_>) {
        let Some(live) = self.record_to_replace() else {
            return self.fail_run();
        };
        let content = live.content.clone();
        let sends_cookie = live.id.is_some()
            && !self.head_sent
            && inputs.rules.refresh_sends_cookie(&live, inputs.now);
        self.write(live, content, sends_cookie, inputs);
    }

    /// Replaces the record of `live` by one with `content`.
    pub(super) fn write(
        &mut self,
        live: Arc<Live>,
        mut content: Content,
        sends_cookie: bool,
        inputs: &mut Inputs<'_>,
    ) {
        let rules = inputs.rules;
        fill_own_fields(live.form, &mut content, inputs);
        let mut before = live.times;
        // A new name needs an entry.
        if content.provider_session != live.content.provider_session {
            before.indexed_until = None;
        }
        let times = if self.is_no_use(&live, inputs) {
            before
        } else {
            rules.times(live.form, &content, &before, sends_cookie, inputs.now)
        };
        let times = Times {
            id_use: Rules::id_use_after(&live, inputs.now),
            ..times
        };
        let unchanged = self.run.as_ref().is_some_and(|run| run.ops.is_empty())
            && content.created_at == live.content.created_at;
        let mut new = Live {
            key: live.key.clone(),
            form: live.form,
            id: live.id.clone(),
            content,
            times,
            encoded: Bytes::new(),
            revision: Revision::new(Bytes::new()),
            outdated: live.outdated && !sends_cookie,
            presented: live.presented,
        };
        let encoded = unchanged.then_some(&live.encoded);
        let tag = random_tag(inputs.random);
        let record = rules.record(&mut new, Some(&live), &before, tag, encoded);
        let Some(run) = &mut self.run else { return };
        match record {
            Ok(record) => {
                run.sends_cookie = sends_cookie;
                run.written = Some(Arc::new(new));
                run.call = Some(Call::Update(
                    live.key.clone(),
                    record,
                    live.revision.clone(),
                ));
                run.live = Some(live);
            }
            Err(_) if run.state == State::Refreshing => {
                self.transition(Event::Failed, inputs);
            }
            Err(error) => self.refuse_changes(error, inputs),
        }
    }

    /// Whether the changes of this run are the browser's own, which it makes for a page that nobody
    /// looks at, too. Then they do not move the end of the session.
    #[cfg(feature = "dbsc")]
    fn is_no_use(&self, live: &Live, inputs: &Inputs<'_>) -> bool {
        let run = self.run.as_ref().filter(|run| !run.ops.is_empty());
        run.is_some_and(|run| run.ops.iter().all(crate::op::Op::is_of_browser))
            && !inputs.rules.refresh_due(live, inputs.now)
    }

    #[cfg(not(feature = "dbsc"))]
    #[expect(clippy::unused_self, reason = "with the feature it reads the changes")]
    #[inline]
    fn is_no_use(&self, _: &Live, _: &Inputs<'_>) -> bool {
        false
    }

    pub(super) fn enter_forwarding(&mut self, inputs: &mut Inputs<'_>) {
        let Some(run) = &mut self.run else { return };
        let (Some(live), Some(new)) = (&run.live, &run.written) else {
            return self.fail_run();
        };
        let successor = Successor {
            key: &new.key,
            rotation: run.nonce.map(|nonce| (nonce, live.times.id_use)),
        };
        let tag = random_tag(inputs.random);
        let tombstone = inputs
            .rules
            .tombstone(live, Some(&successor), inputs.now, tag);
        run.tombstone = Some(Box::new(tombstone));
        run.call = run.reforward();
    }

    /// Ends the run with an error of its changes. If they were made on a record that is not stored
    /// yet, and may never be, they are made again on the one that a load finds.
    fn refuse_changes(&mut self, error: Error, inputs: &mut Inputs<'_>) {
        match &mut self.run {
            Some(run) if run.is_unconfirmed => {
                run.is_unconfirmed = false;
                self.enter(State::Rebasing, inputs);
            }
            _ => self.refuse(error, inputs),
        }
    }

    /// The record that the write replaces: the one last loaded in this run, or else the request's
    /// own.
    pub(super) fn record_to_replace(&mut self) -> Option<Arc<Live>> {
        let run = self.run.as_mut()?;
        let live = run.live.take().or_else(|| match &self.origin {
            Origin::Live(live) => Some(live.clone()),
            _ => None,
        })?;
        run.key = Some((live.key.clone(), live.form));
        Some(live)
    }

    /// The record `live`, or a new session, with the changes of this run.
    pub(super) fn apply_changes(
        &self,
        live: Option<&Live>,
        inputs: &Inputs<'_>,
    ) -> Result<Content> {
        let Some(run) = &self.run else {
            return Err(Error::Unknown);
        };
        // If no newer record was loaded and no change was made since, the view is exactly that.
        if (!run.rebased || !rule_holds!(ChangesAreReplayed))
            && self.ops.is_empty()
            && let Some(view) = &self.view
        {
            return Ok(view.clone());
        }
        let base = live.map_or(&inputs.rules.blank, |live| &live.content);
        replay(base, &run.ops, inputs.now, inputs.rules.settings.format)
    }

    /// Like [`apply_changes`](Self::apply_changes), but fails if the session has expired.
    fn apply_changes_in_time(&self, live: &Live, inputs: &Inputs<'_>) -> Result<Content> {
        let content = self.apply_changes(Some(live), inputs)?;
        if inputs.rules.is_over(live, &content, inputs.now) {
            return Err(Error::Expired);
        }
        Ok(content)
    }
}

/// Sets the fields that the library fills in with the first record of a session.
fn fill_own_fields(form: Form, content: &mut Content, inputs: &mut Inputs<'_>) {
    if form.has_header() && content.lineage.is_none() {
        let mut random = [0; 16];
        (inputs.random)(&mut random);
        content.lineage = Some(random);
    }
    if form.has_header() || inputs.rules.settings.absolute_timeout.is_some() {
        content.created_at.get_or_insert(inputs.now);
    }
}

fn random_tag(random: &mut dyn FnMut(&mut [u8])) -> [u8; 8] {
    let mut tag = [0; 8];
    random(&mut tag);
    tag
}
