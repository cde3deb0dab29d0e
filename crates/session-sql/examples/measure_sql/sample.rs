//! Times of single calls.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use session_core::{Record, SessionStore, Write};

use crate::{BoxResult, fill::key};

/// Calls that take longer count as slow.
const SLOW: Duration = Duration::from_millis(50);

/// The times of calls.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// In seconds.
    pub(crate) fn median(&self) -> f64 {
        self.at(500).as_secs_f64()
    }

    fn at(&self, thousandth: usize) -> Duration {
        let mut times = self.0.clone();
        times.sort_unstable();
        times[(times.len() - 1) * thousandth / 1000]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |thousandth| self.at(thousandth).as_micros();
        let slow = self.0.iter().filter(|time| **time > SLOW).count();
        write!(
            f,
            "p50 {} µs, p99 {} µs, longest {:.1} ms, {slow} of {} over 50 ms",
            micros(500),
            micros(990),
            self.at(1000).as_secs_f64() * 1e3,
            self.len()
        )
    }
}

pub(crate) async fn load(store: &dyn SessionStore, number: usize) -> BoxResult<Duration> {
    let key = key("live", number);
    let began = Instant::now();
    store.load(&key).await?.ok_or("a session is missing")?;
    Ok(began.elapsed())
}

/// The time of a load and an update, which a request makes that changes its session.
pub(crate) async fn save(store: &dyn SessionStore, number: usize) -> BoxResult<Duration> {
    let key = key("live", number);
    let changed = Record {
        bytes: vec![7; 300].into(),
        expires_at: SystemTime::now() + Duration::from_hours(24),
        entry: None,
    };
    let began = Instant::now();
    let loaded = store.load(&key).await?.ok_or("a session is missing")?;
    match store.update(&key, &changed, &loaded.revision).await? {
        Write::Stored(_) => Ok(began.elapsed()),
        Write::Refused => Err("another program writes to this table".into()),
    }
}
