//! The future of a response: it calls the handler, saves the session, and writes the head.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
    http::header::{HeaderMap, HeaderValue, SET_COOKIE},
};
use futures_util::future::LocalBoxFuture;
use pin_project_lite::pin_project;
use session_core::{
    ResponseHeaders,
    adapter::{Finished, Saving, Slot, Unsaved, keep_cookies, opened_untouched, write_head},
};

use crate::{error, request::carried};

pin_project! {
    /// The future of a response whose session was saved.
    ///
    /// It is not boxed, so that the middleware costs next to nothing on a route that does not use
    /// the session.
    pub struct SessionFuture<S, B>
    where
        S: Service<ServiceRequest>,
    {
        // `None` if an outer middleware handles the session, or this one is refused.
        slot: Option<Arc<Slot>>,
        #[pin]
        step: Step<S, B>,
    }

    impl<S, B> PinnedDrop for SessionFuture<S, B>
    where
        S: Service<ServiceRequest>,
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
    enum Step<S, B>
    where
        S: Service<ServiceRequest>,
    {
        Opening {
            opening: LocalBoxFuture<'static, ()>,
            call: Option<(Rc<S>, ServiceRequest)>,
        },
        Handling {
            #[pin]
            handling: S::Future,
        },
        Saving {
            saving: Saving,
            result: Option<Result<ServiceResponse<B>, Error>>,
        },
    }
}

impl<S, B> SessionFuture<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    #[inline]
    pub(crate) fn new(slot: Option<Arc<Slot>>, service: &Rc<S>, request: ServiceRequest) -> Self {
        let step = match &slot {
            Some(slot) if slot.is_opened_untouched() => {
                let session = slot.request_session();
                let headers = request.headers();
                Step::Opening {
                    opening: opened_untouched(&session, |carrier| carried(headers, carrier)),
                    call: Some((service.clone(), request)),
                }
            }
            _ => Step::Handling {
                handling: service.call(request),
            },
        };
        Self { slot, step }
    }
}

impl<S, B> Future for SessionFuture<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.step.as_mut().project() {
                StepNow::Opening { opening, call } => {
                    ready!(opening.as_mut().poll(context));
                    let (service, request) = call.take().expect("opened once");
                    Step::Handling {
                        handling: service.call(request),
                    }
                }
                StepNow::Handling { handling } => {
                    let result = ready!(handling.poll(context));
                    let Some(slot) = this.slot else {
                        return Poll::Ready(result.map(ServiceResponse::map_into_left_body));
                    };
                    match slot.finish() {
                        Finished::Unused => {
                            return Poll::Ready(respond(result, &ResponseHeaders::default()));
                        }
                        Finished::Ready(headers) => {
                            return Poll::Ready(respond(result, &headers));
                        }
                        Finished::Saving(saving) => Step::Saving {
                            saving,
                            result: Some(result),
                        },
                    }
                }
                StepNow::Saving { saving, result } => {
                    let saved = ready!(Pin::new(saving).poll(context));
                    let result = result.take().expect("a response is sent once");
                    return Poll::Ready(match saved {
                        Ok(headers) => respond(result, &headers),
                        Err(unsaved) => refuse(result, unsaved),
                    });
                }
            };
            this.step.set(next);
        }
    }
}

/// Adds the session's headers to the response of the handler.
#[inline]
fn respond<B>(
    result: Result<ServiceResponse<B>, Error>,
    headers: &ResponseHeaders,
) -> Result<ServiceResponse<EitherBody<B>>, Error>
where
    B: MessageBody + 'static,
{
    match result {
        Ok(response) => {
            let route = || response.request().match_pattern();
            let error = response.response().error();
            let boxed = error.and_then(|error| error::boxed(error, route));
            let mut response = match boxed {
                None => response.map_into_left_body(),
                // In place, so that a logging middleware still finds the error in the response.
                Some(status) => {
                    response.map_body(|head, _| EitherBody::right(error::fail(head, status)))
                }
            };
            write_head(headers, response.headers_mut());
            Ok(response)
        }
        Err(mut inner) => {
            if let Some(status) = error::boxed(&inner, || None) {
                inner.add_response_mapper(move |response| {
                    response.map_body(|head, _| error::fail(head, status))
                });
            }
            Err(with_headers(inner, headers))
        }
    }
}

/// Replaces the response of the handler, because the session could not be saved.
fn refuse<B>(
    result: Result<ServiceResponse<B>, Error>,
    Unsaved { error, headers }: Unsaved,
) -> Result<ServiceResponse<EitherBody<B>>, Error>
where
    B: MessageBody + 'static,
{
    match result {
        Ok(response) => {
            let mut instead = HttpResponse::from_error(error);
            keep_cookies(set_cookies(response.headers()), instead.headers_mut());
            write_head(&headers, instead.headers_mut());
            Ok(response.into_response(instead).map_into_right_body())
        }
        Err(inner) => {
            let replaced = inner.error_response();
            let mut failure = Error::from(error);
            failure.add_response_mapper(move |mut response| {
                keep_cookies(set_cookies(replaced.headers()), response.headers_mut());
                response
            });
            Err(with_headers(failure, &headers))
        }
    }
}

fn set_cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(SET_COOKIE).map(HeaderValue::as_bytes)
}

/// Adds the session's headers to the response that `error` becomes.
fn with_headers(mut error: Error, headers: &ResponseHeaders) -> Error {
    if *headers != ResponseHeaders::default() {
        let headers = headers.clone();
        error.add_response_mapper(move |mut response| {
            write_head(&headers, response.headers_mut());
            response
        });
    }
    error
}

impl<S, B> fmt::Debug for SessionFuture<S, B>
where
    S: Service<ServiceRequest>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFuture").finish_non_exhaustive()
    }
}
