//! The future of a response: it calls the handler, saves the session, and writes the head.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Method, Request, Response, header::SET_COOKIE};
use pin_project_lite::pin_project;
use session_core::adapter::{
    Finished, Saving, Slot, Unsaved, keep_cookies, opened_untouched, write_head,
};
use tower_service::Service;

use crate::request::carried;

pin_project! {
    /// The future of a response whose session was saved.
    ///
    /// It is not boxed, so that the layer costs next to nothing on a route that does not use the
    /// session.
    pub struct SessionFuture<S, Q>
    where
        S: Service<Request<Q>>,
    {
        // `None` if an outer layer handles the session, or this one is refused.
        slot: Option<Arc<Slot>>,
        is_head: bool,
        #[pin]
        step: Step<S, Q, S::Future, S::Response>,
    }

    impl<S, Q> PinnedDrop for SessionFuture<S, Q>
    where
        S: Service<Request<Q>>,
    {
        fn drop(this: Pin<&mut Self>) {
            if let Some(slot) = &this.slot {
                slot.cut_off();
            }
        }
    }
}

pin_project! {
    #[project = StepNow]
    enum Step<S, Q, F, R> {
        Opening {
            opening: Pin<Box<dyn Future<Output = ()> + Send>>,
            call: Option<(S, Request<Q>)>,
        },
        Handling {
            #[pin]
            handling: F,
        },
        Saving {
            saving: Saving,
            response: Option<R>,
        },
    }
}

impl<S, Q> SessionFuture<S, Q>
where
    S: Service<Request<Q>> + Clone,
{
    #[inline]
    pub(crate) fn new(slot: Option<Arc<Slot>>, service: &mut S, request: Request<Q>) -> Self {
        let untouched = slot.as_ref().filter(|slot| slot.is_opened_untouched());
        let opening = untouched.map(|slot| {
            let session = slot.request_session();
            opened_untouched(&session, |carrier| carried(request.headers(), carrier))
        });
        let is_head = is_head(&request);
        let step = match opening {
            Some(opening) => {
                // The one that is ready to be called, and not its clone.
                let clone = service.clone();
                Step::Opening {
                    opening,
                    call: Some((mem::replace(service, clone), request)),
                }
            }
            None => Step::Handling {
                handling: service.call(request),
            },
        };
        Self {
            slot,
            is_head,
            step,
        }
    }
}

impl<S, Q, B> Future for SessionFuture<S, Q>
where
    S: Service<Request<Q>, Response = Response<B>>,
    B: From<String>,
{
    type Output = Result<Response<B>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.step.as_mut().project() {
                StepNow::Opening { opening, call } => {
                    ready!(opening.as_mut().poll(context));
                    let (mut service, request) = call.take().expect("opened once");
                    Step::Handling {
                        handling: service.call(request),
                    }
                }
                StepNow::Handling { handling } => {
                    // If it is an `Err`, the drop of this future cuts the session off.
                    let mut response = ready!(handling.poll(context))?;
                    let Some(slot) = this.slot else {
                        return Poll::Ready(Ok(response));
                    };
                    match slot.finish() {
                        Finished::Unused => return Poll::Ready(Ok(response)),
                        Finished::Ready(headers) => {
                            write_head(&headers, response.headers_mut());
                            return Poll::Ready(Ok(response));
                        }
                        Finished::Saving(saving) => Step::Saving {
                            saving,
                            response: Some(response),
                        },
                    }
                }
                StepNow::Saving { saving, response } => {
                    let saved = ready!(Pin::new(saving).poll(context));
                    let mut response = response.take().expect("a response is sent once");
                    match saved {
                        Ok(headers) => write_head(&headers, response.headers_mut()),
                        Err(unsaved) => response = refusal(&response, &unsaved, *this.is_head),
                    }
                    return Poll::Ready(Ok(response));
                }
            };
            this.step.set(next);
        }
    }
}

pub(crate) fn is_head<Q>(request: &Request<Q>) -> bool {
    request.method() == Method::HEAD
}

/// An answer of this crate's own. One to HEAD has no content: over HTTP/2 the server does not remove
/// it.
pub(crate) fn answer_to<B: From<String>>(is_head: bool, answer: Response<String>) -> Response<B> {
    answer.map(|text| if is_head { String::new() } else { text }.into())
}

/// Replaces the response of the handler, because the session could not be saved.
fn refusal<B: From<String>>(
    response: &Response<B>,
    Unsaved { error, headers }: &Unsaved,
    is_head: bool,
) -> Response<B> {
    let mut instead = answer_to(is_head, error.to_response());
    let cookies = response.headers().get_all(SET_COOKIE).into_iter();
    keep_cookies(cookies.map(HeaderValue::as_bytes), instead.headers_mut());
    write_head(headers, instead.headers_mut());
    instead
}

impl<S, Q> fmt::Debug for SessionFuture<S, Q>
where
    S: Service<Request<Q>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFuture").finish_non_exhaustive()
    }
}
