use std::{
    any::TypeId,
    cell::{Cell, OnceCell},
    iter,
    rc::Rc,
    sync::Arc,
};

use actix_web::{HttpMessage, dev::ServiceRequest};
use session_core::{Sessions, Visit, config::Refresh};

use crate::{SessionError, abandoned};

/// What one middleware has to see to in one request.
pub(crate) struct Slot {
    sessions: Sessions,
    /// Made when somebody asks for the session: a route that does not use it is not to pay for it.
    visit: OnceCell<Arc<Visit>>,
    answered: Cell<bool>,
}

/// Where a request carries the slots of the middleware that it has passed: the innermost, which leads to the others.
pub(crate) struct Slots {
    name: TypeId,
    slot: Rc<Slot>,
    /// The slot is that of other sessions, which have the cookie's name already.
    refused: bool,
    outer: Option<Box<Slots>>,
}

impl Slot {
    /// The visit, made now if nobody has asked for it before.
    pub(crate) fn visit(&self) -> &Arc<Visit> {
        self.visit.get_or_init(|| {
            let visit = self.sessions.visit_finished_by(abandoned::go_on);
            if self.answered.get() {
                // It has to know that the head was sent.
                drop(visit.finish());
            }
            visit
        })
    }

    /// Whether the session is opened although nobody has asked for it.
    pub(crate) fn is_opened_untouched(&self) -> bool {
        self.sessions.settings().refresh() == Refresh::EveryRequest
    }

    /// Says that the answer leaves the middleware, and gives what is to be finished.
    pub(crate) fn answer(&self) -> Option<&Arc<Visit>> {
        self.answered.set(true);
        self.visit.get()
    }

    fn cookie(&self) -> &str {
        &self.sessions.settings().cookie().name
    }
}

impl Slots {
    /// Enters the middleware of the session called `name`: its slot, unless another one sees to these sessions already or has
    /// their cookie.
    pub(crate) fn enter(
        request: &ServiceRequest,
        name: TypeId,
        sessions: &Sessions,
    ) -> Option<Rc<Slot>> {
        let slot = Rc::new(Slot {
            sessions: sessions.clone(),
            visit: OnceCell::new(),
            answered: Cell::new(false),
        });
        let mut extensions = request.extensions_mut();
        // Inserted at once: nearly always there is nothing outside.
        let outer = extensions.insert(Self {
            name,
            slot: slot.clone(),
            refused: false,
            outer: None,
        });
        match outer {
            None => Some(slot),
            Some(outer) => extensions.get_mut::<Self>()?.go_inside(outer),
        }
    }

    #[cold]
    fn go_inside(&mut self, outer: Self) -> Option<Rc<Slot>> {
        // A request may be given to the same middleware once more after its answer.
        let around = || {
            let slots = outer.all().filter(|it| !it.refused);
            slots.map(|it| &it.slot).filter(|it| !it.answered.get())
        };
        let same = around().find(|it| it.sessions.is_same(&self.slot.sessions));
        let of_one_cookie = around().find(|it| it.cookie() == self.slot.cookie());
        self.refused = same.is_none() && of_one_cookie.is_some();
        let shared = same.or(of_one_cookie).cloned();
        let mine = shared.is_none().then(|| self.slot.clone());
        if let Some(shared) = shared {
            self.slot = shared;
        }
        self.outer = Some(Box::new(outer));
        mine
    }

    /// The visit of the session called `name`: of the innermost middleware that the answer has not left, or of the innermost
    /// where it has left all, as in a stream.
    pub(crate) fn visit(&self, name: TypeId) -> Result<Arc<Visit>, SessionError> {
        let named = || self.all().filter(|it| it.name == name);
        let slots = named()
            .find(|it| !it.slot.answered.get())
            .or_else(|| named().next())
            .ok_or_else(SessionError::no_middleware)?;
        if slots.refused {
            return Err(SessionError::cookie_in_use(slots.slot.cookie()));
        }
        Ok(slots.slot.visit().clone())
    }

    /// From the innermost on.
    fn all(&self) -> impl Iterator<Item = &Self> {
        iter::successors(Some(self), |it| it.outer.as_deref())
    }
}
