//! Ids are rotated under eight requests at once, through two processes: no request of the browser
//! is anonymous, nothing is lost, and nothing that has ended comes back.

#[macro_use]
mod site;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use session_tests::rounds;
use site::{Answer, Backend, Browser, Cookie, Demo};
use tokio::time::{Instant, sleep_until};

/// How many requests are sent at once.
const REQUESTS: usize = 8;
/// How many sessions there are at once.
const PLAYERS: usize = 25;
/// How often the id of a session is rotated before it ends.
const ROTATIONS: usize = 10;
/// The period of rotation, and some milliseconds.
const PERIOD: Duration = Duration::from_millis(1010);

/// Two processes, and what they came to.
#[derive(Debug)]
struct Site {
    demos: [Demo; 2],
    rotations: AtomicUsize,
    requests: AtomicUsize,
    /// How many of them were not answered, or did not rotate an id that was due.
    unavailable: AtomicUsize,
}

impl Site {
    /// Sends requests with the same cookie at once: half of them ask who it is, the others
    /// increment `n`. Half of them go to the other process.
    async fn burst(&self, browser: &Browser) -> Vec<Option<Answer>> {
        let mut requests = Vec::new();
        for number in 0..REQUESTS {
            let browser = browser.at(self.demos[number / 2 % 2].url());
            requests.push(tokio::spawn(async move {
                let (method, path) = if number % 2 == 0 {
                    (Method::GET, "/whoami")
                } else {
                    (Method::POST, "/increment/n")
                };
                sent(&browser, method, path).await
            }));
        }
        let mut answers = Vec::new();
        for request in requests {
            answers.push(request.await.expect("it is answered"));
        }
        self.requests.fetch_add(REQUESTS, Relaxed);
        answers
    }

    fn output(&self) -> String {
        self.demos.each_ref().map(Demo::output).join("\n")
    }
}

/// The answer to a request. `None` if nobody can tell what became of it: the store did not answer in
/// time, or the machine was so busy that the server or the client gave up.
async fn sent(browser: &Browser, method: Method, path: &str) -> Option<Answer> {
    let answer = browser.try_send(method, path, String::new()).await.ok();
    answer.filter(|it| ![408, 503].contains(&it.status))
}

/// What became of the increments of a session.
#[derive(Debug, Default)]
struct Increments {
    certain: u64,
    /// With those of which nobody can tell.
    possible: u64,
}

impl Increments {
    fn count(&mut self, answer: Option<&Answer>) {
        self.certain += u64::from(answer.is_some());
        self.possible += 1;
    }
}

/// The only cookie that the answers set, if they set one.
fn new_cookie(answers: &[Option<Answer>]) -> Option<String> {
    let mut set = answers
        .iter()
        .flatten()
        .filter_map(|answer| match answer.cookie() {
            Cookie::Set(cookie) => Some(cookie),
            Cookie::Untouched => None,
            Cookie::Removed => panic!("nobody logged out"),
        });
    let first = set.next()?;
    assert!(set.all(|it| it == first), "two cookies were set");
    Some(first)
}

/// Sends a request again until it is answered.
async fn answered(site: &Site, browser: &Browser, method: Method, path: &str) -> Answer {
    loop {
        if let Some(answer) = sent(browser, method.clone(), path).await {
            return answer;
        }
        site.unavailable.fetch_add(1, Relaxed);
    }
}

/// Rotates the id of a session some times and ends it, while requests are under way.
async fn play(site: Arc<Site>, user: String) {
    let nobody = site.demos[0].browser();
    let login = answered(&site, &nobody, Method::POST, &format!("/login?user={user}")).await;
    let Cookie::Set(cookie) = login.cookie() else {
        panic!("no login: {}", login.text());
    };
    let mut browser = nobody.holding(&cookie);
    let mut known = vec![browser.cookie().expect("it has one").to_owned()];
    let mut increments = Increments::default();
    let mut since = Instant::now();
    let mut rotation = 0;
    while rotation < ROTATIONS {
        sleep_until(since + PERIOD).await;
        let answers = site.burst(&browser).await;
        let context = |answer: &Answer| {
            let (status, text) = (answer.status, answer.text());
            format!("{user}, {rotation}: {status} {text}\n{}", site.output())
        };
        for (number, answer) in answers.iter().enumerate() {
            if number % 2 == 1 {
                increments.count(answer.as_ref());
            }
            let Some(answer) = answer else {
                site.unavailable.fetch_add(1, Relaxed);
                continue;
            };
            assert_eq!(answer.status, 200, "{}", context(answer));
            if number % 2 == 0 {
                assert_eq!(answer.json()["user"], user, "{}", context(answer));
            }
        }
        let Some(new) = new_cookie(&answers) else {
            // Neither a rotation that fails nor a first use that cannot be noted fails a request.
            site.unavailable.fetch_add(1, Relaxed);
            since = Instant::now();
            continue;
        };
        assert!(!known.contains(&new), "{user}, {rotation}: an old id");
        // The old id goes on as long as no request presents the new one, and is answered with it.
        let old = browser.at(site.demos[rotation % 2].url());
        let late = sent(&old, Method::POST, "/increment/n").await;
        increments.count(late.as_ref());
        if let Some(late) = late {
            let cookie = Cookie::Set(new.clone());
            assert_eq!(late.cookie(), cookie, "{}", context(&late));
        }
        browser = browser.holding(&new);
        let first = answered(&site, &browser, Method::GET, "/whoami").await;
        assert_eq!(first.json()["user"], user, "{}", context(&first));
        since = Instant::now();
        // If the store did not answer, the request may not have noted that it was the first.
        if site.unavailable.load(Relaxed) == 0 {
            let late = sent(&old, Method::POST, "/increment/n").await;
            increments.count(late.as_ref());
            if let Some(late) = late {
                assert_eq!(late.status, 200, "{}", context(&late));
                assert_eq!(late.cookie(), Cookie::Untouched);
            }
        }
        known.push(new);
        rotation += 1;
        site.rotations.fetch_add(1, Relaxed);
    }
    let stored = answered(&site, &browser, Method::GET, "/data/n").await;
    if let Cookie::Set(cookie) = stored.cookie() {
        browser = browser.holding(&cookie);
        known.push(cookie);
    }
    let stored = stored.json().as_u64().expect("a number");
    let Increments { certain, possible } = increments;
    assert!(
        (certain..=possible).contains(&stored),
        "{user}: {stored} of {increments:?}"
    );
    // It ends by one of its last ids, and stays ended, while its id is due again.
    sleep_until(since + PERIOD).await;
    let leaving = browser
        .at(site.demos[1].url())
        .holding(&known[known.len() - 2]);
    let leave = answered(&site, &leaving, Method::POST, "/logout");
    let (answers, left) = tokio::join!(site.burst(&browser), leave);
    assert_eq!((left.status, left.cookie()), (200, Cookie::Removed));
    for answer in answers.iter().flatten() {
        if let Cookie::Set(cookie) = answer.cookie() {
            known.push(cookie);
        }
    }
    for cookie in known {
        let shown = browser.clone().holding(&cookie);
        let revived = answered(&site, &shown, Method::GET, "/whoami").await;
        assert_eq!(revived.json(), json!({ "user": null }), "{user} is revived");
    }
}

on_stores! { rotations_beside_parallel_requests: redis Redis, postgres Postgres }
async fn rotations_beside_parallel_requests(backend: Backend) {
    let demo = Demo::with(
        backend.settings().await,
        &[
            ("SESSION_STORE_TIMEOUT_MS", "10000"),
            ("SESSION_ROTATION_SECONDS", "1"),
        ],
    )
    .await;
    let beside = demo.beside().await;
    let site = Arc::new(Site {
        demos: [demo, beside],
        rotations: AtomicUsize::new(0),
        requests: AtomicUsize::new(0),
        unavailable: AtomicUsize::new(0),
    });
    let begin = Instant::now();
    let sessions = rounds().div_ceil(ROTATIONS);
    let players: Vec<_> = (0..PLAYERS)
        .map(|player| {
            let site = Arc::clone(&site);
            tokio::spawn(async move {
                for number in (player..sessions).step_by(PLAYERS) {
                    play(Arc::clone(&site), format!("user{number}")).await;
                }
            })
        })
        .collect();
    for player in players {
        player.await.expect("no session is lost");
    }
    let requests = site.requests.load(Relaxed);
    let unavailable = site.unavailable.load(Relaxed);
    eprintln!(
        "{backend:?}: {} rotations beside {requests} requests of {sessions} sessions in {:.0?}: 0 anonymous, 0 revived, \
         0 lost; {unavailable} times the store did not answer",
        site.rotations.load(Relaxed),
        begin.elapsed()
    );
    assert_eq!(site.rotations.load(Relaxed), sessions * ROTATIONS);
}
