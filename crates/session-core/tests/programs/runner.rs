//! Runs a program: schedules its requests, its store calls and its clocks.

use std::{
    cell::RefCell,
    collections::HashMap,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::{
    CookieAttributes, EncryptionKeys, Finish, Lineage, Moving, SecretKeys, Session, SessionStore,
    Sessions, Settings,
    config::{FlaskSessions, OnMaxPerUser},
    dbsc::{DeviceBinding, TestDevice},
};
use tokio::{runtime::Runtime, time::Instant};

use crate::{
    ablations::Break,
    browser::Browser,
    checker,
    clock::WallClock,
    history::{Change, History, Kind, Promise, State, Violation, user_of},
    program::{Behaviour, Config, Layout, Moves, Program, Seed, Step, Turn, USERS},
    request::{assist, serve},
    store::{MovingStore, Store},
};

/// The longest pause before a retry; time that goes by while a thread pauses before one.
const RETRY: Duration = Duration::from_millis(10);
/// No timeout may be longer: a hundred years, in seconds.
const LONGEST: u64 = 100 * 365 * 86_400;
/// A thread that nothing has woken for so long hangs.
const HANGS: Duration = Duration::from_secs(1000);

/// What all programs of one thread of the tests run on.
pub(crate) struct Bench {
    runtime: Runtime,
    pub(crate) store: Store,
    pub(crate) wall: WallClock,
    sessions: RefCell<HashMap<(Config, Which), Sessions>>,
    pub(crate) browser_ignores_max_age: bool,
    /// What is broken while the requests run.
    pub(crate) broken: RefCell<Option<Break>>,
}

/// Which process a handle of the sessions is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Which {
    Process(usize),
    /// The Flask application that shares the store.
    Flask,
    /// Before the cookie's path was changed.
    Before,
    /// Before the timeouts were made shorter.
    Longer,
    /// Before sessions moved.
    Unmoved,
    /// One whose store is what the store was earlier, for the checker.
    Earlier,
}

/// One run of a program.
pub(crate) struct Run<'p> {
    pub(crate) bench: &'p Bench,
    pub(crate) program: &'p Program,
    pub(crate) sessions: [Sessions; 2],
    pub(crate) history: RefCell<History>,
    pub(crate) browsers: RefCell<Vec<Browser>>,
    pub(crate) published: Vec<RefCell<Option<Session>>>,
    seeds: RefCell<Vec<Option<(usize, Lineage)>>>,
    pub(crate) started: Instant,
    /// Every request has ended before the next begins, and nothing fails.
    pub(crate) sequential: bool,
    /// The store may be slow to answer, or others may be slow to let it.
    pub(crate) may_be_slow: bool,
}

/// A future that the program schedules.
struct Thread<'p> {
    future: Pin<Box<dyn Future<Output = ()> + 'p>>,
    alarm: Arc<Alarm>,
    waker: Waker,
}

/// Says that a thread was woken, and wakes the scheduler.
struct Alarm {
    rang: AtomicBool,
    scheduler: Arc<Mutex<Option<Waker>>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Relaxed);
        let scheduler = self.scheduler.lock();
        if let Some(waker) = scheduler.unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime starts");
        let wall = runtime.block_on(async { WallClock::new() });
        Self {
            runtime,
            store: Store::new(),
            wall,
            sessions: RefCell::default(),
            browser_ignores_max_age: false,
            broken: RefCell::default(),
        }
    }

    /// Runs a program; says what it broke.
    pub(crate) fn run(&self, program: &Program) -> Vec<Violation> {
        let run = AssertUnwindSafe(|| self.play(program, false).violations);
        catch_unwind(run).unwrap_or_else(|_| {
            vec![Violation {
                promise: Promise::Panics,
                text: "the library panics".into(),
            }]
        })
    }

    /// Runs a program; says what happened, line by line.
    pub(crate) fn trace(&self, program: &Program) -> String {
        let history = self.play(program, true);
        let broken = history.violations.iter();
        let broken = broken.map(|it| format!("{:?}: {}", it.promise, it.text));
        let lines = history.trace.unwrap_or_default();
        lines
            .into_iter()
            .chain(broken)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn play(&self, program: &Program, trace: bool) -> History {
        let run = tokio::task::unconstrained(async {
            let run = self.begin(program);
            run.history.borrow_mut().trace = trace.then(Vec::new);
            run.play().await;
            checker::check(&run).await;
            run.history.into_inner()
        });
        self.runtime.block_on(run)
    }

    fn begin<'p>(&'p self, program: &'p Program) -> Run<'p> {
        let requests = program.requests.len();
        let mut world = self.store.world();
        world.reset(2 * requests);
        world.dropped_calls_arrive = program.dropped_calls_arrive;
        drop(world);
        self.wall.start();
        let seeds = program.seeds.iter().map(|it| it.browser);
        let used = program.requests.iter().map(|it| it.browser);
        let browsers = seeds.chain(used).max().map_or(0, |it| it + 1);
        let browser = || Browser::new(self.browser_ignores_max_age);
        let serial = program
            .schedule
            .iter()
            .all(|it| !matches!(it, Turn::Run(..) | Turn::Late));
        let slow = |it: &Turn| {
            !matches!(
                it,
                Turn::Run(_, Behaviour::Fine) | Turn::All(_) | Turn::Late | Turn::Sweep
            )
        };
        let waits = |it: &Step| matches!(it, Step::Wait(_) | Step::SaveHeld(_));
        Run {
            bench: self,
            program,
            sessions: [0, 1].map(|it| self.sessions(program.config, Which::Process(it))),
            history: RefCell::new(History::new(requests, browsers)),
            browsers: RefCell::new((0..browsers).map(|_| browser()).collect()),
            published: (0..requests).map(|_| RefCell::default()).collect(),
            seeds: RefCell::default(),
            started: Instant::now(),
            sequential: serial && program.is_faultless(),
            may_be_slow: program.schedule.iter().any(slow) || program.steps().any(waits),
        }
    }

    fn sessions(&self, config: Config, which: Which) -> Sessions {
        let mut all = self.sessions.borrow_mut();
        let made = all.entry((config, which));
        made.or_insert_with(|| self.make(config, which, self.store.clone()))
            .clone()
    }

    /// A process of its own over another store.
    pub(crate) fn sessions_over(&self, config: Config, store: Store) -> Sessions {
        self.make(config, Which::Earlier, store)
    }

    fn make(&self, mut config: Config, which: Which, store: Store) -> Sessions {
        if which == Which::Longer {
            config.idle = (config.idle * 10).min(LONGEST);
            config.absolute = None;
        }
        let flask = config.layout == Layout::Flask || which == Which::Flask;
        let path = if which == Which::Before { "/app" } else { "/" };
        let cookie = CookieAttributes {
            name: "session".into(),
            path: path.into(),
            ..CookieAttributes::default()
        };
        let mut settings = if flask {
            Settings::flask()
        } else {
            Settings::unsigned()
        };
        settings = settings
            .with_cookie(cookie)
            .with_refresh(config.refresh.refresh())
            .with_permanent(config.permanent)
            .with_idle_timeout(Duration::from_secs(config.idle))
            .with_on_store_failure(config.on_store_failure());
        if let Some(absolute) = config.absolute {
            settings = settings.with_absolute_timeout(Duration::from_secs(absolute));
        }
        if let Some(limit) = config.limit {
            let policy = if limit.refuses {
                OnMaxPerUser::RefuseLogin
            } else {
                OnMaxPerUser::EndOldest
            };
            settings = settings
                .with_max_per_user(limit.most)
                .with_on_max_per_user(policy);
        }
        if let Some(period) = config.rotation {
            settings = settings.with_rotation(Duration::from_secs(period));
        }
        if config.signed {
            let keys = SecretKeys::new("Yk3qVr0xN8uTz5wLh2cJm7bGf9dSa1eP");
            settings = settings.with_keys(keys.expect("the key is strong"));
            if !flask {
                let keys = EncryptionKeys::new("Uc4mZr1yP9vWt6xKi3dLn8cHg0eTb2fQ");
                let keys = keys.expect("the key is strong");
                let reads_flask = config.layout != Layout::Native;
                settings = settings.with_encryption(keys.accepting_plain(reads_flask));
            }
        }
        settings = match config.layout {
            _ if flask => settings,
            Layout::Keep => settings.with_flask_sessions(FlaskSessions::Keep),
            Layout::Move => settings.with_flask_sessions(FlaskSessions::Move),
            Layout::Native | Layout::Flask => settings,
        };
        if binds(config) && !flask {
            settings =
                settings.with_device_binding(DeviceBinding::new("/app/bind", "/app/refresh"));
        }
        let store: Arc<dyn SessionStore> = match (config.moving, which) {
            (None, _) | (_, Which::Before | Which::Longer | Which::Unmoved | Which::Flask) => {
                Arc::new(store)
            }
            (Some(moves @ (Moves::One | Moves::Back)), Which::Process(1)) => {
                let [old, new] = [store.clone(), store.beside()].map(Arc::new);
                let both = match moves {
                    Moves::Back => Moving::announced(old, new),
                    _ => Moving::announced(new, old),
                };
                let both = Arc::new(both);
                Arc::new(MovingStore { both, one: store })
            }
            _ => {
                let both = Arc::new(moving(&store));
                Arc::new(MovingStore { both, one: store })
            }
        };
        let builder = Sessions::builder(settings, store).with_clock(self.wall.clock());
        let builder = if builder.can_list_owners() {
            builder
        } else {
            builder.without_owner_lists()
        };
        builder.build().expect("the settings are right")
    }
}

/// The store and the one beside it, while sessions move.
pub(crate) fn moving(store: &Store) -> Moving {
    Moving::new(Arc::new(store.beside()), Arc::new(store.clone()))
}

impl Run<'_> {
    /// The time of the browsers' clocks, which nobody sets.
    pub(crate) fn browser_now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.started.elapsed()
    }

    /// The session that a seed made and its lineage, if it has one.
    pub(crate) fn seed_lineage(&self, seed: usize) -> Option<(usize, Lineage)> {
        *self.seeds.borrow().get(seed)?
    }

    /// Whether the sessions that are there at first are bound to a device. It costs more than all the
    /// rest of a program, so it is done in one of eight.
    fn is_bound(&self) -> bool {
        binds(self.program.config) && self.program.schedule.len().is_multiple_of(8)
    }

    fn tell(&self, thread: usize, call: Option<&str>, behaviour: Behaviour) {
        if let Some(call) = call {
            let mut history = self.history.borrow_mut();
            history.add_trace(|| {
                format!("thread {thread}: the store carries out {call}, {behaviour:?}")
            });
        }
    }

    async fn play(&self) {
        for seed in &self.program.seeds {
            self.create_seed_session(seed).await;
        }
        let period = self.program.config.rotation.unwrap_or(0);
        self.bench
            .wall
            .set(i64::try_from(period).expect("a few seconds"));
        self.bench.store.world().open = false;
        let broken = self.bench.broken.borrow().clone();
        let _broken = broken.map(|it| it.apply(&self.bench.store));
        let scheduler = Arc::default();
        let mut threads = Threads {
            run: self,
            all: (0..2 * self.program.requests.len()).map(|_| None).collect(),
            started: vec![false; 2 * self.program.requests.len()],
            scheduler,
        };
        for turn in &self.program.schedule {
            threads.take(*turn).await;
        }
        threads.finish().await;
        drop(threads);
        for session in &self.published {
            session.take();
        }
        let mut world = self.bench.store.world();
        let queued = world.queued();
        if queued > 0 {
            let text = format!("{queued} calls are left in the store's queue");
            self.history.borrow_mut().violate(Promise::Bounded, text);
        }
        while world.carry_out_late() {}
        world.open = true;
    }

    /// Creates a session before the program begins.
    async fn create_seed_session(&self, seed: &Seed) {
        let config = self.program.config;
        let which = match seed {
            Seed { stale: true, .. } => Which::Before,
            Seed { flask: true, .. } if matches!(config.layout, Layout::Keep | Layout::Move) => {
                Which::Flask
            }
            Seed { lowered: true, .. } => Which::Longer,
            _ if config.moving.is_some() => Which::Unmoved,
            _ => Which::Process(0),
        };
        let request_session = self.bench.sessions(config, which).begin_request();
        let opened = request_session.session(&mut std::iter::empty()).await;
        let session = opened.expect("nothing fails yet");
        let item = self.history.borrow().items;
        let kinds = [Kind::Mark, Kind::Count];
        session
            .insert(&format!("m{item}"), &1)
            .expect("a number can be encoded");
        let digit = 1_u64 << (2 * (item + 1));
        session
            .insert("n", &digit)
            .expect("a number can be encoded");
        if let Some(own) = seed.lifetime {
            session.set_lifetime(Some(Duration::from_secs(own)));
        }
        if let Some(user) = seed.user {
            session.log_in(USERS[user]).expect("nothing fails yet");
        }
        let outcome = match request_session.finish() {
            Finish::Ready(outcome) => outcome,
            Finish::Pending(saving) => saving.await.expect("nothing fails yet"),
        };
        let header = outcome.set_cookie.expect("a new session has a cookie");
        self.browsers.borrow_mut()[seed.browser].receive(&header, self.browser_now());
        let is_bound = self.is_bound();
        let device = outcome.device.filter(|_| is_bound);
        if let Some(offer) = device.and_then(|it| it.registration) {
            let sessions = self.bench.sessions(config, which);
            bind(
                &sessions,
                &offer,
                header.split(';').next().unwrap_or_default(),
            )
            .await;
        }
        let mut history = self.history.borrow_mut();
        let group = history.identify(&session, None).expect("it is stored");
        history.groups[group].bound_by = seed.user.filter(|_| is_bound);
        history.groups[group].last_use = Some(Instant::now());
        let pair = header.split(';').next().unwrap_or_default();
        history.cookies.push((pair.to_owned(), group));
        let user = user_of(&session);
        let login = seed.user.map(Kind::LogIn);
        for (offset, kind) in kinds.into_iter().chain(login).enumerate() {
            history.changes.push(Change {
                kind,
                item: if offset < 2 {
                    item + offset
                } else {
                    usize::MAX
                },
                request: None,
                thread: 0,
                user,
                group: Some(group),
                began: 0,
                done: Some(0),
                answered: Some(0),
                state: State::Stored,
                saves: 1,
                refused: false,
                held: false,
                from_provider: false,
            });
        }
        history.items += 2;
        if seed.stale {
            history.groups[group].end_tried = true;
            history.groups[group].stale = true;
            let now = self.bench.store.world().keys.last().cloned();
            if let Some(key) = now {
                self.bench.store.world().forget(&key);
            }
        } else if self.sequential {
            history.expect_seed(seed.browser, user, group, self.bench.wall.now());
        }
        let lineage = session.lineage().map(|it| (group, it));
        self.seeds.borrow_mut().push(lineage);
    }
}

/// Whether sessions are bound to devices: not where Flask shares them.
fn binds(config: Config) -> bool {
    config.layout == Layout::Native
}

thread_local! {
    static DEVICE: TestDevice = TestDevice::new();
}

/// Binds the session of this cookie, as its browser does after a login.
async fn bind(sessions: &Sessions, offer: &str, cookie: &str) {
    let request_session = sessions.begin_request();
    let opened = request_session.session(&mut std::iter::once(cookie.as_bytes()));
    let session = opened.await.expect("nothing fails yet");
    let proof = DEVICE.with(|it| it.registration(offer));
    let answer = session.register_device(Some(proof.as_bytes())).await;
    assert_eq!(answer.expect("nothing fails yet").status, 200);
    if let Finish::Pending(saving) = request_session.finish() {
        let _no_cookie = saving.await.expect("nothing fails yet");
    }
}

struct Threads<'p> {
    run: &'p Run<'p>,
    all: Vec<Option<Thread<'p>>>,
    started: Vec<bool>,
    scheduler: Arc<Mutex<Option<Waker>>>,
}

impl<'p> Threads<'p> {
    async fn take(&mut self, turn: Turn) {
        let world = || self.run.bench.store.world();
        match turn {
            Turn::Run(thread, behaviour) => {
                if thread < self.all.len() {
                    self.run(thread, behaviour).await;
                }
            }
            Turn::All(request) => {
                if request < self.run.program.requests.len() {
                    self.complete(&[2 * request, 2 * request + 1]).await;
                }
            }
            Turn::Late => drop(world().carry_out_late()),
            Turn::Pass(seconds) => {
                let end = Instant::now() + Duration::from_secs(seconds);
                while self.wait(end).await {
                    self.poll_woken();
                }
            }
            Turn::Clock(by) => self.run.bench.wall.set(by),
            Turn::Sweep => world().sweep(self.run.bench.wall.now()),
            Turn::Evict(number) => world().evict(number),
            Turn::Damage(number) => world().damage(number, false),
            Turn::Later(number) => world().damage(number, true),
            Turn::Crash(request) => {
                if let Some(published) = self.run.published.get(request) {
                    published.take();
                }
                for thread in [2 * request, 2 * request + 1] {
                    if let Some(gone) = self.all.get_mut(thread) {
                        *gone = None;
                        self.started[thread] = true;
                    }
                }
            }
        }
    }

    /// Carries out what the thread waits for, and lets it come to its next store call.
    async fn run(&mut self, thread: usize, behaviour: Behaviour) {
        self.start(thread);
        if self.all[thread].is_none() {
            return;
        }
        let granted = self.run.bench.store.world().grant(thread, behaviour);
        self.run.tell(thread, granted, behaviour);
        if !self.is_woken(thread) {
            self.wait(Instant::now() + RETRY).await;
        }
        if self.is_woken(thread) {
            self.poll(thread);
        }
    }

    /// Starts the thread, if it can start by now and has not before.
    fn start(&mut self, thread: usize) {
        if self.started[thread] {
            return;
        }
        let request = thread / 2;
        let run = self.run;
        let future: Pin<Box<dyn Future<Output = ()> + 'p>> = if thread.is_multiple_of(2) {
            Box::pin(serve(run, request))
        } else {
            if run.program.requests[request].task.is_empty() {
                return;
            }
            let Some(session) = run.published[request].borrow().clone() else {
                return;
            };
            Box::pin(assist(run, request, session))
        };
        let alarm = Arc::new(Alarm {
            rang: AtomicBool::new(true),
            scheduler: self.scheduler.clone(),
        });
        self.started[thread] = true;
        self.all[thread] = Some(Thread {
            future,
            waker: alarm.clone().into(),
            alarm,
        });
    }

    fn is_woken(&self, thread: usize) -> bool {
        let thread = self.all[thread].as_ref();
        thread.is_some_and(|it| it.alarm.rang.load(Ordering::Relaxed))
    }

    fn poll(&mut self, number: usize) {
        let Some(thread) = &mut self.all[number] else {
            return;
        };
        thread.alarm.rang.store(false, Ordering::Relaxed);
        self.run.bench.store.world().current = number;
        let mut cx = Context::from_waker(&thread.waker);
        if thread.future.as_mut().poll(&mut cx).is_ready() {
            self.all[number] = None;
        }
    }

    fn poll_woken(&mut self) {
        for thread in 0..self.all.len() {
            if self.is_woken(thread) {
                self.poll(thread);
            }
        }
    }

    /// Runs these threads to their ends, one after the other where that can be.
    async fn complete(&mut self, threads: &[usize]) {
        let mut idle_since = None;
        loop {
            let mut moved = false;
            for thread in threads {
                self.start(*thread);
                loop {
                    let fine = Behaviour::Fine;
                    let granted = self.run.bench.store.world().grant(*thread, fine);
                    self.run.tell(*thread, granted, fine);
                    if !self.is_woken(*thread) {
                        break;
                    }
                    moved = true;
                    self.poll(*thread);
                }
            }
            if threads.iter().all(|it| self.all[*it].is_none()) && !moved {
                return;
            }
            if moved {
                idle_since = None;
                continue;
            }
            let since = *idle_since.get_or_insert_with(Instant::now);
            if self.wait(since + HANGS).await {
                self.poll_woken();
                continue;
            }
            for thread in threads {
                if self.all[*thread].take().is_some() {
                    let text = format!("thread {thread} hangs");
                    let mut history = self.run.history.borrow_mut();
                    history.violate(Promise::Budget, text);
                    history.requests[*thread / 2].failures += 1;
                }
            }
        }
    }

    /// Runs every thread that is left to its end.
    async fn finish(&mut self) {
        if self.run.sequential {
            for request in 0..self.run.program.requests.len() {
                self.complete(&[2 * request, 2 * request + 1]).await;
            }
        }
        let all: Vec<_> = (0..self.all.len()).collect();
        self.complete(&all).await;
    }

    /// Lets time go by until a thread is woken, up to `end`; says whether one was.
    async fn wait(&self, end: Instant) -> bool {
        let rang = || (0..self.all.len()).any(|it| self.is_woken(it));
        let until = tokio::time::sleep_until(end);
        let mut until = std::pin::pin!(until);
        poll_fn(|cx| {
            if rang() {
                return Poll::Ready(true);
            }
            if until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(false);
            }
            let waker = cx.waker().clone();
            let scheduler = self.scheduler.lock();
            *scheduler.unwrap_or_else(PoisonError::into_inner) = Some(waker);
            Poll::Pending
        })
        .await
    }
}
