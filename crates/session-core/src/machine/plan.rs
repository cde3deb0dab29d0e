//! What a save finds to be done.

use super::{
    Ending, Goal, Inputs, Machine, Origin,
    table::{Event, holds},
};
use crate::{content::Content, op::Op};

impl Machine {
    /// Finds out what is to be done.
    pub(super) fn plan(&mut self, inputs: &mut Inputs<'_>) {
        let event = self.wish(inputs);
        self.follow(event, inputs);
    }

    pub(super) fn wish(&mut self, inputs: &Inputs<'_>) -> Event {
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
            Some(Ending::Unseen(key, form)) => {
                run.key = Some((key, form));
                return Event::EndsUnseen;
            }
            Some(Ending::Expired(key, form)) => {
                run.key = Some((key, form));
                run.ends_expired = true;
                return Event::EndsUnseen;
            }
            Some(Ending::NotLoaded) => {
                self.endings.push(Ending::NotLoaded);
                return Event::ChangesUnknown;
            }
            None => {}
        }
        let login = Op::login(&run.ops).is_some();
        let changes = !run.ops.is_empty();
        match &self.origin {
            Origin::Detached if changes || run.renew || run.extend => Event::ChangesUnknown,
            Origin::Late(..) if changes && !login => Event::ArrivedLate,
            Origin::Ended | Origin::Taken(..) if changes => Event::ChangesEnded,
            Origin::New | Origin::Damaged(..) | Origin::Late(..)
                if run.goal != Goal::Reload
                    && changes
                    && !self.view.as_ref().is_none_or(Content::is_empty) =>
            {
                if head_sent {
                    Event::AfterHead
                } else {
                    Event::HasData
                }
            }
            Origin::Live(live) if run.goal == Goal::Reload => {
                run.key = Some((live.key.clone(), live.form));
                Event::WantsReload
            }
            Origin::Live(_) if run.renew || (login && holds!(LoginRenews)) => {
                if head_sent {
                    return Event::AfterHead;
                }
                Event::Renews
            }
            Origin::Live(live) if changes || run.extend => {
                let sends_ids = !head_sent || !holds!(MovesBeforeTheHead);
                if rules.next_form(live.form).is_some() && changes && sends_ids {
                    Event::Renews
                } else if (inputs.others_wait)(&live.key) {
                    run.key = Some((live.key.clone(), live.form));
                    Event::HasChangesInQueue
                } else {
                    Event::HasChanges
                }
            }
            Origin::Live(live)
                if run.goal == Goal::Finish && !self.moved && rules.refreshes(live, inputs.now) =>
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
