//! The clock and the settings of a run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use session_core::{Clock, CookieAttributes, OwnerIndex, Sessions, Settings, config::OnMaxPerUser};

/// A clock that stands still unless the test moves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestClock {
    passed: Arc<AtomicU64>,
    ahead: Duration,
}

impl TestClock {
    pub(crate) fn clock(&self) -> Clock {
        let passed = self.passed.clone();
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.ahead;
        Arc::new(move || -> SystemTime {
            start + Duration::from_millis(passed.load(Ordering::Relaxed))
        })
    }

    /// The same time by a clock that is ahead of this one.
    pub(crate) fn ahead(&self, ahead: Duration) -> Self {
        Self {
            ahead,
            ..self.clone()
        }
    }

    pub(crate) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("no pause is so long");
        self.passed.fetch_add(millis, Ordering::Relaxed);
    }
}

/// After so much use, an id is rotated in the scenes that say so.
pub(crate) const PERIOD: Duration = Duration::from_secs(1000);

/// Sessions with an idle timeout far beyond any pause, and unsigned cookies. With a `limit`, a user
/// has so many at most.
pub(crate) fn sessions(
    store: Arc<dyn OwnerIndex>,
    clock: &TestClock,
    limit: Option<(usize, OnMaxPerUser)>,
    rotates: bool,
) -> Sessions {
    let mut settings = Settings::unsigned()
        .with_cookie(CookieAttributes {
            name: "session".into(),
            ..CookieAttributes::default()
        })
        .with_idle_timeout(Duration::from_secs(100_000))
        .with_store_timeout(Duration::from_secs(10));
    if let Some((most, policy)) = limit {
        settings = settings
            .with_max_per_user(most)
            .with_on_max_per_user(policy);
    }
    if rotates {
        settings = settings.with_rotation(PERIOD);
    }
    let builder = Sessions::builder(settings, store).with_clock(clock.clock());
    builder.build().expect("the settings are right")
}
