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
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn clock(&self) -> Clock {
        let passed = self.0.clone();
        Arc::new(move || -> SystemTime {
            UNIX_EPOCH + Duration::from_secs(1_800_000_000 + passed.load(Ordering::Relaxed))
        })
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::Relaxed);
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
