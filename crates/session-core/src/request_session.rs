//! What an adapter does with the session of one request: open it, finish it, write its headers.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

#[cfg(feature = "dbsc")]
use crate::dbsc::{FetchMetadata, SKIPPED, skipped};
#[cfg(feature = "flask-cookie")]
use crate::flask::{Import, PresentedCookies, import};
use crate::{
    config::{IdHeader, OnStoreFailure, Settings},
    driver::{Aim, Drive, Request, Unsaved},
    error::{Error, Result},
    expiry::Millis,
    machine::{Goal, Machine, Saved, table::rule_holds},
    rules::Presented,
    session::Session,
    shared::Shared,
    short_list::ShortList,
};

/// A route that does not use its session waits for this part of the store time: a tenth.
const UNTOUCHED_SHARE: u32 = 10;

/// One request's use of the session. The session is loaded when it is first asked for, and only
/// once.
///
/// This is a handle: clones share the session.
#[derive(Clone)]
pub struct RequestSession(Arc<Request>);

/// The future of [`RequestSession::session`].
#[must_use]
pub struct OpenSession {
    drive: Drive,
    /// The cookies of Flask's, from which a session starts if the request has none.
    #[cfg(feature = "flask-cookie")]
    flask: Option<FlaskCookies>,
    /// Why the browser sent the request without the bound cookie.
    #[cfg(feature = "dbsc")]
    skipped: Vec<&'static str>,
}

/// The start of a session from Flask's cookies.
#[cfg(feature = "flask-cookie")]
enum FlaskCookies {
    Presented(PresentedCookies),
    UnderWay(Import),
}

/// The session's part of the response's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct ResponseHeaders {
    /// The value of a `Set-Cookie` header, which then needs `Cache-Control: no-store`.
    pub set_cookie: Option<String>,
    /// The headers in place of a cookie, if the settings have such.
    pub id_header: Option<Arc<IdHeader>>,
    /// The value of the response header in place of a cookie, which then needs
    /// `Cache-Control: no-store`.
    pub set_id: Option<String>,
    /// Whether the response depends on the session, and needs `Vary: Cookie`, or the name of the
    /// request header in its place.
    pub vary: bool,
    /// Whether the response depends on the session of a logged-in user. It then needs
    /// `Cache-Control: no-store`, unless the application sets the header itself. Otherwise a
    /// browser shows it again after the log-out.
    pub no_store: bool,
    /// The value of a `Clear-Site-Data` header, unless the application sets the header itself.
    pub clear_site_data: Option<String>,
    /// What few responses have: that of a login, and that of a bound session's log-out.
    #[cfg(feature = "dbsc")]
    pub device: Option<Box<crate::dbsc::DeviceHeaders>>,
    /// The value of a further `Set-Cookie` header: the removal of the cookie of Flask's built-in
    /// session.
    #[cfg(feature = "flask-cookie")]
    pub remove_flask_cookie: Option<String>,
}

/// Where a request has the session's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier<'s> {
    /// In its `Cookie` headers.
    Cookie,
    /// In the header of this name, which is in lower case.
    Header(&'s str),
}

/// The work at the end of a request.
#[must_use]
pub enum Finish {
    /// There is nothing to save.
    Ready(ResponseHeaders),
    /// There is something to save.
    Pending(Finishing),
}

/// The save at the end of a request. It must run to its end, even if the client hangs up. If it
/// fails, [`RequestSession::failed`] has the headers.
#[must_use]
pub struct Finishing {
    requested: bool,
    /// The store time that it may take at most.
    most: Option<Duration>,
    drive: Drive,
    /// What the first save came to, if a second one is under way.
    first: Option<Saved>,
}

impl RequestSession {
    pub(crate) fn new(shared: Arc<Shared>, unsaved: Unsaved) -> Self {
        Self(Arc::new(Request::of_request_session(shared, unsaved)))
    }

    /// Which header of the request the session reads.
    pub fn carrier(&self) -> Carrier<'_> {
        Carrier::of(&self.0.shared().rules.settings)
    }

    /// The session of the request that came with these values of its [`carrier`](Self::carrier).
    /// The first call makes one call to the store.
    ///
    /// The headers are read before the future is polled, so it borrows nothing.
    ///
    /// # Errors
    ///
    /// If the store fails, unless the application chose [`OnStoreFailure::Anonymous`].
    pub fn session(&self, headers: &mut dyn Iterator<Item = &[u8]>) -> OpenSession {
        self.0.mark_requested();
        self.open(headers)
    }

    /// The session, if it was loaded before. For code that cannot wait, such as a guard.
    pub fn loaded(&self) -> Option<Session> {
        self.0.mark_requested();
        self.is_opened().then(|| Session::of(self.0.clone()))
    }

    /// Opens the session only to refresh it, without making the response depend on it.
    ///
    /// It waits for at most a tenth of the request's store time. So does the refresh in
    /// [`finish`](Self::finish), if nobody has asked for the session by then. So a store that is
    /// down hardly delays a route that does not use the session.
    ///
    /// # Errors
    ///
    /// If the store fails, or takes longer.
    pub fn open_untouched(
        &self,
        headers: &mut dyn Iterator<Item = &[u8]>,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let opening = self.opening(headers);
        let budget = self.untouched_budget();
        async move {
            match tokio::time::timeout(budget, opening).await {
                Ok(opened) => opened.map(drop),
                Err(_) => Err(Error::Timeout { budget }),
            }
        }
    }

    /// Names the route, for the warning about changes that are not saved. The first name counts.
    pub fn set_route(&self, route: String) {
        self.0.set_route(route);
    }

    /// Ends the request's use of the session before the response's head is sent. It saves the
    /// changes.
    pub fn finish(&self) -> Finish {
        let request = self.0.clone();
        let requested = request.was_requested();
        let shared = request.shared();
        if let Ok(mut machine) = request.lock() {
            // Nobody can have changed a session that was never opened.
            let unused = !machine.is_opened();
            let now = shared.now();
            if unused || machine.is_settled(&shared.rules, now) {
                if rule_holds!(LateSessionKnowsHead) || !unused {
                    machine.close_head();
                }
                if requested {
                    request.result.answered(&shared.metrics, !unused);
                }
                return Finish::Ready(response_headers(requested, shared, &machine, now));
            }
        }
        Finish::Pending(Finishing {
            requested,
            most: (!requested).then(|| self.untouched_budget()),
            drive: Drive::new(request.clone(), Aim::Reach(Goal::Finish)),
            first: None,
        })
    }

    /// Ends the request's use of the session although its handler did not return, because the
    /// client disconnected or the handler panicked.
    ///
    /// A save that had begun, and a log-out, are run to their end. Other changes may be incomplete;
    /// they are dropped, and a warning counts them. This holds even if a task keeps a handle of the
    /// session. What the task changes afterwards is treated as after the response's head.
    pub fn cut_off(&self) {
        self.0.cut_off();
    }

    /// The headers of a response whose session could not be saved, or not all of it.
    ///
    /// They carry the cookie for what is known to be stored, such as a login that the handler saved
    /// before the store failed. Otherwise the browser's cookie is left alone.
    pub fn failed(&self) -> ResponseHeaders {
        let shared = self.0.shared();
        let known = self.0.lock().map_or_else(
            |_| ResponseHeaders::default(),
            |machine| response_headers(true, shared, &machine, shared.now()),
        );
        ResponseHeaders {
            vary: true,
            ..known
        }
    }

    fn untouched_budget(&self) -> Duration {
        self.0.shared().rules.settings.store_timeout / UNTOUCHED_SHARE
    }

    fn is_opened(&self) -> bool {
        self.0.lock().is_ok_and(|machine| machine.is_opened())
    }

    #[cfg(not(feature = "flask-cookie"))]
    fn open(&self, headers: &mut dyn Iterator<Item = &[u8]>) -> OpenSession {
        OpenSession {
            drive: self.opening(headers),
            #[cfg(feature = "dbsc")]
            skipped: Vec::new(),
        }
    }

    #[cfg(feature = "flask-cookie")]
    fn open(&self, headers: &mut dyn Iterator<Item = &[u8]>) -> OpenSession {
        let rules = &self.0.shared().rules;
        let mut cookies = PresentedCookies::default();
        let mut noted = headers.inspect(|header| cookies.note(header, rules));
        let drive = self.opening(&mut noted);
        // If the session was opened untouched, nobody has read them.
        noted.for_each(drop);
        OpenSession {
            drive,
            flask: (!cookies.is_empty()).then_some(FlaskCookies::Presented(cookies)),
            #[cfg(feature = "dbsc")]
            skipped: Vec::new(),
        }
    }

    fn opening(&self, headers: &mut dyn Iterator<Item = &[u8]>) -> Drive {
        let candidates = if self.is_opened() {
            ShortList::default()
        } else {
            self.presented(headers)
        };
        Drive::new(self.0.clone(), Aim::Open(candidates))
    }
}

impl RequestSession {
    /// The ids that the request presents. No I/O.
    #[cfg(not(feature = "dbsc"))]
    fn presented(&self, cookie_headers: &mut dyn Iterator<Item = &[u8]>) -> ShortList<Presented> {
        self.0.shared().rules.presented(cookie_headers)
    }

    /// The ids that the request presents. Notes the bound cookies beside. No I/O.
    #[cfg(feature = "dbsc")]
    fn presented(&self, cookie_headers: &mut dyn Iterator<Item = &[u8]>) -> ShortList<Presented> {
        let rules = &self.0.shared().rules;
        let mut proofs = crate::dbsc::PresentedProofs::default();
        let mut noted = cookie_headers.inspect(|header| proofs.note(header, rules));
        let presented = rules.presented(&mut noted);
        // Enough ids end the search for more, and the bound cookies may come after them.
        noted.for_each(drop);
        if let Ok(mut machine) = self.0.lock()
            && !machine.is_running()
        {
            machine.set_presented_proofs(proofs);
        }
        presented
    }
}

impl<'s> Carrier<'s> {
    pub(crate) fn of(settings: &'s Settings) -> Self {
        let header = settings.id_header.as_ref();
        header.map_or(Self::Cookie, |it| Self::Header(it.request()))
    }
}

#[cfg(feature = "dbsc")]
impl OpenSession {
    /// Notes what the browser says about the request: where it comes from, and why it is without the
    /// bound cookie, which is reported if the session is bound. `values` has the values of a header.
    pub fn with_headers<'h, I: Iterator<Item = &'h [u8]>>(
        mut self,
        values: impl Fn(Carrier<'_>) -> I,
    ) -> Self {
        let request = self.drive.request();
        if request.shared().rules.settings.device_binding.is_some() {
            let values = |name| values(Carrier::Header(name));
            if let Ok(mut machine) = request.lock() {
                machine.fetch_metadata = FetchMetadata::of(|name| values(name).next());
            }
            self.skipped = skipped(values(SKIPPED));
        }
        self
    }

    /// Once a request, however many of its extractors opened the session.
    fn report_skipped(&mut self, session: &Session) {
        let skipped = std::mem::take(&mut self.skipped);
        if let Some(mut machine) = session.machine_or_none()
            && !std::mem::replace(&mut machine.has_reported_skipped, true)
        {
            drop(machine);
            session.report_skipped_device(&skipped);
        }
    }
}

#[cfg(not(feature = "flask-cookie"))]
impl OpenSession {
    fn opened(&mut self, context: &mut Context<'_>) -> Poll<Result<Saved>> {
        Pin::new(&mut self.drive).poll(context)
    }
}

#[cfg(feature = "flask-cookie")]
impl OpenSession {
    /// Opens the session. If the request has none, starts one from Flask's cookies, and opens that.
    fn opened(&mut self, context: &mut Context<'_>) -> Poll<Result<Saved>> {
        let request = self.drive.request().clone();
        loop {
            if let Some(FlaskCookies::UnderWay(import)) = &mut self.flask {
                let imported = ready!(import.as_mut().poll(context));
                self.flask = None;
                let mut machine = request.lock()?;
                match imported {
                    Ok(None) => machine.has_asked_flask = true,
                    Ok(Some(presented)) => {
                        machine.open_again();
                        machine.has_asked_flask = true;
                        machine.started_by_flask = true;
                        self.drive = Drive::new(request.clone(), Aim::Open(presented.into()));
                    }
                    Err(error) => {
                        // So that it counts as not loaded.
                        machine.open_again();
                        return Poll::Ready(Err(error));
                    }
                }
            }
            let opened = ready!(Pin::new(&mut self.drive).poll(context))?;
            let may_import = request.lock()?.may_import();
            match self.flask.take() {
                Some(FlaskCookies::Presented(cookies)) if may_import => {
                    let import = import(request.clone(), cookies);
                    self.flask = Some(FlaskCookies::UnderWay(import));
                }
                _ => return Poll::Ready(Ok(opened)),
            }
        }
    }
}

impl Future for OpenSession {
    type Output = Result<Session>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let opened = ready!(self.opened(context));
        let request = self.drive.request();
        if let Err(error) = request.result.met(opened) {
            if request.shared().rules.settings.on_store_failure != OnStoreFailure::Anonymous {
                return Poll::Ready(Err(error));
            }
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the session could not be loaded; the request continues with an empty one"
            );
            request.lock()?.continue_unloaded();
        }
        let session = Session::of(request.clone());
        #[cfg(feature = "dbsc")]
        if !self.skipped.is_empty() {
            self.report_skipped(&session);
        }
        Poll::Ready(Ok(session))
    }
}

impl Future for Finishing {
    type Output = Result<ResponseHeaders>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let request = this.drive.request().clone();
        let mut machine = request.lock()?;
        if let Some(most) = this.most.take() {
            machine.limit(most);
        }
        let saved = loop {
            let saved = ready!(this.drive.poll_locked(&mut machine, context));
            match (this.first, saved) {
                // Another part of the request may have changed the session meanwhile, which is also
                // before the head.
                (None, Ok(saved)) if machine.is_dirty() => {
                    this.first = Some(saved);
                    this.drive = Drive::new(request.clone(), Aim::Reach(Goal::Finish));
                }
                // The response must not claim that nothing was stored.
                (Some(Saved::Stored), Err(error))
                    if error.changed_nothing()
                        || matches!(error, Error::Missing | Error::Expired) =>
                {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "only a part of the request's changes was stored; the response is an error"
                    );
                    break Err(Error::Unknown);
                }
                (_, saved) => break saved,
            }
        };
        machine.close_head();
        let saved = request.result.met(saved);
        if this.requested {
            request.result.answered(&request.shared().metrics, true);
        }
        // Changes that were dropped because the session ended are no error: the response carries no
        // cookie.
        let _dropped_or_not = saved?;
        let shared = request.shared();
        let headers = response_headers(this.requested, shared, &machine, shared.now());
        Poll::Ready(Ok(headers))
    }
}

fn response_headers(
    requested: bool,
    shared: &Shared,
    machine: &Machine,
    now: Millis,
) -> ResponseHeaders {
    let settings = &shared.rules.settings;
    let set = machine.cookie(&shared.rules, now);
    let vary = requested || set.is_some();
    #[cfg(feature = "flask-cookie")]
    let remove_flask_cookie = flask_cookie_removal(machine, settings, set.is_some());
    let (set_cookie, set_id) = match settings.id_header {
        None => (set, None),
        Some(_) => (None, set),
    };
    let clear_site_data = settings.clear_site_data.as_deref();
    ResponseHeaders {
        clear_site_data: clear_site_data
            .filter(|_| machine.removes_cookie())
            .map(str::to_owned),
        vary,
        no_store: requested && settings.no_store && machine.had_owner(&shared.rules),
        set_cookie,
        id_header: settings.id_header.clone(),
        set_id,
        #[cfg(feature = "dbsc")]
        device: crate::dbsc::DeviceHeaders::of(machine, &shared.rules, now),
        #[cfg(feature = "flask-cookie")]
        remove_flask_cookie,
    }
}

/// The session goes on under the cookie that the response sets. After a log-out Flask must not go on
/// with the login either.
#[cfg(feature = "flask-cookie")]
fn flask_cookie_removal(machine: &Machine, settings: &Settings, sets: bool) -> Option<String> {
    let flask = settings.flask.cookie.as_ref();
    let flask = flask.filter(|_| settings.id_header.is_none())?;
    let has_moved = machine.is_imported() && sets && !flask.stays();
    (has_moved || machine.has_logged_out()).then(|| flask.removal())
}

impl fmt::Debug for RequestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSession")
            .field("opened", &self.is_opened())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSession").finish_non_exhaustive()
    }
}

impl fmt::Debug for Finishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finishing").finish_non_exhaustive()
    }
}

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready(_) => "Ready",
            Self::Pending(_) => "Pending",
        })
    }
}
