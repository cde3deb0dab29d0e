//! A store whose server is reached through a proxy, and its visitors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_core::config::Settings;
use session_core::{SessionStore, Sessions};
use session_tests::{ChaosProxy, Disruption};

use crate::backend::Backend;
use crate::dice::Dice;
use crate::visitor::Visitor;

/// Every request is answered in this time, and log-outs everywhere in five times as much.
pub(crate) const QUICK: Duration = Duration::from_millis(1500);
/// This long after the end of a damage every request succeeds.
pub(crate) const RECOVERY: Duration = Duration::from_secs(2);

/// The threads that tests run on.
pub(crate) const WORKERS: usize = 4;

/// A store on a server behind a proxy, and its visitors.
pub(crate) struct Network {
    pub(crate) backend: Arc<Backend>,
    pub(crate) proxy: ChaosProxy,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) visitors: Vec<Visitor>,
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
        let mut settings = Settings::unsigned();
        if let Some(budget) = budget {
            settings = settings.with_store_timeout(budget);
        }
        let sessions = Sessions::builder(settings, Arc::clone(&store));
        let sessions = match sessions.can_list_owners() {
            true => sessions,
            false => sessions.without_owner_lists(),
        };
        let sessions = sessions.build().expect("the settings are right");
        let visitors = (0..visitors)
            .map(|number| {
                let dice = dice.fork();
                let name = format!("{} {number}", proxy.port());
                Visitor::new(&sessions, name, dice, QUICK)
            })
            .collect();
        Self {
            backend: Arc::clone(backend),
            proxy,
            store,
            visitors,
            dice,
        }
    }

    /// All visitors use their sessions until `end`.
    pub(crate) async fn visits(&mut self, end: impl Fn(&ChaosProxy) -> bool) {
        while !end(&self.proxy) {
            let visits = self.visitors.drain(..).map(|mut visitor| {
                tokio::spawn(async move {
                    visitor.visit().await;
                    visitor
                })
            });
            let visits: Vec<_> = visits.collect();
            for visitor in join_all(visits).await {
                self.visitors.push(visitor.expect("no check fails"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until every visitor is served, first one alone if `alone`; how long it took.
    pub(crate) async fn recovers(&mut self, alone: bool, what: &str) -> Duration {
        let begin = Instant::now();
        let mut group = if alone { 1 } else { self.visitors.len() };
        loop {
            let late = begin.elapsed() > RECOVERY;
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
            for result in join_all(asked).await {
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
            } else {
                eprintln!("      {:?} {} open: {reason}", begin.elapsed(), self.proxy.open_connections());
                assert!(!late, "{what}: not healthy: {reason}");
            }
        }
    }

    /// How many of `wanted` calls at the same time reach the server, each on a connection of its
    /// own.
    pub(crate) async fn places(&self, wanted: usize) -> usize {
        // First so slowly that all connections are opened.
        self.proxy
            .set(Disruption::Latency(Duration::from_millis(20)));
        let calls = |number| join_all((0..number).map(|_| self.backend.call(&*self.store)));
        for result in calls(wanted).await {
            result.expect("the server answers");
        }
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
        let (most, results) = tokio::join!(count, calls(wanted));
        for result in results {
            result.expect("the server answers");
        }
        most
    }
}
