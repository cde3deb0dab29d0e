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
};
use futures_util::future::LocalBoxFuture;
use pin_project_lite::pin_project;
use session_core::{Finish, RequestSession, ResponseHeaders};

use crate::{error, head, request::cookies, saving::Saving, slots::Slot};

pin_project! {
    /// The answer to one request, its session saved.
    ///
    /// Not a boxed future: a route that does not use the session is to pay next to nothing for the middleware.
    pub struct SessionFuture<S, B>
    where
        S: Service<ServiceRequest>,
    {
        // `None` where a middleware outside sees to the session, or nobody does.
        slot: Option<Rc<Slot>>,
        #[pin]
        step: Step<S, B>,
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
        Answering {
            #[pin]
            answering: S::Future,
        },
        Saving {
            saving: Saving,
            answer: Option<Result<ServiceResponse<B>, Error>>,
        },
    }
}

impl<S, B> SessionFuture<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    #[inline]
    pub(crate) fn new(slot: Option<Rc<Slot>>, service: &Rc<S>, request: ServiceRequest) -> Self {
        let step = match &slot {
            Some(slot) if slot.is_opened_untouched() => Step::Opening {
                opening: Box::pin(open_untouched(slot.request_session(), &request)),
                call: Some((service.clone(), request)),
            },
            _ => Step::Answering {
                answering: service.call(request),
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
                    Step::Answering {
                        answering: service.call(request),
                    }
                }
                StepNow::Answering { answering } => {
                    let answer = ready!(answering.poll(context));
                    let Some(slot) = this.slot else {
                        return Poll::Ready(answer.map(ServiceResponse::map_into_left_body));
                    };
                    match slot.answer().map_or_else(nothing, |visit| visit.finish()) {
                        Finish::Ready(outcome) => {
                            return Poll::Ready(respond(answer, &outcome));
                        }
                        Finish::Pending(work) => Step::Saving {
                            saving: Saving::new(work),
                            answer: Some(answer),
                        },
                    }
                }
                StepNow::Saving { saving, answer } => {
                    let saved = ready!(Pin::new(saving).poll(context));
                    let answer = answer.take().expect("answered once");
                    let visit = this
                        .slot
                        .as_ref()
                        .expect("a visit is saved")
                        .request_session();
                    return Poll::Ready(match saved {
                        Ok(outcome) => respond(answer, &outcome),
                        Err(error) => refuse(answer, error, &visit.failed()),
                    });
                }
            };
            this.step.set(next);
        }
    }
}

/// The end of a request that did not use the session.
fn nothing() -> Finish {
    Finish::Ready(ResponseHeaders::default())
}

fn open_untouched(
    visit: &Arc<RequestSession>,
    request: &ServiceRequest,
) -> impl Future<Output = ()> + use<> {
    let opening = visit.open_untouched(&mut cookies(request.headers()));
    async {
        if let Err(error) = opening.await {
            // A route that does not use the session does not suffer from its store.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a session's expiry was not moved"
            );
        }
    }
}

/// The answer of the handler, with the session's headers.
#[inline]
fn respond<B>(
    answer: Result<ServiceResponse<B>, Error>,
    outcome: &ResponseHeaders,
) -> Result<ServiceResponse<EitherBody<B>>, Error>
where
    B: MessageBody + 'static,
{
    match answer {
        Ok(response) => {
            let route = || response.request().match_pattern();
            let error = response.response().error();
            let boxed = error.and_then(|error| error::boxed(error, route));
            let mut response = match boxed {
                None => response.map_into_left_body(),
                // In place, so that the error stays where a logger looks for it.
                Some(status) => {
                    response.map_body(|head, _| EitherBody::right(error::fail(head, status)))
                }
            };
            head::write(outcome, response.headers_mut());
            Ok(response)
        }
        Err(mut inner) => {
            if let Some(status) = error::boxed(&inner, || None) {
                inner.add_response_mapper(move |shown| {
                    shown.map_body(|head, _| error::fail(head, status))
                });
            }
            Err(with_head(inner, outcome))
        }
    }
}

/// The answer of a request whose session could not be saved, in place of the handler's.
fn refuse<B>(
    answer: Result<ServiceResponse<B>, Error>,
    failure: session_core::Error,
    outcome: &ResponseHeaders,
) -> Result<ServiceResponse<EitherBody<B>>, Error>
where
    B: MessageBody + 'static,
{
    match answer {
        Ok(response) => {
            let mut instead = HttpResponse::from_error(failure);
            head::keep_cookies(response.headers(), instead.headers_mut());
            head::write(outcome, instead.headers_mut());
            Ok(response.into_response(instead).map_into_right_body())
        }
        Err(inner) => {
            let replaced = inner.error_response();
            let mut failure = Error::from(failure);
            failure.add_response_mapper(move |mut shown| {
                head::keep_cookies(replaced.headers(), shown.headers_mut());
                shown
            });
            Err(with_head(failure, outcome))
        }
    }
}

/// The error itself, whose answer also says what the session has to.
fn with_head(mut error: Error, outcome: &ResponseHeaders) -> Error {
    if *outcome != ResponseHeaders::default() {
        let outcome = outcome.clone();
        error.add_response_mapper(move |mut shown| {
            head::write(&outcome, shown.headers_mut());
            shown
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
