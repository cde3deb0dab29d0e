//! The requests of a run that are under way.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use session_core::Sessions;

use crate::{
    check,
    request::{Act, Answer, run},
    run::Run,
    scene::Scene,
    store::{Command, PausingStore},
};

/// A request under way.
pub(crate) struct Request {
    future: Pin<Box<dyn Future<Output = Answer>>>,
    pub(crate) at_command: bool,
    pub(crate) command: String,
    /// Its handler takes its time.
    pub(crate) handling: bool,
}

impl Request {
    pub(crate) fn new(
        scene: &Scene,
        sessions: Sessions,
        store: &PausingStore,
        id: &str,
        act: Act,
    ) -> Self {
        let pause = scene.pause.then(|| store.clone());
        let owner = scene.owner.unwrap_or("U");
        Self {
            future: Box::pin(run(sessions, pause, id.to_owned(), act, owner)),
            at_command: false,
            command: String::new(),
            handling: false,
        }
    }
}

pub(crate) async fn advance_to_command(
    run: &mut Run,
    requests: &mut [Option<Request>],
    index: usize,
) {
    if requests[index].as_ref().is_some_and(|it| !it.at_command) {
        poll(run, requests, index).await;
    }
}

pub(crate) async fn poll(run: &mut Run, requests: &mut [Option<Request>], index: usize) {
    let Some(request) = &mut requests[index] else {
        return;
    };
    run.store.shared().waiting = None;
    let polled = request
        .future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    if let Some(command) = run.store.shared().waiting.take() {
        request.at_command = true;
        request.handling = matches!(command, Command::Handle);
        request.command = format!("{command:?}");
    }
    if let Poll::Ready(answer) = polled {
        run.log.push(format!("{index} answers {answer:?}"));
        if let Some(id) = answer.cookie.id() {
            run.set_dead_cookie[index] = !check::is_live(run, id).await;
        }
        run.answers[index] = Some(answer);
        run.old_dead_at_answer[index] = !check::is_live(run, &run.id.clone()).await;
        requests[index] = None;
    }
}
