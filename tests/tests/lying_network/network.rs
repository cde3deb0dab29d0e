//! A store whose server is reached through a proxy, and its visitors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_core::config::Settings;
use session_core::{SessionStore, Sessions};
use session_tests::{ChaosProxy, Deadline, Disruption, Watch, assert_in_time};

use crate::backend::Backend;
use crate::dice::Dice;
use crate::visitor::Visitor;

/// Every request is answered in this time, and log-outs everywhere in five times as much.
pub(crate) const QUICK: Duration = Duration::from_millis(1500);
/// This long after the end of a damage every request succeeds.
pub(crate) const RECOVERY: Duration = Duration::from_secs(2);

/// The threads that tests run on: a runtime's, and the test's own.
pub(crate) const WORKERS: usize = 5;

/// How many attempts do not count, because the machine is too busy.
const EXCUSES: usize = 100;

/// A store on a server behind a proxy, and its visitors.
pub(crate) struct Network {
    pub(crate) backend: Arc<Backend>,
    pub(crate) proxy: ChaosProxy,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) visitors: Vec<Visitor>,
    /// One whose store reaches the server without the proxy, and who has half the time: a visitor may
    /// have to open a connection first. If not even this one is served, the machine is too busy.
    control: Visitor,
    pub(crate) dice: Dice,
}

impl Network {
    /// With `budget`, requests have this store time instead of the default.
    pub(crate) async fn new(
        backend: &Arc<Backend>,
        visitors: usize,
        budget: Option<Duration>,
        mut dice: Dice,
    ) -> Self {
        let proxy = ChaosProxy::start(backend.port()).await;
        // Two round trips, or a connection and one, are within the request's time.
        let limit = budget.map(|budget| budget * 2 / 5);
        let store = backend.store(proxy.port(), limit).await;
        let sessions = sessions(Arc::clone(&store), budget);
        let visitors = (0..visitors)
            .map(|number| {
                Visitor::new(&sessions, format!("{} {number}", proxy.port()), dice.fork())
            })
            .collect();
        let half = budget.unwrap_or_else(|| Settings::unsigned().store_timeout()) / 2;
        let direct = self::sessions(backend.store(backend.port(), limit).await, Some(half));
        let control = Visitor::new(&direct, format!("{} control", proxy.port()), dice.fork());
        Self {
            backend: Arc::clone(backend),
            proxy,
            store,
            visitors,
            control,
            dice,
        }
    }

    /// All visitors use their sessions until `end`.
    pub(crate) async fn use_sessions(&mut self, end: impl Fn(&ChaosProxy) -> bool) {
        while !end(&self.proxy) {
            let asked = self.visitors.drain(..).map(|mut visitor| {
                tokio::spawn(async move {
                    visitor.send_requests().await;
                    visitor
                })
            });
            let asked: Vec<_> = asked.collect();
            for visitor in join_all(asked).await {
                self.visitors.push(visitor.expect("no check fails"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until every visitor is served, first one alone if `alone`; how long it took.
    pub(crate) async fn recovers(&mut self, alone: bool, what: &str) -> Duration {
        let begin = Watch::start();
        let (mut uncounted, mut excuses) = (Duration::ZERO, 0);
        self.control.is_served().await;
        let mut group = if alone { 1 } else { self.visitors.len() };
        loop {
            let limit = RECOVERY + uncounted;
            let late = begin.stop(limit).await > limit;
            let attempt = Watch::start();
            let mut served = true;
            let rest = self.visitors.split_off(group);
            let asked = self.visitors.drain(..).map(|mut visitor| {
                tokio::spawn(async move {
                    let served = visitor.is_served().await;
                    (visitor, served)
                })
            });
            let asked: Vec<_> = asked.collect();
            let mut reason = String::new();
            let (asked, control_is_served) =
                tokio::join!(join_all(asked), self.control.is_served());
            for result in asked {
                let (visitor, is_served) = result.expect("no check fails");
                if !is_served {
                    visitor.last_error().clone_into(&mut reason);
                }
                served &= is_served;
                self.visitors.push(visitor);
            }
            self.visitors.extend(rest);
            if served && group == self.visitors.len() {
                return begin.elapsed();
            } else if served {
                group = self.visitors.len();
            } else if !control_is_served && excuses < EXCUSES {
                // This attempt does not count.
                (uncounted, excuses) = (uncounted + attempt.elapsed(), excuses + 1);
            } else {
                assert_in_time!(!late, "{what}: not healthy: {reason}");
            }
        }
    }

    /// How many of `wanted` calls at the same time reach the server, each on a connection of its
    /// own.
    pub(crate) async fn places(&self, wanted: usize) -> usize {
        let calls = || join_all((0..wanted).map(|_| self.backend.call(&*self.store)));
        // First so slowly that all connections are used: those that are still silent are given up,
        // and those that are missing are opened.
        self.proxy
            .set(Disruption::Latency(Duration::from_millis(15)));
        let deadline = Deadline::within(RECOVERY);
        while let Some(error) = calls().await.into_iter().find_map(Result::err) {
            deadline.not_yet(format_args!("not served: {error:?}"));
        }
        deadline.met("all are served").await;
        self.proxy.set(Disruption::SilentReplies);
        let count = async {
            let begin = Instant::now();
            let mut most = 0;
            while most < wanted && begin.elapsed() < Duration::from_millis(300) {
                most = most.max(self.proxy.held_replies());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            self.proxy.set(Disruption::None);
            most
        };
        // The store's limit may be shorter than this silence.
        let (most, _answers) = tokio::join!(count, calls());
        most
    }
}

fn sessions(store: Arc<dyn SessionStore>, budget: Option<Duration>) -> Sessions {
    let mut settings = Settings::unsigned();
    if let Some(budget) = budget {
        settings = settings.with_store_timeout(budget);
    }
    let sessions = Sessions::builder(settings, store);
    let sessions = if sessions.can_list_owners() {
        sessions
    } else {
        sessions.without_owner_lists()
    };
    sessions.build().expect("the settings are right")
}
