//! `end`: ends sessions.

use std::{
    collections::HashSet,
    io::{self, BufRead, IsTerminal, Write},
    time::SystemTime,
};

use session_stores::session_core::StoredSession;

use crate::{
    args::End,
    failure::{Completion, Failure, described},
    opened::Opened,
    output::{note, say},
    selection::{Walk, find_all},
};

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
        say(format_args!("{} session ended", u8::from(ended)))?;
        return Ok(Completion::Done);
    }
    let which = &end.meant.which;
    let everything_of_a_user = which.older_than.is_none() && which.idle_for.is_none();
    if let (Some(owner), true) = (&which.owner, everything_of_a_user)
        && opened.sessions.has_owner_lists()
    {
        let count = opened.sessions.owner_sessions(owner).await?.len();
        if !end.yes && !agrees(&format!("End {count} session(s) of one user?"))? {
            return Ok(Completion::Incomplete);
        }
        let ended = opened.sessions.log_out_everywhere(owner).await?;
        say(format_args!("{ended} session(s) ended"))?;
        return Ok(Completion::Done);
    }
    let now = SystemTime::now();
    if !end.yes {
        let mut count = 0;
        let mut walk = Walk::new(opened);
        while let Some(sessions) = walk.next().await? {
            count += sessions.iter().filter(|it| which.includes(it, now)).count();
        }
        if !agrees(&format!("End {count} session(s)?"))? {
            return Ok(Completion::Incomplete);
        }
    }
    let (mut ended, mut failed) = (HashSet::new(), 0_u64);
    let mut walk = Walk::of_records(opened);
    while let Some(sessions) = walk.next().await? {
        for session in sessions.iter().filter(|it| which.includes(it, now)) {
            match end_one(opened, session).await {
                Ok(true) => drop(ended.insert(*session.lineage())),
                Ok(false) => {}
                Err(error) => {
                    failed += 1;
                    note(format_args!("{}: {error}", session.lineage().as_str()));
                }
            }
        }
    }
    say(format_args!("{} session(s) ended", ended.len()))?;
    if failed > 0 {
        note(format_args!(
            "{failed} session(s) could not be ended: run it again"
        ));
        return Ok(Completion::Incomplete);
    }
    Ok(walk.report())
}

async fn end_one(opened: &Opened, session: &StoredSession) -> Result<bool, String> {
    let all = opened.all().map_err(|error| error.to_string())?;
    let ended = all.end(session).await;
    ended.map_err(|error| described(&error))
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
