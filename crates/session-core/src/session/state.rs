use tokio::time::Instant;

use crate::{
    codec::Form,
    content::Content,
    key::StoreKey,
    lifecycle::{Found, Live, Origin},
    op::Op,
};

/// A session to end, and what was last seen of it.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    Record {
        key: StoreKey,
        form: Form,
        seen: Option<Box<Found>>,
    },
    /// It could not be loaded, so nobody can say that it is ended.
    NeverSeen,
}

/// What became of the request's writes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    None,
    /// The last one has moved the expiry too: there is nothing left to refresh.
    Stored,
    /// The outcome of one is unknown: nothing may be reported as saved any more.
    Unknown,
}

/// A session as one request sees it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) origin: Origin,
    /// What a session without a record starts from.
    blank: Content,
    /// The origin's content with `ops` made, if there are any.
    changed: Option<Content>,
    /// What is to be saved.
    pub(super) ops: Vec<Op>,
    pub(super) renew: bool,
    /// The record to end, of a session that was destroyed.
    pub(super) ending: Option<Ending>,
    /// Counts the changes, so that one made meanwhile is noticed.
    pub(super) version: u64,
    pub(super) cookie: Option<String>,
    pub(super) head_sent: bool,
    pub(super) writes: Writes,
    pub(super) since: Instant,
    /// The record that the request's id opened, and in which form, if it was renewed by then.
    pub(super) late: Option<(StoreKey, Form)>,
}

impl State {
    pub(super) fn new(origin: Origin, blank: Content) -> Self {
        Self {
            origin,
            blank,
            changed: None,
            ops: Vec::new(),
            renew: false,
            ending: None,
            version: 0,
            cookie: None,
            head_sent: false,
            writes: Writes::None,
            since: Instant::now(),
            late: None,
        }
    }

    /// The session with every change made.
    pub(super) fn view(&self) -> &Content {
        self.changed.as_ref().unwrap_or_else(|| self.base())
    }

    /// The session without the changes that are still to be saved.
    pub(super) fn base(&self) -> &Content {
        self.live().map_or(&self.blank, |live| &live.content)
    }

    pub(super) fn live(&self) -> Option<&Live> {
        match &self.origin {
            Origin::Live(live) => Some(live),
            _ => None,
        }
    }

    /// Notes a change and what the session is with it.
    pub(super) fn record(&mut self, op: Op, view: Content) {
        self.ops.push(op);
        self.changed = Some(view);
        self.version += 1;
    }

    /// Replaces what the session is with its changes.
    pub(super) fn set_view(&mut self, view: Content) {
        self.changed = Some(view);
        self.version += 1;
    }

    /// Goes on from `origin`, with none of the changes so far.
    pub(super) fn rebase(&mut self, origin: Origin) {
        self.origin = origin;
        self.changed = None;
        self.version += 1;
    }

    pub(super) fn destroy(&mut self, removal: String) {
        let before = std::mem::replace(&mut self.origin, Origin::New);
        match before {
            Origin::Live(live) => {
                self.ending = Some(Ending::Record {
                    key: live.key.clone(),
                    form: live.form,
                    seen: Some(Box::new(Found::Live(live))),
                });
            }
            Origin::Late => {
                self.ending = self.late.take().map(|(key, form)| Ending::Record {
                    key,
                    form,
                    seen: None,
                });
            }
            Origin::Detached => {
                self.origin = Origin::Detached;
                self.ending = Some(Ending::NeverSeen);
            }
            Origin::New | Origin::Ended => {}
        }
        self.ops.clear();
        self.changed = None;
        self.renew = false;
        self.version += 1;
        // A session with a record keeps its cookie until its end is confirmed.
        if self.ending.is_none() {
            self.cookie = Some(removal);
        }
    }

    /// Whether there is anything to save.
    pub(super) fn is_dirty(&self) -> bool {
        !self.ops.is_empty() || self.renew || self.ending.is_some()
    }
}
