use std::{any::TypeId, sync::Arc};

use actix_web::{HttpMessage, dev::ServiceRequest};
use session_core::{Sessions, Visit};

use crate::SessionError;

/// Where a request carries its visits: one for each middleware that it has passed, the innermost last.
pub(crate) struct Slots {
    // Nearly always the only one, so that it needs no allocation of its own.
    outermost: Slot,
    inner: Vec<Slot>,
}

struct Slot {
    name: TypeId,
    sessions: Sessions,
    /// `None` where other sessions have the cookie's name by now.
    visit: Option<Arc<Visit>>,
}

impl Slot {
    /// Whether the answer has left the middleware: a request may be given to it once more.
    fn is_answered(&self) -> bool {
        self.visit.as_ref().is_some_and(|it| it.is_finished())
    }

    fn cookie(&self) -> &str {
        &self.sessions.settings().cookie().name
    }
}

impl Slots {
    /// Enters the middleware of the session called `name`: the visit that it has to see to, if no other one does.
    pub(crate) fn enter(
        request: &ServiceRequest,
        name: TypeId,
        sessions: &Sessions,
    ) -> Option<Arc<Visit>> {
        let mut extensions = request.extensions_mut();
        let slot = |visit| Slot {
            name,
            sessions: sessions.clone(),
            visit,
        };
        let Some(slots) = extensions.get_mut::<Self>() else {
            let visit = sessions.visit();
            extensions.insert(Self {
                outermost: slot(Some(visit.clone())),
                inner: Vec::new(),
            });
            return Some(visit);
        };
        let around = || slots.all().filter(|it| !it.is_answered());
        let (mine, visit) = match around().find(|it| it.sessions.is_same(sessions)) {
            Some(same) => (None, same.visit.clone()),
            None if around().any(|it| it.cookie() == sessions.settings().cookie().name) => {
                (None, None)
            }
            None => {
                let visit = sessions.visit();
                (Some(visit.clone()), Some(visit))
            }
        };
        slots.inner.push(slot(visit));
        mine
    }

    /// The visit of the session called `name`: of the innermost middleware that the answer has not left, or of the innermost
    /// where it has left all, as in a stream.
    pub(crate) fn visit(&self, name: TypeId) -> Result<Arc<Visit>, SessionError> {
        let named = || self.all().rev().filter(|it| it.name == name);
        let slot = named()
            .find(|it| !it.is_answered())
            .or_else(|| named().next())
            .ok_or_else(SessionError::no_middleware)?;
        slot.visit
            .clone()
            .ok_or_else(|| SessionError::cookie_in_use(slot.cookie()))
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &Slot> {
        std::iter::once(&self.outermost).chain(&self.inner)
    }
}
