//! `encrypt`: sessions under a changed key.

use crate::{
    copy::{is_all_failed, progress},
    failure::{Completion, Failure, described},
    opened::{Opened, takes_writes},
    output::{conclude, note},
    selection::PAGE,
};

/// How many reasons are printed one by one.
const REASONS: u64 = 5;

pub(crate) async fn encrypt(opened: &Opened) -> Result<Completion, Failure> {
    if opened.env.get("SESSION_ENCRYPTION_KEY").is_none() {
        return Err(Failure::Usage(
            "SESSION_ENCRYPTION_KEY is needed, and the keys before it in SESSION_ENCRYPTION_KEY_FALLBACKS"
                .into(),
        ));
    }
    let all = opened.all()?;
    let bar = progress(opened).await?;
    let (mut encrypted, mut present, mut failed, mut cursor) = (0, 0, 0, None);
    loop {
        let page = all.encrypt_anew(cursor.as_ref(), PAGE).await?;
        encrypted += page.copied;
        present += page.present;
        if is_all_failed(&page) {
            takes_writes(opened).await?;
        }
        for error in &page.failed {
            if failed < REASONS {
                let reason = described(error);
                bar.suspend(|| note(format_args!("a record was left as it is: {reason}")));
            }
            failed += 1;
        }
        bar.inc(page.copied + page.present + page.expired + page.failed.len() as u64);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    conclude(format_args!(
        "{encrypted} session(s) encrypted anew, {present} record(s) needed nothing, {failed} could not be read or written"
    ))?;
    Ok(if failed > 0 {
        Completion::Incomplete
    } else {
        Completion::Done
    })
}
