//! The sweep loop survives a failing store, works in batches and stops cleanly. The tests' clock is
//! paused.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use session_core::{
    Error, ExpiredSweep, Loaded, Record, Result, Revision, SessionStore, StoreKey, Swept, Write,
    async_trait, sweep_every, sweep_until,
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, sleep, timeout},
};
use tracing::{Event, Level, Metadata, Subscriber, span};

const PAUSE: Duration = Duration::from_secs(5 * 60);

/// A store with a number of expired records, and of live ones that some calls look at first.
#[derive(Debug)]
struct Leftovers {
    expired: AtomicU64,
    /// How many calls end before they find an expired record.
    among_live: usize,
    calls: AtomicUsize,
    /// Whether the call of this number fails.
    fails: fn(usize) -> bool,
    gate: Option<Semaphore>,
}

impl Leftovers {
    fn new(expired: u64) -> Self {
        Self {
            expired: AtomicU64::new(expired),
            among_live: 0,
            calls: AtomicUsize::new(0),
            fails: |_| false,
            gate: None,
        }
    }

    fn left(&self) -> u64 {
        self.expired.load(Ordering::SeqCst)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl SessionStore for Leftovers {
    fn limit(&self) -> usize {
        0
    }
    async fn load(&self, _: &StoreKey) -> Result<Option<Loaded>> {
        Ok(None)
    }
    async fn insert(&self, _: &StoreKey, _: &Record) -> Result<Write> {
        Ok(Write::Refused)
    }
    async fn update(&self, _: &StoreKey, _: &Record, _: &Revision) -> Result<Write> {
        Ok(Write::Refused)
    }
    async fn delete(&self, _: &StoreKey) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl ExpiredSweep for Leftovers {
    async fn sweep_as_of(&self, _: std::time::SystemTime, limit: usize) -> Result<Swept> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("nobody closes it").forget();
        }
        if (self.fails)(call) {
            return Err(Error::backend("leftovers", "down for now"));
        }
        if call < self.among_live {
            return Ok(Swept {
                removed: 0,
                is_done: false,
            });
        }
        let removed = self.left().min(limit as u64);
        self.expired.fetch_sub(removed, Ordering::SeqCst);
        Ok(Swept {
            removed,
            is_done: removed < limit as u64,
        })
    }
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_three_times_is_swept_at_the_fourth() {
    // Without a global subscriber, a concurrent test may disable the warning for all threads.
    tracing::subscriber::set_global_default(Warnings::default()).expect("no other test sets one");
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let store = Arc::new(Leftovers {
        fails: |call| call < 3,
        ..Leftovers::new(10)
    });
    let sweeping = tokio::spawn(sweep_every(store.clone(), PAUSE));
    let start = Instant::now();
    while store.left() > 0 {
        assert!(!sweeping.is_finished(), "the sweep ended at a failure");
        assert!(start.elapsed() < 30 * PAUSE, "the sweep never came back");
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(store.calls(), 4);
    assert_eq!(warnings.0.load(Ordering::SeqCst), 3);
    // Two, four and eight pauses, less a quarter each: it backs off.
    assert!(start.elapsed() > 10 * PAUSE);
    sleep(2 * PAUSE).await;
    assert!(
        store.calls() >= 5,
        "after a success the pause is the usual one again"
    );
    sweeping.abort();
}

#[tokio::test(start_paused = true)]
async fn many_are_swept_in_batches_without_waiting_for_the_pause() {
    let store = Arc::new(Leftovers::new(2_300));
    let sweeping = tokio::spawn(sweep_every(store.clone(), PAUSE));
    // The first sweep begins within a quarter of the pause.
    sleep(PAUSE / 4 + Duration::from_secs(1)).await;
    assert_eq!(store.left(), 0);
    assert_eq!(store.calls(), 5);
    sleep(PAUSE / 4).await;
    assert_eq!(store.calls(), 5, "it rests when none is left");
    sweeping.abort();
    assert!(sweeping.await.unwrap_err().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_is_not_done_goes_on_without_waiting_for_the_pause() {
    let store = Arc::new(Leftovers {
        among_live: 100,
        ..Leftovers::new(10)
    });
    let sweeping = tokio::spawn(sweep_every(store.clone(), PAUSE));
    sleep(PAUSE / 4 + Duration::from_secs(1)).await;
    assert_eq!(store.left(), 0);
    assert_eq!(store.calls(), 101, "it rests when it is done");
    sweeping.abort();
}

/// As of a store with one directory that cannot be read.
#[tokio::test(start_paused = true)]
async fn failures_back_off_also_if_calls_between_them_succeed() {
    let store = Arc::new(Leftovers {
        among_live: usize::MAX,
        fails: |call| call % 2 == 0,
        ..Leftovers::new(0)
    });
    let sweeping = tokio::spawn(sweep_every(store.clone(), PAUSE));
    sleep(100 * PAUSE).await;
    // After the first few, at least six pauses are between two failures.
    assert!(store.calls() < 50, "{} calls", store.calls());
    sweeping.abort();
}

#[tokio::test(start_paused = true)]
async fn processes_started_together_do_not_sweep_together() {
    let mut starts = Vec::new();
    for _ in 0..20 {
        let store = Arc::new(Leftovers::new(1));
        let start = Instant::now();
        let sweeping = tokio::spawn(sweep_every(store.clone(), PAUSE));
        while store.calls() == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        starts.push(start.elapsed());
        sweeping.abort();
    }
    starts.sort();
    starts.dedup();
    assert!(starts.len() > 10, "{starts:?}");
    assert!(starts[starts.len() - 1] <= PAUSE / 4 + Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_rest_at_once() {
    let store = Arc::new(Leftovers::new(1));
    let (stop, stopped) = oneshot::channel();
    let sweeping = tokio::spawn(sweep_until(store.clone(), PAUSE, stopped));
    sleep(PAUSE).await;
    let before = Instant::now();
    stop.send("now").unwrap();
    assert_eq!(sweeping.await.unwrap(), Ok("now"));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_begun_is_finished_before_the_stop() {
    let gate = Semaphore::new(0);
    let store = Arc::new(Leftovers {
        gate: Some(gate),
        ..Leftovers::new(600)
    });
    let (stop, stopped) = oneshot::channel();
    let mut sweeping = tokio::spawn(sweep_until(store.clone(), PAUSE, stopped));
    while store.calls() == 0 {
        sleep(Duration::from_secs(1)).await;
    }
    stop.send(()).unwrap();
    let moment = Duration::from_millis(300);
    assert!(timeout(moment, &mut sweeping).await.is_err());
    store.gate.as_ref().unwrap().add_permits(10);
    assert_eq!(sweeping.await.unwrap(), Ok(()));
    assert_eq!(store.left(), 100);
    assert_eq!(store.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_end_delays_the_stop_by_half_a_second() {
    let store = Arc::new(Leftovers {
        gate: Some(Semaphore::new(0)),
        ..Leftovers::new(600)
    });
    let (stop, stopped) = oneshot::channel();
    let sweeping = tokio::spawn(sweep_until(store.clone(), PAUSE, stopped));
    while store.calls() == 0 {
        sleep(Duration::from_secs(1)).await;
    }
    let before = Instant::now();
    stop.send(()).unwrap();
    assert_eq!(sweeping.await.unwrap(), Ok(()));
    assert!(
        before.elapsed() < Duration::from_millis(600),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn no_pause_is_too_short_or_too_long() {
    for pause in [Duration::ZERO, Duration::MAX] {
        let store = Arc::new(Leftovers {
            fails: |_| true,
            ..Leftovers::new(1)
        });
        let swept = sweep_until(store.clone(), pause, pending::<()>());
        assert!(timeout(Duration::from_secs(10), swept).await.is_err());
        assert!(store.calls() < 1_000);
    }
}
