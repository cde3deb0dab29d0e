//! `end`: ends sessions.

use std::{
    collections::HashSet,
    io::{self, BufRead, IsTerminal, Write},
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use session_stores::session_core::Lineage;

use crate::{
    args::{End, Which},
    failure::{Completion, Failure, described},
    opened::{Opened, takes_writes},
    output::{conclude, note},
    selection::{Walk, find_all},
};

/// How many sessions are ended at once.
const AT_ONCE: usize = 32;

/// How many reasons are printed one by one.
const REASONS: u64 = 5;

/// What it says if there is nothing to ask about.
const NONE: &str = "0 session(s) ended: there is none";

pub(crate) async fn end(opened: &Opened, end: &End) -> Result<Completion, Failure> {
    if let Some(lineage) = &end.meant.lineage {
        let records = find_all(opened, lineage).await?;
        if !end.yes && !agrees("End 1 session?")? {
            return Ok(Completion::Incomplete);
        }
        let (all, mut ended) = (opened.all()?, false);
        for record in &records {
            ended |= all.end(record).await?;
        }
        conclude(format_args!("{} session ended", u8::from(ended)))?;
        if !ended {
            note("it has ended meanwhile, or somebody else has logged in to it");
            return Ok(Completion::Incomplete);
        }
        return Ok(Completion::Done);
    }
    let which = &end.meant.which;
    let everything_of_a_user = which.older_than.is_none() && which.idle_for.is_none();
    if let (Some(owner), true) = (&which.owner, everything_of_a_user)
        && opened.sessions.has_owner_lists()
    {
        let count = opened.sessions.owner_sessions(owner).await?.len();
        // Its list may lack one that has just begun, so --yes ends what there is.
        if count == 0 && !end.yes {
            conclude(NONE)?;
            return Ok(Completion::Done);
        }
        if !end.yes && !agrees(&format!("End {count} session(s) of one user?"))? {
            return Ok(Completion::Incomplete);
        }
        let ended = opened.sessions.log_out_everywhere(owner).await?;
        conclude(format_args!("{ended} session(s) ended"))?;
        return Ok(Completion::Done);
    }
    let now = SystemTime::now();
    if !end.yes {
        let mut count = 0;
        let mut walk = Walk::new(opened);
        while let Some(sessions) = walk.next().await? {
            count += sessions.iter().filter(|it| which.includes(it, now)).count();
        }
        if count == 0 {
            conclude(NONE)?;
            return Ok(walk.report());
        }
        if !agrees(&format!("End {count} session(s)?"))? {
            return Ok(Completion::Incomplete);
        }
    }
    let mut ends = Ends::default();
    let ended = ends.of_all(opened, which, now).await;
    ends.bar.finish_and_clear();
    conclude(format_args!("{} session(s) ended", ends.ended.len()))?;
    let completion = ended?;
    if ends.failed > 0 {
        note(format_args!(
            "{} session(s) could not be ended: run it again",
            ends.failed
        ));
        return Ok(Completion::Incomplete);
    }
    Ok(completion)
}

/// What came of the ends so far.
struct Ends {
    ended: HashSet<Lineage>,
    failed: u64,
    bar: ProgressBar,
}

impl Default for Ends {
    fn default() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{human_pos} ended, {per_sec}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            ended: HashSet::new(),
            failed: 0,
            bar,
        }
    }
}

impl Ends {
    /// Ends each record of those that are meant.
    ///
    /// # Errors
    ///
    /// If the store fails. A single session that cannot be ended is counted.
    async fn of_all(
        &mut self,
        opened: &Opened,
        which: &Which,
        now: SystemTime,
    ) -> Result<Completion, Failure> {
        let all = opened.all()?;
        let mut walk = Walk::of_records(opened);
        while let Some(sessions) = walk.next().await? {
            let meant = sessions.iter().filter(|it| which.includes(it, now));
            let ends = meant.map(async |it| (*it.lineage(), all.end(it).await));
            let mut ends = stream::iter(ends).buffer_unordered(AT_ONCE);
            let (mut done, mut failed) = (0_u64, 0_u64);
            while let Some((lineage, ended)) = ends.next().await {
                match ended {
                    Ok(is_ended) => {
                        done += 1;
                        if is_ended && self.ended.insert(lineage) {
                            self.bar.inc(1);
                        }
                    }
                    Err(error) => {
                        failed += 1;
                        self.report(&lineage, &described(&error));
                    }
                }
            }
            if failed > 0 && done == 0 {
                // What comes next would fail, too, one by one.
                takes_writes(opened).await?;
            }
        }
        Ok(walk.report())
    }

    fn report(&mut self, lineage: &Lineage, reason: &str) {
        if self.failed < REASONS {
            let lineage = lineage.as_str();
            self.bar
                .suspend(|| note(format_args!("{lineage} was not ended: {reason}")));
        }
        self.failed += 1;
    }
}

/// Asks. Without a terminal the answer is an error that names `--yes`.
fn agrees(question: &str) -> Result<bool, Failure> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Err(Failure::Usage(format!(
            "{question} Nobody can be asked: add --yes"
        )));
    }
    let mut asks = io::stderr();
    write!(asks, "{question} [y/N] ")?;
    asks.flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
