//! `watch`: what changes in a store.

use std::{
    collections::HashSet,
    time::{Duration, Instant, SystemTime},
};

use session_stores::session_core::Lineage;
use tokio::{signal, time::sleep};

use crate::{
    args::Watch,
    failure::{Completion, Failure},
    metrics_page::Pages,
    opened::Opened,
    output::{self, BAD, say, shown},
    selection::Walk,
};

/// What one reading of the store found.
struct Sample {
    at: Instant,
    lineages: HashSet<Lineage>,
    owners: usize,
    used: u64,
    unreadable: usize,
    load: Duration,
    slowest_page: Duration,
}

/// What came of the readings so far.
struct Samples {
    pages: Pages,
    before: Option<Sample>,
    failed: Option<Failure>,
    incomplete: bool,
}

pub(crate) async fn watch(opened: &Opened, watch: &Watch) -> Result<Completion, Failure> {
    let mut samples = Samples {
        pages: Pages::of(&watch.metrics)?,
        before: None,
        failed: None,
        incomplete: false,
    };
    tokio::select! {
        ended = samples.go_on(opened, watch) => ended?,
        // Also in the middle of one.
        pressed = signal::ctrl_c() => pressed?,
    }
    match samples {
        // No reading has succeeded.
        Samples {
            before: None,
            failed: Some(failure),
            ..
        } => Err(failure),
        Samples {
            incomplete: true, ..
        } => Ok(Completion::Incomplete),
        _ => Ok(Completion::Done),
    }
}

impl Samples {
    async fn go_on(&mut self, opened: &Opened, watch: &Watch) -> Result<(), Failure> {
        say("TIME      SESSIONS    USERS     USED   NEW/S  ENDED/S  UNREAD  LOAD MS  PAGE MS")?;
        for number in 1.. {
            let now = SystemTime::now();
            let time = output::at(now);
            let time = time.split(['T', 'Z']).nth(1).unwrap_or(&time);
            match sample(opened, now, watch.every).await {
                Ok(sample) => {
                    self.incomplete |= sample.unreadable > 0;
                    say(line(time, &sample, self.before.as_ref()))?;
                    self.before = Some(sample);
                }
                Err(failure @ (Failure::Usage(_) | Failure::NobodyReads)) => return Err(failure),
                Err(failure) if failure.code() == 2 => return Err(failure),
                Err(failure) => {
                    say(format_args!("{time}  {BAD}failed{BAD:#}: {failure}"))?;
                    self.incomplete = true;
                    self.failed = Some(failure);
                }
            }
            match self.pages.sample().await {
                Ok(None) => {}
                Ok(Some(text)) => say(format_args!("          {}", shown(&text)))?,
                Err(error) => {
                    let error = shown(&error.to_string());
                    say(format_args!("          {BAD}metrics{BAD:#}: {error}"))?;
                    self.incomplete = true;
                }
            }
            if watch.times == Some(number) {
                break;
            }
            sleep(watch.every).await;
        }
        Ok(())
    }
}

/// Reads all sessions. Used are those since `every` before `now`.
async fn sample(opened: &Opened, now: SystemTime, every: Duration) -> Result<Sample, Failure> {
    let load = opened.sessions.check_store().await?;
    let (mut lineages, mut owners, mut used) = (HashSet::new(), HashSet::new(), 0);
    let mut slowest_page = Duration::ZERO;
    let mut walk = Walk::new(opened);
    loop {
        let began = Instant::now();
        let Some(page) = walk.next().await? else {
            break;
        };
        slowest_page = slowest_page.max(began.elapsed());
        for session in page {
            let idle = now.duration_since(session.last_seen()).unwrap_or_default();
            used += u64::from(idle <= every);
            owners.extend(session.owner().map(str::to_owned));
            lineages.insert(*session.lineage());
        }
    }
    Ok(Sample {
        at: Instant::now(),
        lineages,
        owners: owners.len(),
        used,
        unreadable: walk.unreadable.len(),
        load,
        slowest_page,
    })
}

/// A sample as a row, with the rates since the one `before`.
fn line(time: &str, sample: &Sample, before: Option<&Sample>) -> String {
    let rates = before.map(|before| {
        let since = (sample.at - before.at).as_secs_f64();
        let rate = |one: &HashSet<Lineage>, other: &HashSet<Lineage>| {
            let number = u32::try_from(one.difference(other).count()).unwrap_or(u32::MAX);
            format!("{:.1}", f64::from(number) / since)
        };
        let (old, new) = (&before.lineages, &sample.lineages);
        (rate(new, old), rate(old, new))
    });
    let (new, ended) = rates.unwrap_or_else(|| ("-".into(), "-".into()));
    let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
    format!(
        "{time:8}  {:>8}  {:>7}  {:>7}  {new:>6}  {ended:>7}  {:>6}  {:>7}  {:>7}",
        sample.lineages.len(),
        sample.owners,
        sample.used,
        sample.unreadable,
        millis(sample.load),
        millis(sample.slowest_page),
    )
}
