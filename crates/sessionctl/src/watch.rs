//! `watch`: what changes in a store.

use std::{
    collections::HashSet,
    time::{Instant, SystemTime},
};

use session_stores::session_core::Lineage;
use tokio::{signal, time::sleep};

use crate::{
    args::Watch,
    failure::{Completion, Failure},
    opened::Opened,
    selection::Walk,
};

pub(crate) async fn watch(opened: &Opened, watch: &Watch) -> Result<Completion, Failure> {
    let mut before: Option<HashSet<Lineage>> = None;
    let mut outcome = Completion::Done;
    println!(
        "TIME (UTC)            SESSIONS  USERS  USED   NEW  ENDED  UNREADABLE  PAGE (SLOWEST)"
    );
    for number in 1.. {
        let (now, mut slowest) = (SystemTime::now(), std::time::Duration::ZERO);
        let (mut lineages, mut owners, mut used) = (HashSet::new(), HashSet::new(), 0);
        let mut walk = Walk::new(opened);
        loop {
            let began = Instant::now();
            let Some(page) = walk.next().await? else {
                break;
            };
            slowest = slowest.max(began.elapsed());
            for session in page {
                let idle = now.duration_since(session.last_seen()).unwrap_or_default();
                used += u64::from(idle <= watch.every);
                owners.extend(session.owner().map(str::to_owned));
                lineages.insert(*session.lineage());
            }
        }
        let (new, ended) = before.as_ref().map_or((0, 0), |before| {
            let new = lineages.difference(before).count();
            (new, before.difference(&lineages).count())
        });
        println!(
            "{}  {:>8}  {:>5}  {used:>4}  {new:>4}  {ended:>5}  {:>10}  {:>7} ms",
            crate::output::at(now),
            lineages.len(),
            owners.len(),
            walk.unreadable.len(),
            slowest.as_millis(),
        );
        if !walk.unreadable.is_empty() {
            outcome = Completion::Incomplete;
        }
        before = Some(lineages);
        if watch.times == Some(number) {
            break;
        }
        tokio::select! {
            () = sleep(watch.every) => {}
            _ = signal::ctrl_c() => break,
        }
    }
    Ok(outcome)
}
