//! Finds out what a save, a reload or the end of a request has to do.

use super::{
    Ending, Goal, Inputs, Machine, Origin,
    table::{Event, rule_holds},
};
use crate::{content::Content, op::Op};

impl Machine {
    /// Finds out what the run has to do, and begins it.
    pub(super) fn plan(&mut self, inputs: &mut Inputs<'_>) {
        let event = self.work_to_do(inputs);
        self.transition(event, inputs);
    }

    pub(super) fn work_to_do(&mut self, inputs: &Inputs<'_>) -> Event {
        let rules = inputs.rules;
        let (head_sent, sends_id) = (self.head_sent, self.sends_id());
        let Some(run) = &mut self.run else {
            return Event::NothingToDo;
        };
        let ending = if run.goal == Goal::Reload {
            None
        } else {
            self.endings.pop()
        };
        match ending {
            Some(Ending::Live(live)) => {
                run.key = Some((live.key.clone(), live.form));
                run.live = Some(live);
                return Event::EndsLive;
            }
            Some(Ending::Unloaded(key, form)) => {
                run.key = Some((key, form));
                return Event::EndsUnloaded;
            }
            Some(Ending::Presented(key, form)) => {
                run.key = Some((key, form));
                run.may_be_dead = true;
                return Event::EndsUnloaded;
            }
            Some(Ending::Rotated(refused)) => {
                run.key = Some((refused.key.clone(), refused.form));
                run.may_be_dead = true;
                run.ends_rotated = Some(refused);
                return Event::EndsUnloaded;
            }
            Some(Ending::NotLoaded) => {
                self.endings.push(Ending::NotLoaded);
                return Event::ChangesNotLoaded;
            }
            None => {}
        }
        let login = Op::login(&run.ops).is_some();
        let changes = !run.ops.is_empty();
        match &self.origin {
            Origin::NotLoaded if changes || run.renew || run.extend => Event::ChangesNotLoaded,
            Origin::Late(..) if changes && !login => Event::ArrivedLate,
            Origin::Ended | Origin::OtherOwner(..) if changes => Event::ChangesEnded,
            Origin::New | Origin::Damaged(..) | Origin::Late(..)
                if run.goal != Goal::Reload
                    && changes
                    && !self.view.as_ref().is_none_or(Content::is_empty) =>
            {
                if head_sent {
                    Event::NeedsSentHead
                } else {
                    Event::HasData
                }
            }
            Origin::Live(live) if run.goal == Goal::Reload => {
                run.key = Some((live.key.clone(), live.form));
                Event::ReloadRequested
            }
            Origin::Live(_) if run.renews() => {
                if head_sent {
                    return Event::NeedsSentHead;
                }
                Event::Renews
            }
            Origin::Live(live) if changes || run.extend => {
                let sends_ids = !head_sent || !rule_holds!(MovesOnlyBeforeHead);
                if rules.next_form(live.form).is_some() && changes && sends_ids {
                    Event::Renews
                } else if (inputs.is_busy)(&live.key) {
                    run.key = Some((live.key.clone(), live.form));
                    Event::HasChangesInQueue
                } else {
                    Event::HasChanges
                }
            }
            Origin::Live(live)
                if run.goal == Goal::Finish
                    && !self.expiry_moved
                    && rules.refreshes(live, inputs.now) =>
            {
                Event::RefreshDue
            }
            Origin::Live(live) if run.goal == Goal::Finish && sends_id => {
                run.key = Some((live.key.clone(), live.form));
                Event::CookiePending
            }
            _ => Event::NothingToDo,
        }
    }
}
