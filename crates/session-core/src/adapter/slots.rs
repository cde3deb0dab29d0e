//! How several middleware around one request find each other: which of them handles the session.

use std::{
    any::TypeId,
    iter,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    background_saves,
    opening::Opening,
    saving::{Finished, Saving},
};
use crate::{Carrier, Error, Finish, RequestSession, Result, Session, Sessions, config::Refresh};

/// What one middleware does for one request.
#[derive(Debug)]
pub struct Slot {
    name: TypeId,
    sessions: Sessions,
    /// Created when the session is asked for, so that a route that does not use it does not pay for
    /// it.
    request_session: Mutex<Option<RequestSession>>,
    /// Set while that is locked, so that no session is created between it and the end of the
    /// request.
    has_left: AtomicBool,
    inside: OnceLock<Inside>,
}

/// What a middleware has found around itself.
#[derive(Debug)]
struct Inside {
    outer: Slots,
    /// The slot of the outer middleware that handles the session in its place.
    shared: Option<Arc<Slot>>,
    /// The cookie or the header in common, if that slot belongs to other `Sessions`.
    refused: Option<Box<str>>,
}

/// Where a name stands that only one of the sessions around a request may have.
#[derive(PartialEq, Eq)]
enum Place {
    Cookie,
    RequestHeader,
    ResponseHeader,
}

/// The slots of all middleware that a request has passed: the innermost, which refers to the
/// others. An adapter keeps it in the request's extensions.
///
/// It is one pointer, because each request pays for storing it.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Slot>);

impl Slot {
    /// The request's session. The first call creates it.
    pub fn request_session(&self) -> RequestSession {
        let mut created = self.lock();
        let request_session = created.get_or_insert_with(|| {
            let request_session = self.sessions.begin_request_with(background_saves::spawn);
            if self.has_left() {
                // Tells it that the head was sent.
                drop(request_session.finish());
            }
            request_session
        });
        request_session.clone()
    }

    /// Whether the session is to be opened although nobody asked for it.
    pub fn is_opened_untouched(&self) -> bool {
        self.sessions.settings().refresh() == Refresh::EveryRequest
    }

    /// Ends the use of the session, because the handler has answered. What is changed afterwards is
    /// after the response's head.
    pub fn finish(&self) -> Finished {
        let Some(request_session) = self.leave() else {
            return Finished::Unused;
        };
        match request_session.finish() {
            Finish::Ready(headers) => Finished::Ready(headers),
            Finish::Pending(save) => Finished::Saving(Saving::new(save, request_session)),
        }
    }

    /// Records that the response leaves the middleware. Returns the session that is to be finished,
    /// if it was asked for.
    fn leave(&self) -> Option<RequestSession> {
        let created = self.lock();
        self.has_left.store(true, Ordering::Relaxed);
        created.clone()
    }

    /// Ends the use of the session if the handler is dropped before its response: see
    /// [`RequestSession::cut_off`]. Does nothing after [`finish`](Self::finish).
    #[inline]
    pub fn cut_off(&self) {
        if self.has_left() {
            return;
        }
        if let Some(request_session) = self.leave() {
            request_session.cut_off();
        }
    }

    #[inline]
    fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<RequestSession>> {
        let locked = self.request_session.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// What no other sessions may have: the names of cookies, or of the headers that they read and
    /// write.
    fn own_names(&self) -> impl Iterator<Item = (Place, &str)> {
        let settings = self.sessions.settings();
        let header = settings.id_header();
        let cookie = header.is_none().then(|| &*settings.cookie().name);
        #[cfg(feature = "dbsc")]
        let bound = settings.device_binding().map(|it| &*it.cookie().name);
        #[cfg(not(feature = "dbsc"))]
        let bound = None;
        let cookies = cookie.into_iter().chain(bound);
        let headers = header.into_iter().flat_map(|it| {
            [
                (Place::RequestHeader, it.request()),
                (Place::ResponseHeader, it.response()),
            ]
        });
        cookies.map(|name| (Place::Cookie, name)).chain(headers)
    }

    /// The cookie or the header that both have.
    fn in_common(&self, other: &Self) -> Option<Box<str>> {
        let common = |it: &(Place, &str)| other.own_names().any(|other| other == *it);
        self.own_names().find(common).map(|(_, name)| name.into())
    }

    /// Enters this slot inside of `outer`. Returns it, unless one of those handles its session or
    /// has a cookie of its own.
    #[cold]
    fn nest_in(self: Arc<Self>, outer: Slots) -> Option<Arc<Self>> {
        // A request may pass the same middleware again after its response.
        let around = || {
            let slots = outer.all().filter(|it| !it.is_refused());
            slots.map(Slot::serving_slot).filter(|it| !it.has_left())
        };
        let same = around().find(|it| it.sessions.is_same(&self.sessions));
        let (other, refused) = around()
            .filter(|_| same.is_none())
            .find_map(|it| Some((it, self.in_common(it)?)))
            .unzip();
        let shared = same.or(other).cloned();
        let mine = shared.is_none().then(|| self.clone());
        let _first = self.inside.set(Inside {
            outer,
            shared,
            refused,
        });
        mine
    }

    /// The slot of the middleware that handles this one's session.
    fn serving_slot(self: &Arc<Self>) -> &Arc<Self> {
        let inside = self.inside.get();
        inside.and_then(|it| it.shared.as_ref()).unwrap_or(self)
    }

    fn refused(&self) -> Option<&str> {
        self.inside.get()?.refused.as_deref()
    }

    fn is_refused(&self) -> bool {
        self.refused().is_some()
    }
}

impl Slots {
    /// Enters the middleware of the session named `name`. `insert` puts the slots into the
    /// request's extensions and returns those that were there. Returns the middleware's slot,
    /// unless an outer one handles these sessions already or has a cookie of theirs.
    pub fn enter(
        name: TypeId,
        sessions: &Sessions,
        insert: impl FnOnce(Self) -> Option<Self>,
    ) -> Option<Arc<Slot>> {
        let slot = Arc::new(Slot {
            name,
            sessions: sessions.clone(),
            request_session: Mutex::default(),
            has_left: AtomicBool::new(false),
            inside: OnceLock::new(),
        });
        // Inserted without a look-up first: nearly always there is no outer middleware.
        let slot = match insert(Self(slot.clone())) {
            None => slot,
            Some(outer) => slot.nest_in(outer)?,
        };
        // Rotation depends on when the request arrived.
        if slot.sessions.settings().rotation().is_some() {
            drop(slot.request_session());
        }
        Some(slot)
    }

    /// Opens the session named `name` of the request that has `found` in its extensions. In a debug
    /// build it is told its `route`, for the warning about changes that are not saved.
    ///
    /// `values` has those of a header of the request. `of_test` is the session that a test put into
    /// a request without a middleware.
    pub fn open<'h, S, I: Iterator<Item = &'h [u8]>>(
        found: Option<&Self>,
        name: TypeId,
        values: impl Fn(Carrier<'_>) -> I,
        route: impl Fn() -> Option<String>,
        of_test: impl FnOnce() -> Option<Session>,
    ) -> Opening<S> {
        match found.and_then(|slots| slots.request_session(name)) {
            Some(Ok(request_session)) => {
                if cfg!(debug_assertions)
                    && let Some(route) = route()
                {
                    request_session.set_route(route);
                }
                let opening = request_session.session(&mut values(request_session.carrier()));
                #[cfg(feature = "dbsc")]
                let opening = opening.with_headers(values);
                Opening::of(opening)
            }
            Some(Err(error)) => Opening::done(Err(error)),
            None => Opening::done(of_test().ok_or_else(|| Error::NoMiddleware {
                route: route().map(Into::into),
            })),
        }
    }

    /// The request's session named `name`, if it was loaded before.
    pub fn loaded(&self, name: TypeId) -> Option<Session> {
        self.request_session(name)?.ok()?.loaded()
    }

    /// The request's session named `name`: that of the innermost middleware which the response has
    /// not left. If it has left all, as in a stream, that of the innermost. `None` without a
    /// middleware of this name.
    fn request_session(&self, name: TypeId) -> Option<Result<RequestSession>> {
        let named = || self.all().filter(|it| it.name == name);
        let slot = named()
            .find(|it| !it.serving_slot().has_left())
            .or_else(|| named().next())?;
        Some(match slot.refused() {
            Some(name) => Err(Error::CookieInUse { name: name.into() }),
            None => Ok(slot.serving_slot().request_session()),
        })
    }

    /// All slots, the innermost first.
    fn all(&self) -> impl Iterator<Item = &Arc<Slot>> {
        iter::successors(Some(&self.0), |it| Some(&it.inside.get()?.outer.0))
    }
}
