//! `sweep` and `migrate`.

use crate::{
    failure::{Completion, Failure},
    opened::Opened,
};

/// How many records a call of the sweep removes at most.
const BATCH: usize = 10_000;

pub(crate) async fn sweep(opened: &Opened) -> Result<Completion, Failure> {
    let Some(swept) = &opened.swept else {
        println!(
            "{} removes expired records by itself",
            opened.store_type.name()
        );
        return Ok(Completion::Done);
    };
    let mut removed = 0;
    loop {
        let batch = swept.sweep(BATCH).await?;
        removed += batch;
        if batch < BATCH as u64 {
            break;
        }
    }
    println!("{removed} expired record(s) removed");
    Ok(Completion::Done)
}

pub(crate) async fn migrate(opened: Opened) -> Result<Completion, Failure> {
    let Some(preparation) = opened.preparation else {
        println!("{} needs no table and no index", opened.store_type.name());
        return Ok(Completion::Done);
    };
    preparation.run().await?;
    println!("the table or the indexes are there");
    Ok(Completion::Done)
}
