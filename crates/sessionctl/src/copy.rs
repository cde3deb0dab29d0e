//! `copy`: sessions from one store to another.

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use indicatif::{ProgressBar, ProgressStyle};
use session_stores::session_core::{Bytes, CopiedPage, Cursor, Moving, Record};

use crate::{
    args::Copy,
    failure::{Completion, Failure, described},
    opened::Opened,
    output::{note, say},
    probe,
    selection::PAGE,
};

/// How many reasons are printed one by one.
const REASONS: usize = 5;

pub(crate) async fn copy(opened: &Opened, copy: &Copy) -> Result<Completion, Failure> {
    let other = opened.other(&copy.to, copy.to_prefix.as_deref()).await?;
    let same_prefix =
        opened.sessions.settings().key_prefix() == other.sessions.settings().key_prefix();
    if same_prefix && !copy.dry_run && is_same_store(opened, &other).await? {
        return Err(Failure::Usage(
            "--to is the store that it copies from: name another store, or another prefix with --to-prefix".into(),
        ));
    }
    let moving = Moving::new(other.store.clone(), opened.store.clone());
    let (mut cursor, mut failed) = match &copy.state {
        Some(file) => noted(file)?,
        None => (None, 0),
    };
    let bar = progress(opened).await?;
    let (mut all, mut reasons) = (CopiedPage::default(), 0);
    loop {
        let page = if copy.moving {
            let sessions = &opened.sessions;
            sessions.carry(&moving, cursor.as_ref(), PAGE).await?
        } else {
            let from = opened.all()?;
            from.copy(&other.sessions, cursor.as_ref(), PAGE, copy.dry_run)
                .await?
        };
        all.copied += page.copied;
        all.present += page.present;
        all.expired += page.expired;
        for error in &page.failed {
            if reasons < REASONS {
                bar.suspend(|| {
                    note(format_args!(
                        "a record was left where it is: {}",
                        described(error)
                    ));
                });
            }
            reasons += 1;
        }
        failed += page.failed.len() as u64;
        bar.inc(page.copied + page.present + page.expired + page.failed.len() as u64);
        cursor = page.next;
        // A rehearsal notes nothing: what it read is still to be copied.
        if let Some(file) = copy.state.as_ref().filter(|_| !copy.dry_run) {
            write_state(file, cursor.as_ref(), failed)?;
        }
        if cursor.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    let what = match (copy.dry_run, copy.moving) {
        (true, _) => "would be copied",
        (_, true) => "moved",
        _ => "copied",
    };
    say(format_args!(
        "{} record(s) {what}, {} were there already, {} had expired, {failed} could not be read or written",
        all.copied, all.present, all.expired
    ))?;
    Ok(if failed > 0 {
        Completion::Incomplete
    } else {
        Completion::Done
    })
}

/// Whether what is written to one store is found in the other, whatever their addresses.
async fn is_same_store(one: &Opened, other: &Opened) -> Result<bool, Failure> {
    let key = probe::key(other.sessions.settings().key_prefix());
    let record = Record {
        bytes: Bytes::from_static(b"sessionctl copy"),
        expires_at: SystemTime::now() + Duration::from_secs(60),
        entry: None,
    };
    let written = other.store.insert(&key, &record).await?;
    let found = one.store.load(&key).await;
    other.store.delete(&key).await?;
    Ok(written.is_stored() && found?.is_some())
}

/// A bar with as many records as there are, with rate and time left. On standard error, and only on
/// a terminal.
pub(crate) async fn progress(opened: &Opened) -> Result<ProgressBar, Failure> {
    let bar = ProgressBar::no_length();
    if bar.is_hidden() {
        return Ok(bar);
    }
    // Not by a `Walk`, which remembers each session.
    let (all, mut cursor, mut records) = (opened.all()?, None, 0);
    loop {
        let page = all.page(cursor.as_ref(), PAGE).await?;
        let others = page.expired + page.tombstones;
        records += others + (page.sessions.len() + page.unreadable.len()) as u64;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    bar.set_length(records);
    let style = ProgressStyle::with_template(
        "{bar:30} {human_pos} of {human_len} records, {per_sec}, {eta} left",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}

/// Where a copy that was interrupted came to, and how many records it had left where they are. `None`
/// if there was none.
fn noted(file: &Path) -> Result<(Option<Cursor>, u64), Failure> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((None, 0)),
        text => text?,
    };
    if text.trim() == DONE {
        return Ok((None, 0));
    }
    let read = || {
        let (cursor, failed) = text.trim().split_once(' ')?;
        let cursor = STANDARD_NO_PAD.decode(cursor).ok()?;
        Some((Some(Cursor::new(cursor)), failed.parse().ok()?))
    };
    read().ok_or_else(|| {
        Failure::Usage(format!(
            "{} was not written by `sessionctl copy`: name another file with --state",
            file.display()
        ))
    })
}

/// What the file says when all is copied. It is no base64.
const DONE: &str = "done.";

/// Notes where the next page begins. The file is replaced in one step.
fn write_state(file: &Path, cursor: Option<&Cursor>, failed: u64) -> Result<(), Failure> {
    let text = cursor.map_or(DONE.to_owned(), |it| {
        format!("{} {failed}", STANDARD_NO_PAD.encode(it.as_bytes()))
    });
    let mut staged = file.as_os_str().to_owned();
    staged.push(".new");
    fs::write(&staged, text)?;
    Ok(fs::rename(&staged, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_where_it_is_is_not_forgotten() {
        let directory = session_tests::scratch_dir();
        let file = directory.path().join("state");
        assert!(matches!(noted(&file), Ok((None, 0))));
        let cursor = Cursor::new(b"page 2".to_vec());
        write_state(&file, Some(&cursor), 3).ok().unwrap();
        let Ok((Some(found), 3)) = noted(&file) else {
            panic!("{:?}", fs::read_to_string(&file));
        };
        assert_eq!(found.as_bytes(), cursor.as_bytes());
        write_state(&file, None, 3).ok().unwrap();
        assert!(matches!(noted(&file), Ok((None, 0))));
        fs::write(&file, "cGFnZSAy").unwrap();
        assert!(noted(&file).is_err());
    }
}
