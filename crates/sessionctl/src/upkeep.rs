//! `sweep` and `migrate`.

use crate::{
    failure::{Completion, Failure},
    opened::Opened,
    output::say,
};

/// How many records a call of the sweep removes at most.
const BATCH: usize = 10_000;

pub(crate) async fn sweep(opened: &Opened) -> Result<Completion, Failure> {
    let Some(swept) = &opened.swept else {
        let name = opened.store_type.name();
        say(format_args!("{name} removes expired records by itself"))?;
        return Ok(Completion::Done);
    };
    let mut removed = 0;
    loop {
        let batch = swept.sweep(BATCH).await?;
        removed += batch.removed;
        if batch.is_done {
            break;
        }
    }
    say(format_args!("{removed} expired record(s) removed"))?;
    Ok(Completion::Done)
}

pub(crate) async fn migrate(opened: Opened) -> Result<Completion, Failure> {
    let Some(preparation) = opened.preparation else {
        let name = opened.store_type.name();
        say(format_args!("{name} needs no table and no index"))?;
        return Ok(Completion::Done);
    };
    preparation.run().await?;
    say("the table or the indexes are there")?;
    Ok(Completion::Done)
}
