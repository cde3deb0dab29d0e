//! A scene: concurrent requests on one session, run in every order.

use std::{sync::Arc, time::Duration};

use session_core::{ExpiredSweep, MemoryStore, config::OnMaxPerUser, conformance::rounds};

use crate::{
    check,
    clock::{PERIOD, TestClock, sessions},
    explore::Path,
    request::{Act, SID},
    run::Run,
    store::{Failure, PausingStore},
    under_way::{Request, advance_to_command, poll},
};

/// Longer than a store keeps a tombstone.
const PAUSE: Duration = Duration::from_secs(700);
const FAILURES: [Failure; 4] = [
    Failure::NotApplied,
    Failure::AnswerLost,
    Failure::AppliedLate,
    Failure::CrashAfter,
];

/// Some requests at once on one session, which holds `a` = 0 and `n` = 0.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Scene {
    pub(crate) acts: Vec<Act>,
    pub(crate) owner: Option<&'static str>,
    pub(crate) due: bool,
    /// The id of the session is to be rotated.
    pub(crate) rotates: bool,
    failures: usize,
    pub(crate) pause: bool,
    pub(crate) limit: Option<(usize, OnMaxPerUser)>,
    /// All requests are served by one process.
    pub(crate) one_process: bool,
    /// By how much the clock of each request's process is ahead of the one before.
    pub(crate) clocks_differ: Duration,
}

impl Scene {
    pub(crate) fn of(acts: &[Act]) -> Self {
        Self {
            acts: acts.to_vec(),
            owner: None,
            due: false,
            rotates: false,
            failures: 0,
            pause: false,
            limit: None,
            one_process: false,
            clocks_differ: Duration::ZERO,
        }
    }

    /// The session is `owner`'s.
    pub(crate) fn owned_by(self, owner: &'static str) -> Self {
        Self {
            owner: Some(owner),
            ..self
        }
    }

    /// Using the session moves its expiry.
    pub(crate) fn due(self) -> Self {
        Self { due: true, ..self }
    }

    /// Each request that is answered is to rotate the id, if none has.
    pub(crate) fn rotating(self) -> Self {
        Self {
            rotates: true,
            ..self
        }
    }

    /// So many commands of any request fail, in one of the ways there are, or its process crashes.
    pub(crate) fn with_failures(self, failures: usize) -> Self {
        Self { failures, ..self }
    }

    /// Handlers take their time, once longer than a store keeps a tombstone.
    pub(crate) fn with_pause(self) -> Self {
        Self {
            pause: true,
            ..self
        }
    }

    /// A user has so many sessions at most.
    pub(crate) fn at_most(self, most: usize, policy: OnMaxPerUser) -> Self {
        Self {
            limit: Some((most, policy)),
            ..self
        }
    }

    /// One process serves all requests, so those that write wait for each other.
    pub(crate) fn in_one_process(self) -> Self {
        Self {
            one_process: true,
            ..self
        }
    }

    /// Each request is served by a process whose clock is so far ahead of the one before.
    pub(crate) fn with_clocks_apart(self, clocks_differ: Duration) -> Self {
        Self {
            clocks_differ,
            ..self
        }
    }

    /// How much later one login is than another. Beside a limit no two may be at the same time: the
    /// same decisions must lead to the same run.
    fn moment(&self) -> Duration {
        Duration::from_millis(self.limit.is_some().into())
    }

    /// Runs the scene in every order.
    pub(crate) fn every_order(&self) {
        let mut path = Path::default();
        let (mut runs, mut strayed) = (0, 0);
        loop {
            self.run_and_check(&mut path);
            if path.strayed(strayed) {
                strayed += 1;
                assert!(strayed < 20, "the same decisions lead to the same choice");
                continue;
            }
            strayed = 0;
            runs += 1;
            assert!(
                runs < 400_000,
                "{self:?} has too many orders to run them all"
            );
            if !path.advance() {
                break;
            }
        }
        eprintln!("{runs} orders of {self:?}");
    }

    /// Runs the scene in random orders: twenty for each round.
    pub(crate) fn some_orders(&self) {
        for seed in 0..rounds() * 20 {
            self.run_and_check(&mut Path::random(seed));
        }
    }

    fn run_and_check(&self, path: &mut Path) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime starts");
        runtime.block_on(async {
            let run = self.play(path).await;
            let failures = check::violations(self, &run).await;
            assert!(
                failures.is_empty(),
                "{self:?}\n{failures:#?}\n{:#?}\n{:#?}",
                run.log,
                run.answers
            );
        });
    }

    async fn play(&self, path: &mut Path) -> Run {
        let clock = TestClock::default();
        let store = PausingStore::new(MemoryStore::new().with_clock(clock.clock()));
        let (id, lineage) = self.prepare(&store, &clock).await;
        if self.due {
            clock.pass(Duration::from_secs(40_000));
        }
        if self.rotates {
            clock.pass(PERIOD);
        }
        let mut run = Run {
            sessions: sessions(
                Arc::new(store.inner.clone()),
                &clock,
                self.limit,
                self.rotates,
            ),
            store: store.clone(),
            clock: clock.clone(),
            id: id.clone(),
            lineage,
            answers: vec![None; self.acts.len()],
            failures: 0,
            paused: false,
            old_dead_at_answer: vec![false; self.acts.len()],
            set_dead_cookie: vec![false; self.acts.len()],
            log: Vec::new(),
        };
        let shared = Arc::new(store.clone());
        let shared = sessions(shared, &clock, self.limit, self.rotates);
        let mut requests: Vec<_> = self
            .acts
            .iter()
            .zip(0..)
            .map(|(act, number)| {
                let clock = clock.ahead(self.clocks_differ * number);
                let sessions = if self.one_process {
                    shared.clone()
                } else {
                    // Processes share the store alone.
                    let store = Arc::new(store.clone());
                    sessions(store, &clock, self.limit, self.rotates)
                };
                Some(Request::new(self, sessions, &store, &id, *act))
            })
            .collect();
        loop {
            for index in 0..requests.len() {
                clock.pass(self.moment());
                advance_to_command(&mut run, &mut requests, index).await;
            }
            let ready: Vec<_> = (0..requests.len())
                .filter(|it| requests[*it].as_ref().is_some_and(|it| it.at_command))
                .collect();
            let late = store.shared().late.len();
            if ready.is_empty() && late == 0 {
                if requests.iter().all(Option::is_none) {
                    return run;
                }
                // Somebody waits for a moment before another try.
                tokio::time::advance(Duration::from_millis(20)).await;
                continue;
            }
            let handling = requests.iter().flatten().all(|it| it.handling);
            let may_pause = usize::from(self.pause && !run.paused && handling);
            let way = path.choose(ready.len() + late + may_pause);
            if way < ready.len() {
                clock.pass(self.moment());
                self.step(path, &mut run, &mut requests, ready[way]).await;
            } else if way < ready.len() + late {
                let command = store.shared().late.remove(way - ready.len());
                run.log.push(format!("late: {command:?}"));
                store.carry_out_late(command).await;
            } else {
                run.paused = true;
                run.log
                    .push("more time passes than a tombstone is kept".into());
                clock.pass(PAUSE);
                let swept = store.inner.sweep(usize::MAX).await;
                assert!(swept.is_ok(), "memory does not fail");
                tokio::time::advance(PAUSE).await;
            }
        }
    }

    /// Carries out the command that a request has come to, or lets it fail.
    async fn step(
        &self,
        path: &mut Path,
        run: &mut Run,
        requests: &mut [Option<Request>],
        index: usize,
    ) {
        let handling = requests[index].as_ref().is_some_and(|it| it.handling);
        if run.failures < self.failures && !handling {
            let way = path.choose(FAILURES.len() + 1);
            if way > 0 {
                run.failures += 1;
                run.store.shared().failure = Some(FAILURES[way - 1]);
            }
        }
        let failure = run.store.shared().failure;
        let request = requests[index].as_mut().expect("it is at a command");
        run.log.push(format!(
            "{index} {:?}: {:?} {failure:?}",
            self.acts[index], request.command
        ));
        request.at_command = false;
        poll(run, requests, index).await;
        if failure == Some(Failure::CrashAfter) {
            requests[index] = None;
        }
    }

    async fn prepare(&self, store: &PausingStore, clock: &TestClock) -> (String, String) {
        let sessions = sessions(
            Arc::new(store.inner.clone()),
            clock,
            self.limit,
            self.rotates,
        );
        let request_session = sessions.begin_request();
        let session = request_session
            .session(&mut std::iter::empty())
            .await
            .expect("nothing fails yet");
        session.insert("a", &0).expect("a number can be encoded");
        session.insert("n", &0).expect("a number can be encoded");
        if let Some(owner) = self.owner {
            let log_in = session.log_in_from_provider(owner, SID);
            log_in.expect("nothing fails yet");
        }
        let session_core::Finish::Pending(saving) = request_session.finish() else {
            panic!("there is something to save");
        };
        let cookie = saving
            .await
            .expect("nothing fails yet")
            .set_cookie
            .expect("a new session has a cookie");
        let id = cookie
            .split([';', '='])
            .nth(1)
            .expect("a cookie has a value")
            .to_owned();
        let key = session_core::KeyPrefix::default()
            .hashed_key(&session_core::SessionId::from_native(&id, 32).expect("it is an id"));
        store.shared().keys.push(key);
        let lineage = session.lineage().expect("it is stored");
        (id, lineage.as_str().to_owned())
    }
}
