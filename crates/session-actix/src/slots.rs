//! How several middleware around one request find each other: which of them handles the session.

use std::{
    any::TypeId,
    cell::{Cell, OnceCell},
    iter,
    rc::Rc,
};

use actix_web::{HttpMessage, dev::ServiceRequest};
use session_core::{Error, RequestSession, Result, Sessions, config::Refresh};

use crate::background_saves;

/// What one middleware does for one request.
pub(crate) struct Slot {
    name: TypeId,
    sessions: Sessions,
    /// Created when the session is asked for, so that a route that does not use it does not pay for
    /// it.
    request_session: OnceCell<RequestSession>,
    has_left: Cell<bool>,
    inside: OnceCell<Inside>,
}

/// What a middleware has found around itself.
struct Inside {
    outer: Slots,
    /// The slot of the outer middleware that handles the session in its place.
    shared: Option<Rc<Slot>>,
    /// Whether that slot belongs to other `Sessions` with the same cookie name.
    refused: bool,
}

/// The slots of all middleware that a request has passed: the innermost, which refers to the
/// others.
///
/// It is one pointer, because each request pays for storing it.
pub(crate) struct Slots(Rc<Slot>);

impl Slot {
    /// The request's session. The first call creates it.
    pub(crate) fn request_session(&self) -> &RequestSession {
        self.request_session.get_or_init(|| {
            let request_session = self.sessions.begin_request_with(background_saves::spawn);
            if self.has_left.get() {
                // Tells it that the head was sent.
                drop(request_session.finish());
            }
            request_session
        })
    }

    /// Whether the session is opened although nobody asked for it.
    pub(crate) fn is_opened_untouched(&self) -> bool {
        self.sessions.settings().refresh() == Refresh::EveryRequest
    }

    /// Whether the session's part in the request begins with the request, because rotation depends
    /// on when that arrived.
    #[inline]
    pub(crate) fn begins_at_once(&self) -> bool {
        self.sessions.settings().rotation().is_some()
    }

    /// Records that the response leaves the middleware. Returns the session that is to be finished.
    pub(crate) fn leave(&self) -> Option<&RequestSession> {
        self.has_left.set(true);
        self.request_session.get()
    }

    /// Ends the use of the session if the handler is dropped before its response.
    #[inline]
    pub(crate) fn cut_off(&self) {
        if self.has_left.get() {
            return;
        }
        if let Some(request_session) = self.leave() {
            request_session.cut_off();
        }
    }

    fn cookie(&self) -> &str {
        &self.sessions.settings().cookie().name
    }

    /// Enters this slot inside of `outer`. Returns it, unless one of those handles its session or
    /// has its cookie name.
    #[cold]
    fn nest_in(self: Rc<Self>, outer: Slots) -> Option<Rc<Self>> {
        // A request may pass the same middleware again after its response.
        let around = || {
            let slots = outer.all().filter(|it| !it.is_refused());
            slots
                .map(Slot::serving_slot)
                .filter(|it| !it.has_left.get())
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

    /// The slot of the middleware that handles this one's session.
    fn serving_slot(self: &Rc<Self>) -> &Rc<Self> {
        let inside = self.inside.get();
        inside.and_then(|it| it.shared.as_ref()).unwrap_or(self)
    }

    fn is_refused(&self) -> bool {
        self.inside.get().is_some_and(|it| it.refused)
    }
}

impl Slots {
    /// Enters the middleware of the session named `name`. Returns its slot, unless an outer one
    /// handles these sessions already or has their cookie name.
    #[inline]
    pub(crate) fn enter(
        request: &ServiceRequest,
        name: TypeId,
        sessions: &Sessions,
    ) -> Option<Rc<Slot>> {
        let slot = Rc::new(Slot {
            name,
            sessions: sessions.clone(),
            request_session: OnceCell::new(),
            has_left: Cell::new(false),
            inside: OnceCell::new(),
        });
        // Inserted without a look-up first: nearly always there is no outer middleware.
        match request.extensions_mut().insert(Self(slot.clone())) {
            None => Some(slot),
            Some(outer) => slot.nest_in(outer),
        }
    }

    /// The request's session named `name`: that of the innermost middleware which the response has
    /// not left. If it has left all, as in a stream, that of the innermost. `None` without a
    /// middleware of this name.
    pub(crate) fn request_session(&self, name: TypeId) -> Option<Result<RequestSession>> {
        let named = || self.all().filter(|it| it.name == name);
        let slot = named()
            .find(|it| !it.serving_slot().has_left.get())
            .or_else(|| named().next())?;
        Some(if slot.is_refused() {
            Err(Error::CookieInUse {
                name: slot.cookie().into(),
            })
        } else {
            Ok(slot.serving_slot().request_session().clone())
        })
    }

    /// All slots, the innermost first.
    fn all(&self) -> impl Iterator<Item = &Rc<Slot>> {
        iter::successors(Some(&self.0), |it| Some(&it.inside.get()?.outer.0))
    }
}
