//! Rotations: when one begins, and what follows from an id that was rotated long ago.

use super::{Ending, Goal, Inputs, Machine, Origin, Saved, run::Run, table::State};
use crate::{
    id::{Nonce, SessionId},
    rules::Live,
};

impl Machine {
    /// If the id is to be rotated after the save of a request's end, prepares the run for it, and
    /// returns true. `saved` is the result of the save, which the run keeps.
    pub(super) fn restart_for_rotation(&mut self, saved: Saved, inputs: &Inputs<'_>) -> bool {
        let Some(run) = &mut self.run else {
            return false;
        };
        let due = match &self.origin {
            Origin::Live(live) => inputs.rules.rotates(live, inputs.now),
            _ => false,
        };
        let settled = run.rotates.is_some() || run.refusal.is_some();
        if !due || run.goal != Goal::Finish || settled || self.head_sent {
            return false;
        }
        let owner = match &self.origin {
            Origin::Live(live) => live.content.owner.clone(),
            _ => None,
        };
        *run = Run {
            awaited: run.awaited,
            owner,
            rotates: Some(saved),
            ..Run::new(run.number, run.goal)
        };
        // What the request changed is in the record by now, with what others changed.
        if self.ops.is_empty() {
            self.view = None;
        }
        true
    }

    /// Gives a rotation its nonce.
    pub(super) fn prepare_rotation(&mut self, inputs: &mut Inputs<'_>) {
        if let Some(run) = &mut self.run
            && run.rotates.is_some()
        {
            let mut nonce = [0; Nonce::LEN];
            (inputs.random)(&mut nonce);
            run.nonce = Some(Nonce::of(nonce));
        }
    }

    /// The record that the run rotates, its id, and the nonce.
    pub(super) fn rotation(&self) -> Option<(&Live, &SessionId, Nonce)> {
        let run = self
            .run
            .as_ref()
            .filter(|run| run.state == State::Copying)?;
        let live = run.live.as_deref()?;
        Some((live, live.id.as_ref()?, run.nonce?))
    }

    /// Draws the consequences of a presented id that was rotated long ago, once all ids of the
    /// request are tried. `lineage` is that of the session that another one opened.
    pub(super) fn settle_refused(&mut self, lineage: Option<[u8; 16]>, inputs: &Inputs<'_>) {
        let Some(run) = &mut self.run else { return };
        let Some(refused) = &run.refused else { return };
        let presented = (refused.key.clone(), refused.form);
        // A browser with an old cookie beside the new one has the session.
        if lineage == Some(refused.lineage) {
            run.others.push(presented);
            return;
        }
        inputs.rules.events.rotated_id(refused.lineage);
        let ends = inputs.rules.settings.rotated_id_ends_session;
        let now = self.arrived.map_or(inputs.now, |it| it.min(inputs.now));
        if lineage.is_none() && refused.late_until > now && run.late.is_none() {
            run.late = Some(presented);
        } else if !ends {
            run.others.push(presented);
        }
        if ends {
            self.endings.push(Ending::Rotated(refused.clone()));
        }
    }
}
