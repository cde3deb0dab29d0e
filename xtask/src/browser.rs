//! The demo as people use it: two browsers, one account, no script that is not ours.
//!
//! What the page at `/` must offer, as forms and links that work without JavaScript and lead back
//! to the page:
//!
//! | element | meaning |
//! |---|---|
//! | `input[name=user]`, button "Log in" | only while anonymous |
//! | `#user` | the name of who is logged in |
//! | `#counter`, button "Count" | the number of clicks in this session |
//! | button "50 clicks at once", `#naive` | with JavaScript: as many requests at once; a counter that loses some of them |
//! | `input[name=note]`, button "Add note", `#notes li` | the notes of this session, the text as typed |
//! | `#flashes li` | messages, shown once; adding a note leaves one |
//! | `#devices li` | one for each live session of the user; all but this one's with a button "End this one" |
//! | button "Log out" | ends this session |
//! | button "Log out during a slow request" | with JavaScript: ends this session while a request that would change it is under way; the page says how that ended |
//! | button "Log out everywhere" | ends every session of the user, this one too |
//! | `#ends` | when this session ends |
//! | buttons "Stop the store", "Start the store" | of a store that belongs to the demo: the folder of the sessions, or the Redis that `demo redis` starts; the second one is on the page of the error |

mod dev_tools;
mod devices;
mod navigations;
mod person;
mod quickstart;
mod sites;
mod tls;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use session_tests::{ChromeDriver, Program, free_port};

use crate::paths::target;
use crate::steps::StepResult;
use person::{Person, Result};

/// The page says in this time that the store is down.
const SOON: Duration = Duration::from_secs(3);
const NOTE: &str = "milk & <b>bread</b>, \"äöü\"";

/// Runs the story and leaves its pictures in target/browser.
pub(crate) fn run() -> StepResult {
    block_on(story())
}

/// A browser that proves its device more often than browsers allow, for up to fifteen minutes.
pub(crate) fn quota() -> StepResult {
    block_on(async {
        let driver = ChromeDriver::start().await;
        devices::quota(&driver).await
    })
}

/// The README's first program, on each store of Flask-Session's tutorials.
pub(crate) fn quickstart() -> StepResult {
    block_on(quickstart::check())
}

fn block_on(story: impl Future<Output = Result<()>>) -> StepResult {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime
        .block_on(story)
        .map_err(|error| format!("in the browser: {error}"))
}

async fn story() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port());
    let mut demo = Program::start("demo", &[("DEMO_ADDR", &address)]).await;
    let driver = ChromeDriver::start().await;
    let pictures = pictures()?;
    let laptop = Person::new("laptop", &driver, &demo, &pictures).await?;
    let phone = Person::new("phone", &driver, &demo, &pictures).await?;

    let outcome = async {
        devices::check(&driver).await?;
        navigations::check(&driver).await?;
        for argument in [None, Some("redis")] {
            stop_and_start_the_store(argument, &driver, &pictures).await?;
        }
        log_in_and_count(&laptop).await?;
        demo.kill();
        demo.restart().await;
        note_and_flash(&laptop).await?;
        count_fifty_times_at_once(&laptop).await?;
        end_the_other_device(&laptop, &phone).await?;
        log_out_everywhere(&laptop, &phone).await?;
        log_out(&laptop).await?;
        back_after_log_out(&laptop).await?;
        log_out_during_a_slow_request(&laptop).await
    }
    .await;
    if outcome.is_err() {
        laptop.picture("failed").await?;
        phone.picture("failed").await?;
        eprintln!("{}", demo.output());
    }
    laptop.close().await?;
    phone.close().await?;
    outcome
}

fn pictures() -> Result<PathBuf> {
    let pictures = target().join("browser");
    std::fs::create_dir_all(&pictures)?;
    Ok(pictures)
}

async fn log_in_and_count(laptop: &Person) -> Result<()> {
    laptop.open_page().await?;
    laptop.pictures("anonymous").await?;
    laptop.click("Count").await?;
    laptop.log_in("ada").await?;
    laptop.reads("#user", "ada").await?;
    // Logging in gives the session a new id and keeps what is in it.
    laptop.reads("#counter", "1").await?;
    laptop.click("Count").await?;
    laptop.click("Count").await?;
    laptop.reads("#counter", "3").await?;
    laptop.has("#ends", 1).await?;
    laptop.session_cookie_is_hidden_from_scripts().await
}

/// While the store is stopped, the page says so, and nothing is lost.
async fn stop_and_start_the_store(
    argument: Option<&str>,
    driver: &ChromeDriver,
    pictures: &Path,
) -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port());
    let settings = [("DEMO_ADDR", &*address)];
    let demo = match argument {
        Some(argument) => Program::start_with("demo", argument, &settings).await,
        None => Program::start("demo", &settings).await,
    };
    let visitor = Person::new("store", driver, &demo, pictures).await?;
    let outcome = async {
        visitor.open_page().await?;
        visitor.log_in("ada").await?;
        visitor.click("Count").await?;
        if stop_the_store(&visitor).await? > SOON {
            // The machine may have been busy.
            visitor.click("Start the store").await?;
            let took = stop_the_store(&visitor).await?;
            if took > SOON {
                let told = format!("the page took {took:?} to say that the store is down");
                return Err(told.into());
            }
        }
        visitor.pictures("stopped").await?;
        visitor.click("Start the store").await?;
        visitor.reads("#user", "ada").await?;
        visitor.reads("#counter", "1").await
    }
    .await;
    if outcome.is_err() {
        visitor.picture("failed").await?;
        eprintln!("{}", demo.output());
    }
    visitor.close().await?;
    outcome
}

/// Stops the store; how long the page took to say so.
async fn stop_the_store(visitor: &Person) -> Result<Duration> {
    let begin = Instant::now();
    visitor.click("Stop the store").await?;
    visitor
        .reads("h1", "The session store does not answer")
        .await?;
    Ok(begin.elapsed())
}

/// The demo was killed and started again before this: nothing of the session may be lost.
async fn note_and_flash(laptop: &Person) -> Result<()> {
    laptop.open_page().await?;
    laptop.reads("#user", "ada").await?;
    laptop.reads("#counter", "3").await?;
    laptop.open_page().await?;
    laptop.has("#flashes li", 0).await?;
    laptop.fill("note", NOTE).await?;
    laptop.click("Add note").await?;
    laptop.reads("#notes li", NOTE).await?;
    laptop.has("#flashes li", 1).await?;
    laptop.open_page().await?;
    laptop.has("#flashes li", 0).await?;
    laptop.has("#notes li", 1).await
}

/// The session's counter has every click. The one that reads and writes has lost some.
async fn count_fifty_times_at_once(laptop: &Person) -> Result<()> {
    let before = [
        laptop.number("#counter").await?,
        laptop.number("#naive").await?,
    ];
    laptop.click("50 clicks at once").await?;
    laptop
        .reads("#counter", &(before[0] + 50).to_string())
        .await?;
    let naive = laptop.number("#naive").await? - before[1];
    let told = format!("Of 50 clicks at once, the left counter has 50 and the right one {naive}.");
    laptop.reads("#clicks .notice", &told).await?;
    laptop.pictures("fifty-clicks").await?;
    if (1..50).contains(&naive) {
        Ok(())
    } else {
        Err(format!("the naive counter has {naive} of 50 clicks").into())
    }
}

async fn end_the_other_device(laptop: &Person, phone: &Person) -> Result<()> {
    laptop.has("#devices li", 1).await?;
    phone.open_page().await?;
    phone.log_in("ada").await?;
    phone.reads("#counter", "0").await?;
    phone.has("#devices li", 2).await?;
    laptop.open_page().await?;
    laptop.has("#devices li", 2).await?;
    laptop.pictures("two-devices").await?;
    laptop.click("End this one").await?;
    laptop.has("#devices li", 1).await?;
    laptop.reads("#user", "ada").await?;
    phone.open_page().await?;
    phone.is_anonymous().await
}

async fn log_out_everywhere(laptop: &Person, phone: &Person) -> Result<()> {
    phone.log_in("ada").await?;
    phone.has("#devices li", 2).await?;
    phone.click("Log out everywhere").await?;
    phone.is_anonymous().await?;
    laptop.becomes_anonymous().await
}

async fn log_out(laptop: &Person) -> Result<()> {
    laptop.log_in("grace").await?;
    laptop.reads("#user", "grace").await?;
    // What the sessions ended above held is gone with them.
    laptop.has("#notes li", 0).await?;
    laptop.click("Log out").await?;
    laptop.is_anonymous().await?;
    laptop.open_page_as("nothing").await?;
    laptop.reads("h1", "There is no such page").await?;
    laptop.pictures("no-such-page").await
}

/// The Back button shows no page of the session that was logged out.
async fn back_after_log_out(laptop: &Person) -> Result<()> {
    laptop.open_page().await?;
    laptop.log_in("ada").await?;
    laptop.open_page_as("?before").await?;
    laptop.reads("#user", "ada").await?;
    laptop.open_page().await?;
    laptop.click("Log out").await?;
    laptop.is_anonymous().await?;
    laptop.go_back_to("?before").await?;
    laptop.has("#user", 0).await?;
    laptop.is_anonymous().await
}

/// A request that began before the log-out and ends after it does not bring the session back.
async fn log_out_during_a_slow_request(laptop: &Person) -> Result<()> {
    laptop.open_page().await?;
    laptop.log_in("ada").await?;
    laptop.click("Log out during a slow request").await?;
    let told = laptop.text("#log-out .notice").await?;
    if !told.ends_with("It changed nothing: you are still logged out.") {
        return Err(format!("the page tells {told:?}").into());
    }
    laptop.is_anonymous().await?;
    laptop.pictures("logged-out").await?;
    laptop.open_page().await?;
    laptop.is_anonymous().await
}
