use std::sync::Arc;

use tokio::time::Instant;

use super::Session;
use crate::{
    codec::Form,
    content::{Content, Lineage},
    error::Result,
    lifecycle::{Found, Live, Origin, Work},
    shared::{Presented, Shared},
};

impl Session {
    /// The session that a request presented; anonymous if it presented none that is live.
    pub(crate) async fn open(shared: Arc<Shared>, presented: Option<Presented>) -> Result<Self> {
        let session = Self::at(shared, Origin::New);
        if let Some(presented) = presented {
            let found = session.work().look(&presented.key, presented.form).await?;
            let mut state = session.state();
            match found {
                Found::Live(live) => {
                    state.origin = Origin::Live(Live {
                        id: Some(presented.id),
                        outdated: presented.outdated,
                        ..live
                    });
                }
                Found::Retired(_) => {
                    state.origin = Origin::Late;
                    state.late = Some((presented.key, presented.form));
                }
                Found::Ended | Found::Absent => {}
            }
        }
        Ok(session)
    }

    /// An anonymous session of which nothing is ever written.
    pub(crate) fn detached(shared: Arc<Shared>) -> Self {
        Self::at(shared, Origin::Detached)
    }

    /// Looks at the store again; changes that are not saved yet are made on what it finds.
    ///
    /// # Errors
    ///
    /// If the store fails, or a change no longer fits what was found.
    pub async fn reload(&self) -> Result<()> {
        let _turn = self.0.turn.lock().await;
        let live = self.state().live().cloned();
        if let Some(live) = live {
            let origin = match self.work().follow(&live).await? {
                Found::Live(fresh) => Origin::Live(fresh),
                Found::Absent | Found::Ended | Found::Retired(_) => Origin::Ended,
            };
            self.state().rebase(origin);
            self.remake()?;
        }
        Ok(())
    }

    /// Makes the changes that are still to be saved on the session's present content.
    pub(super) fn remake(&self) -> Result<()> {
        loop {
            let (content, ops, version) = {
                let state = self.state();
                (state.base().clone(), state.ops.clone(), state.version)
            };
            if ops.is_empty() {
                return Ok(());
            }
            let view = self.work().replay(&content, &ops)?;
            let mut state = self.state();
            if state.version == version {
                state.set_view(view);
                return Ok(());
            }
        }
    }

    pub(super) fn work(&self) -> Work<'_> {
        self.work_since(self.state().since)
    }

    pub(super) fn work_since(&self, since: Instant) -> Work<'_> {
        Work {
            shared: &self.0.shared,
            budget: &self.0.budget,
            since,
        }
    }
}

impl Shared {
    /// Notes on `content` what the library itself says of a session from its first record on.
    pub(crate) fn note(&self, form: Form, content: &mut Content) {
        if form == Form::Native {
            content.lineage.get_or_insert_with(Lineage::random);
        }
        if form == Form::Native || self.settings.absolute_timeout.is_some() {
            content.created_at.get_or_insert_with(|| self.now());
        }
    }
}
