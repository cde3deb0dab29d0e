use super::{
    ATTEMPTS,
    work::{Found, Live, Work},
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
    /// delete: a renewal beside it would go on. `seen` is what the caller found there, to try first.
    pub(crate) async fn end(
        &self,
        key: &StoreKey,
        form: Form,
        mut seen: Option<Found>,
        terms: EndTerms<'_>,
    ) -> Result<bool> {
        let mut key = key.clone();
        let mut lane = None;
        for attempt in 1..=ATTEMPTS {
            let found = match seen.take() {
                Some(found) => found,
                None => self.look(&key, form).await?,
            };
            let live = match found {
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
            if !terms.allow(&live) {
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

/// Which sessions may be ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EndTerms<'t> {
    /// Only this owner's.
    pub(crate) owner: Option<&'t str>,
    /// Not the one of this lineage.
    pub(crate) keep: Option<&'t Lineage>,
}

impl EndTerms<'_> {
    fn allow(self, live: &Live) -> bool {
        let kept = self.keep.is_some() && live.content.lineage.as_ref() == self.keep;
        let owned = self.owner.is_none() || live.content.owner.as_deref() == self.owner;
        owned && !kept
    }
}
