//! Turns the result of a load into an event of the table.

use std::{mem::take, sync::Arc};

use super::{
    Inputs, Machine, Origin,
    run::NotAllowed,
    table::{Event, State, rule_holds},
};
use crate::{
    codec::Forwarding,
    error::Error,
    op::Op,
    record::Loaded,
    rotation::{Access, Rotated},
    rules::{Live, LoadedRecord},
};

impl Machine {
    /// The event for `loaded`.
    pub(super) fn classify(&mut self, loaded: Option<Loaded>, inputs: &Inputs<'_>) -> Event {
        let Some(run) = &mut self.run else {
            return Event::Failed;
        };
        let (key, form) = match (run.state, &run.candidate, &run.key, &run.live) {
            (State::Opening, Some(candidate), ..) => (candidate.key.clone(), candidate.form),
            (State::CheckingWinner, _, _, Some(live)) => (live.key.clone(), live.form),
            (State::CheckingNew, ..) => match &run.written {
                Some(new) => (new.key.clone(), new.form),
                None => return Event::Failed,
            },
            (_, _, Some((key, form)), _) => (key.clone(), *form),
            _ => return Event::Failed,
        };
        let found = if run.state == State::LoadingToEnd {
            inputs.rules.read_to_end(&key, form, loaded)
        } else {
            inputs.rules.read(&key, form, loaded)
        };
        #[cfg(feature = "metrics")]
        if let LoadedRecord::Live(live) = &found {
            crate::measure::written_at(live.times.used_at, inputs.now);
        }
        if run.state == State::Opening {
            return self.classify_presented(found, inputs);
        }
        let dead = matches!(
            found,
            LoadedRecord::Forwarded(..) | LoadedRecord::Ended(_) | LoadedRecord::Absent
        );
        if dead && self.pending_key() == Some(&key) {
            self.forget_pending_id();
        }
        let Some(run) = &mut self.run else {
            return Event::Failed;
        };
        match found {
            LoadedRecord::Live(live) => self.classify_live(live, inputs),
            LoadedRecord::Forwarded(Forwarding {
                successor,
                until,
                rotation,
            }) => {
                if run.state == State::CheckingWinner
                    && run.written.as_ref().is_some_and(|new| new.key == successor)
                {
                    return Event::ForwardedToOurs;
                }
                run.key = Some((successor, form));
                run.only_rotations &= rotation.is_some();
                // It was renewed, so it must be somewhere, unless that was long ago.
                run.may_be_dead &= until <= inputs.now;
                Event::Forwarded
            }
            // Flask's form has no tombstones. There, an absent record is an ended session.
            LoadedRecord::Absent
                if run.state == State::LoadingToEnd
                    && (run.may_be_dead || !form.has_tombstones()) =>
            {
                Event::Ended
            }
            LoadedRecord::Ended(dead) if run.state == State::LoadingToEnd => {
                let counts = inputs.rules.counts(dead.owner.as_ref());
                run.dead = Some(dead);
                if counts && self.condition.is_none() {
                    Event::EndedLimited
                } else {
                    Event::Ended
                }
            }
            LoadedRecord::Ended(_) | LoadedRecord::Absent => {
                let ended = matches!(found, LoadedRecord::Ended(_));
                if run.state == State::CheckingWinner {
                    run.key = Some((key, form));
                }
                if ended { Event::Ended } else { Event::Absent }
            }
            LoadedRecord::Unreadable(error) => {
                run.error = Some(error);
                Event::Unreadable
            }
        }
    }

    pub(super) fn classify_live(&mut self, mut live: Arc<Live>, inputs: &Inputs<'_>) -> Event {
        let Some(run) = &mut self.run else {
            return Event::Failed;
        };
        // If the key is the same, the id that the request knows still opens the record.
        let seen = match &self.origin {
            Origin::Live(before) => Some(before),
            _ => None,
        };
        let known = [run.live.as_ref(), seen]
            .into_iter()
            .flatten()
            .find(|before| before.key == live.key);
        if let Some(before) = known {
            let live = Arc::make_mut(&mut live);
            live.id.clone_from(&before.id);
            live.outdated = before.outdated;
            live.presented = before.presented;
        }
        let rotated = known.is_none() && run.only_rotations && run.renews();
        // Renewals, rotations and logins keep the lineage. Whoever can write to the store could have
        // made a tombstone that leads to somebody else's session.
        let seen = seen.filter(|_| run.state != State::LoadingToEnd);
        let lineage = run.live.as_ref().or(seen).and_then(|it| it.content.lineage);
        let is_another = known.is_none() && lineage.is_some() && live.content.lineage != lineage;
        if is_another {
            run.not_allowed = Some(NotAllowed::OtherOwner);
            run.live = Some(live);
            return match run.state {
                State::Rebasing | State::Reloading | State::LoadingToEnd => Event::LiveOfOther,
                _ => Event::Live,
            };
        }
        let event = match run.state {
            State::LoadingToEnd => {
                // The rotated id was another user's.
                if run
                    .ends_rotated
                    .as_ref()
                    .is_some_and(|it| it.owner != live.content.owner)
                {
                    return Event::Ended;
                }
                if self.condition.allows(&live.content) {
                    Event::Live
                } else {
                    Event::LiveOfOther
                }
            }
            State::Rebasing | State::Reloading => {
                let owner = live.content.owner.as_ref();
                let same_user = run.owner.is_none() || owner == run.owner.as_ref();
                let allowed = match Op::login(&run.ops) {
                    Some(login) if known.is_none() && !rotated => owner == Some(login),
                    _ => same_user,
                };
                if !allowed && rule_holds!(OwnerIsChecked) {
                    run.not_allowed = Some(if same_user {
                        NotAllowed::LoginOvertaken
                    } else {
                        NotAllowed::OtherOwner
                    });
                    run.live = Some(live);
                    return Event::LiveOfOther;
                }
                if run.state == State::Reloading && inputs.rules.is_expired(&live, inputs.now) {
                    run.error = Some(Error::Expired);
                    return Event::Absent;
                }
                if run.state == State::Rebasing && rotated {
                    Event::LiveToRenew
                } else if run.state == State::Rebasing && run.ops.is_empty() && !run.extend {
                    Event::LiveUnchanged
                } else {
                    Event::Live
                }
            }
            State::CheckingNew => {
                let mut event = Event::Live;
                // Another request may have given it a shorter lifetime, which ends the cookie, too.
                if let Some(written) = &mut run.written
                    && written.content.owner == live.content.owner
                {
                    let loaded = Arc::make_mut(&mut live);
                    loaded.id.clone_from(&written.id);
                    loaded.outdated = written.outdated;
                    loaded.presented = written.presented;
                    *written = live.clone();
                    if live.times.provisional {
                        event = Event::LiveProvisional;
                    }
                }
                event
            }
            _ => Event::Live,
        };
        run.live = Some(live);
        run.rebased = true;
        event
    }

    /// The event for the record of a presented id.
    pub(super) fn classify_presented(&mut self, found: LoadedRecord, inputs: &Inputs<'_>) -> Event {
        let Some(run) = &mut self.run else {
            return Event::Failed;
        };
        let Some(candidate) = run.candidate.take() else {
            return Event::Failed;
        };
        let rotated = run.rotated.take();
        let presented = match &rotated {
            Some(first) => (first.key.clone(), first.form),
            None => (candidate.key.clone(), candidate.form),
        };
        let mut event = Event::Absent;
        let now = self.arrived.map_or(inputs.now, |it| it.min(inputs.now));
        match found {
            LoadedRecord::Live(mut live) if !inputs.rules.is_expired(&live, inputs.now) => {
                let (owner, id_use) = (live.content.owner.as_ref(), live.times.id_use);
                if let Some(access) = run.admit(rotated.as_ref(), owner, id_use, now) {
                    let lineage = live.content.lineage;
                    let with_id = Arc::make_mut(&mut live);
                    with_id.id = (access != Access::WithoutId).then_some(candidate.id);
                    with_id.outdated = candidate.outdated;
                    with_id.presented = access == Access::Own;
                    run.sends_cookie = access == Access::WithId || candidate.unsent;
                    run.live = Some(live);
                    let further = take(&mut run.candidates).into_iter();
                    let further = further.map(|other| (other.key, other.form));
                    run.others
                        .extend(run.late.take().into_iter().chain(further));
                    self.settle_refused(lineage, inputs);
                    return Event::Live;
                }
            }
            LoadedRecord::Forwarded(forwarding) => {
                let until = forwarding.until;
                let next = inputs.rules.successor(&candidate, &forwarding);
                if let (Some(next), Some(rotation)) = (next, forwarding.rotation) {
                    let (owner, id_use) = (rotation.owner.as_ref(), rotation.id_use);
                    let access = run.admit(rotated.as_ref(), owner, id_use, now);
                    // If the request presents the next id as well, that one counts.
                    let known = run.candidates.iter().any(|it| it.key == next.key);
                    if let Some(access) = access.filter(|_| !known) {
                        run.rotated = Some(Rotated::by(rotation, rotated, access, presented));
                        run.candidates.push_first(next);
                        return Event::Rotated;
                    }
                } else if let Some(refused) =
                    rotated.and_then(|it| it.refused_after_renewal(until, now))
                {
                    run.refused.get_or_insert(refused);
                } else if until > inputs.now && run.late.is_none() {
                    run.late = Some(presented);
                } else {
                    self.no_rights = true;
                    run.others.push(presented);
                }
            }
            // All that a request may do with an expired or long renewed id is to log out.
            LoadedRecord::Live(_) => {
                self.no_rights = true;
                run.others.push(presented);
            }
            LoadedRecord::Unreadable(error) if error.others_can_read() => {
                run.error = Some(error);
                return Event::Failed;
            }
            LoadedRecord::Unreadable(_) => {
                if run.candidates.is_empty() && run.late.is_none() {
                    run.key = Some(presented);
                    event = Event::Unreadable;
                } else {
                    self.no_rights = true;
                    run.others.push(presented);
                }
            }
            LoadedRecord::Ended(dead) => {
                event = Event::Ended;
                // If its log-out is tried again, that is reported, and ends its copies.
                if dead.owner.is_some() {
                    run.others.push(presented);
                }
            }
            LoadedRecord::Absent => {}
        }
        if !run.candidates.is_empty() {
            return Event::TryNext;
        }
        self.settle_refused(None, inputs);
        match self
            .run
            .as_mut()
            .and_then(|run| run.late.clone().zip(Some(run)))
        {
            Some((late, run)) => {
                run.key = Some(late);
                Event::Forwarded
            }
            None => event,
        }
    }

    pub(super) fn classify_corrupt(&mut self, error: Error, inputs: &Inputs<'_>) -> Event {
        inputs.rules.events.record_unreadable(&error);
        let Some(run) = &mut self.run else {
            return Event::Failed;
        };
        if run.state != State::Opening {
            run.error = Some(error);
            return Event::Unreadable;
        }
        self.classify_presented(LoadedRecord::Unreadable(error), inputs)
    }
}
