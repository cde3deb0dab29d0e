use std::{
    any::TypeId,
    cell::{Cell, OnceCell},
    iter,
    rc::Rc,
    sync::Arc,
};

use actix_web::{HttpMessage, dev::ServiceRequest};
use session_core::{Error, RequestSession, Result, Sessions, config::Refresh};

use crate::background_saves;

/// What one middleware has to see to in one request.
pub(crate) struct Slot {
    name: TypeId,
    sessions: Sessions,
    /// Made when somebody asks for the session: a route that does not use it is not to pay for it.
    visit: OnceCell<Arc<RequestSession>>,
    answered: Cell<bool>,
    inside: OnceCell<Inside>,
}

/// What a middleware has found outside of it.
struct Inside {
    outer: Slots,
    /// The slot of the middleware outside that sees to the session in its place.
    shared: Option<Rc<Slot>>,
    /// That slot is of other sessions, which have the cookie's name already.
    refused: bool,
}

/// Where a request carries the slots of the middleware that it has passed: the innermost, which leads to the others.
///
/// One pointer: each request pays for putting it there.
pub(crate) struct Slots(Rc<Slot>);

impl Slot {
    /// The request's session, made now if nobody has asked for it before.
    pub(crate) fn request_session(&self) -> &Arc<RequestSession> {
        self.visit.get_or_init(|| {
            let visit = self.sessions.begin_request_with(background_saves::spawn);
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
    pub(crate) fn answer(&self) -> Option<&Arc<RequestSession>> {
        self.answered.set(true);
        self.visit.get()
    }

    fn cookie(&self) -> &str {
        &self.sessions.settings().cookie().name
    }

    /// Takes its place inside of `outer`: itself, unless one of those sees to its sessions.
    #[cold]
    fn go_inside(self: Rc<Self>, outer: Slots) -> Option<Rc<Self>> {
        // A request may be given to the same middleware once more after its answer.
        let around = || {
            let slots = outer.all().filter(|it| !it.is_refused());
            slots
                .map(Slot::serving_slot)
                .filter(|it| !it.answered.get())
        };
        let same = around().find(|it| it.sessions.is_same(&self.sessions));
        let of_one_cookie = around().find(|it| it.cookie() == self.cookie());
        let refused = same.is_none() && of_one_cookie.is_some();
        let shared = same.or(of_one_cookie).cloned();
        let mine = shared.is_none().then(|| self.clone());
        let _first = self.inside.set(Inside {
            outer,
            shared,
            refused,
        });
        mine
    }

    /// The slot of the middleware that sees to this one's session.
    fn serving_slot(self: &Rc<Self>) -> &Rc<Self> {
        let inside = self.inside.get();
        inside.and_then(|it| it.shared.as_ref()).unwrap_or(self)
    }

    fn is_refused(&self) -> bool {
        self.inside.get().is_some_and(|it| it.refused)
    }
}

impl Slots {
    /// Enters the middleware of the session called `name`: its slot, unless another one sees to these sessions already or has
    /// their cookie.
    #[inline]
    pub(crate) fn enter(
        request: &ServiceRequest,
        name: TypeId,
        sessions: &Sessions,
    ) -> Option<Rc<Slot>> {
        let slot = Rc::new(Slot {
            name,
            sessions: sessions.clone(),
            visit: OnceCell::new(),
            answered: Cell::new(false),
            inside: OnceCell::new(),
        });
        // Inserted at once: nearly always there is nothing outside.
        match request.extensions_mut().insert(Self(slot.clone())) {
            None => Some(slot),
            Some(outer) => slot.go_inside(outer),
        }
    }

    /// The request's session called `name`: of the innermost middleware that the answer has not left, or of the innermost
    /// where it has left all, as in a stream. `None` if there is no such middleware.
    pub(crate) fn request_session(&self, name: TypeId) -> Option<Result<Arc<RequestSession>>> {
        let named = || self.all().filter(|it| it.name == name);
        let slot = named()
            .find(|it| !it.serving_slot().answered.get())
            .or_else(|| named().next())?;
        Some(if slot.is_refused() {
            Err(Error::CookieInUse {
                name: slot.cookie().into(),
            })
        } else {
            Ok(slot.serving_slot().request_session().clone())
        })
    }

    /// From the innermost on.
    fn all(&self) -> impl Iterator<Item = &Rc<Slot>> {
        iter::successors(Some(&self.0), |it| Some(&it.inside.get()?.outer.0))
    }
}
