//! The programs `session-app` and `session-run` as processes, on the real stores: the configurations
//! of Flask-Session's tutorials, and what happens at the start, during an outage and at the end.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod browser;
mod flask_cookie;
mod layouts;
mod maintenance;
mod outages;
mod run;
mod starts;
mod tutorials;

use session_tests::Program;

const SECRET: (&str, &str) = ("SECRET_KEY", "correct-horse-battery-staple-41-bottles");

/// The program, on a free port.
async fn app(settings: &[(&str, &str)]) -> Program {
    let settings = [&[SECRET, ("ADDR", "127.0.0.1:0")], settings].concat();
    Program::start("session-app", &settings).await
}
