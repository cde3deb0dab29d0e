use super::{
    ATTEMPTS,
    work::{Found, Work},
};
use crate::{
    codec::Form,
    content::Lineage,
    error::{Error, Result},
    key::StoreKey,
};

impl Work<'_> {
    /// Ends the session under `key`, or its successor; says whether it was this call that ended it.
    ///
    /// With `owner`, only if it is still that owner's; with `keep`, not if it is of that lineage. To end is not to
    /// delete: a renewal beside it would go on.
    pub(crate) async fn end(
        &self,
        key: &StoreKey,
        form: Form,
        owner: Option<&str>,
        keep: Option<&Lineage>,
    ) -> Result<bool> {
        let mut key = key.clone();
        let mut lane = None;
        for attempt in 1..=ATTEMPTS {
            let live = match self.look(&key, form).await? {
                Found::Live(live) => live,
                Found::Retired(successor) => {
                    key = successor;
                    continue;
                }
                Found::Ended => return Ok(false),
                Found::Absent => {
                    self.gone()?;
                    return Ok(false);
                }
            };
            let spared = keep.is_some() && live.content.lineage.as_ref() == keep;
            if spared || (owner.is_some() && live.content.owner.as_deref() != owner) {
                return Ok(false);
            }
            if self
                .update(&key, &self.marker(&live, None)?, &live.revision)
                .await?
                .is_stored()
            {
                if !Self::keeps_markers(form) {
                    self.discard(&key).await;
                }
                return Ok(true);
            }
            drop(lane.take());
            lane = Some(self.queue(&key, attempt).await?);
        }
        Err(Error::Contended)
    }
}
