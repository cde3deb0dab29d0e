//! `copy`: sessions from one store to another.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use indicatif::{ProgressBar, ProgressStyle};
use session_stores::session_core::{CopiedPage, Cursor, Moving};

use crate::{
    args::Copy,
    failure::{Completion, Failure, described},
    opened::{Opened, is_same, takes_writes},
    output::{conclude, note},
    selection::PAGE,
};

/// How many reasons are printed one by one.
const REASONS: usize = 5;

pub(crate) async fn copy(opened: &Opened, copy: &Copy) -> Result<Completion, Failure> {
    let prefix = copy.to_prefix.as_deref();
    let other = opened.other(&copy.to, prefix, !copy.dry_run).await?;
    let same_prefix =
        opened.sessions.settings().key_prefix() == other.sessions.settings().key_prefix();
    // A rehearsal writes nothing, so the addresses have to do.
    let is_same = if copy.dry_run {
        opened.described() == other.described()
    } else {
        same_prefix && is_same(opened, &other).await?
    };
    if is_same {
        return Err(Failure::Usage(
            "--to is the store that it copies from: name another store, or another prefix with --to-prefix".into(),
        ));
    }
    let moving = Moving::new(other.store.clone(), opened.store.clone());
    let state = copy.state.as_ref();
    let state = state.map(|file| State::new(file, opened, &other, copy));
    let noted = state.as_ref().map(State::noted).transpose()?.flatten();
    if noted.is_none() && !copy.moving && !copy.merge && has_sessions(&other).await? {
        return Err(Failure::Usage(
            "the other store has sessions already. If they are from an earlier copy, those that have \
             ended since would come back: copy to another store or prefix, move them with --moving, or \
             add --merge (see --help)"
                .into(),
        ));
    }
    // A rehearsal notes nothing: what it read is still to be copied.
    let state = state.filter(|_| !copy.dry_run);
    if let (Some(state), None) = (&state, &noted) {
        state.write(FIRST, 0)?;
    }
    let (mut cursor, mut failed) = noted.map_or((None, 0), |it| (it.next, it.failed));
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
        if is_all_failed(&page) {
            // What comes next would fail, too, one by one.
            let check = opened.sessions.check_store().await;
            check?;
            if copy.dry_run {
                other.sessions.check_store().await?;
            } else {
                takes_writes(&other).await?;
            }
        }
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
        if let Some(state) = &state {
            state.note(cursor.as_ref(), failed)?;
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
    conclude(format_args!(
        "{} record(s) {what}, {} were there already, {} had expired, {failed} could not be read or written",
        all.copied, all.present, all.expired
    ))?;
    Ok(if failed > 0 {
        Completion::Incomplete
    } else {
        Completion::Done
    })
}

/// Whether each record of a page failed, as when a store is away.
pub(crate) fn is_all_failed(page: &CopiedPage) -> bool {
    !page.failed.is_empty() && page.copied + page.present + page.expired == 0
}

/// Whether the store has a session.
async fn has_sessions(opened: &Opened) -> Result<bool, Failure> {
    // Nobody can tell of a store that lists nothing, such as memcached.
    let Ok(all) = opened.sessions.all() else {
        return Ok(false);
    };
    let mut cursor = None;
    loop {
        let page = all.page(cursor.as_ref(), PAGE).await?;
        if !page.sessions.is_empty() {
            return Ok(true);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(false);
        }
    }
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
    let style = ProgressStyle::with_template(
        "{bar:30} {human_pos} of {human_len} records, {per_sec}, {eta} left",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_length(records);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}

/// How far a copy came, in a file that is replaced in one step.
struct State {
    file: PathBuf,
    /// Which copy it is of.
    of: String,
}

/// What is noted.
struct Noted {
    /// Where the next page begins; `None` for the first one.
    next: Option<Cursor>,
    /// How many records were left where they are.
    failed: u64,
}

/// What the file says in place of a cursor. It is no base64.
const FIRST: &str = "first.";
const DONE: &str = "done.";

impl State {
    fn new(file: &Path, from: &Opened, to: &Opened, copy: &Copy) -> Self {
        let how = if copy.moving { "moving" } else { "copying" };
        let (from, to) = (from.described(), to.described());
        let file = file.to_owned();
        let of = format!("{how}\nfrom {from}\nto {to}");
        Self { file, of }
    }

    /// Where a copy that was interrupted came to. `None` if there was none, or if it came to its end.
    fn noted(&self) -> Result<Option<Noted>, Failure> {
        let not_ours = || {
            let what = "is damaged, or was not written by this version of `sessionctl copy`";
            self.wrong(what)
        };
        // A device or a pipe may never end.
        if fs::metadata(&self.file).is_ok_and(|it| !it.is_file()) {
            return Err(self.wrong("is no file"));
        }
        let text = match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(not_ours()),
            Err(error) => return Err(self.wrong(&format!("cannot be read ({error})"))),
            Ok(text) => text,
        };
        let (noted, sum) = text.trim_end().rsplit_once('\n').ok_or_else(not_ours)?;
        if sum != checksum(noted) {
            return Err(not_ours());
        }
        let (of, place) = noted.rsplit_once('\n').ok_or_else(not_ours)?;
        let (next, failed) = place.split_once(' ').ok_or_else(not_ours)?;
        let failed = failed.parse().map_err(|_| not_ours())?;
        if of != self.of {
            return Err(self.wrong(&format!("is of another copy:\n{of}\n")));
        }
        let next = match next {
            DONE => return Ok(None),
            FIRST => None,
            next => Some(Cursor::new(
                STANDARD_NO_PAD.decode(next).map_err(|_| not_ours())?,
            )),
        };
        Ok(Some(Noted { next, failed }))
    }

    fn note(&self, next: Option<&Cursor>, failed: u64) -> Result<(), Failure> {
        let next = next.map_or(DONE.to_owned(), |it| STANDARD_NO_PAD.encode(it.as_bytes()));
        self.write(&next, failed)
    }

    fn write(&self, next: &str, failed: u64) -> Result<(), Failure> {
        let mut staged = self.file.as_os_str().to_owned();
        staged.push(".new");
        let noted = format!("{}\n{next} {failed}", self.of);
        let text = format!("{noted}\n{}\n", checksum(&noted));
        let written = fs::write(&staged, text).and_then(|()| fs::rename(&staged, &self.file));
        written.map_err(|error| self.wrong(&format!("cannot be written ({error})")))
    }

    fn wrong(&self, what: &str) -> Failure {
        let file = self.file.display();
        Failure::Usage(format!("{file} {what}: name another file with --state"))
    }
}

/// What a text that was changed by accident does not have: FNV-1a.
fn checksum(text: &str) -> String {
    let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{sum:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_of_one_copy_and_forgets_nothing() {
        let directory = session_tests::scratch_dir();
        let state = |of: &str| State {
            file: directory.path().join("state"),
            of: of.into(),
        };
        let one = state("copying\nfrom a\nto b");
        assert!(matches!(one.noted(), Ok(None)));
        let at = |noted: Result<Option<Noted>, Failure>| {
            let noted = noted.ok().flatten().unwrap();
            (noted.next.map(|it| it.as_bytes().to_vec()), noted.failed)
        };
        one.write(FIRST, 0).ok().unwrap();
        assert_eq!(at(one.noted()), (None, 0));
        let cursor = Cursor::new(b"page 2".to_vec());
        one.note(Some(&cursor), 3).ok().unwrap();
        assert_eq!(at(one.noted()), (Some(b"page 2".to_vec()), 3));
        for other in ["moving\nfrom a\nto b", "copying\nfrom b\nto a"] {
            let Err(Failure::Usage(error)) = state(other).noted() else {
                panic!("it goes on with another copy");
            };
            assert!(error.contains("copying\nfrom a\nto b"), "{error}");
        }
        one.note(None, 3).ok().unwrap();
        assert!(matches!(one.noted(), Ok(None)));
        fs::write(&one.file, "cGFnZSAy").unwrap();
        assert!(one.noted().is_err());
    }
}
