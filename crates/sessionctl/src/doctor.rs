//! `doctor`: what is wrong with a store and the settings.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use serde_json::json;
use session_stores::{
    StoreType,
    session_core::{Bytes, Error, Finding, IndexEntry, Record, Write},
};

use crate::{
    args::Doctor,
    failure::{Completion, Failure, described},
    opened::{Opened, in_time},
    output::{BAD, GOOD, conclude, note, say, say_json, shown},
    probe,
    selection::Walk,
};

/// How many lists of users are compared with their sessions at most.
const LOOK_UPS: usize = 10_000;

/// How many sessions are opened to see whether the encryption keys fit.
const OPENED: usize = 100;

/// A call of the store that takes longer is a finding. A request waits for several.
const SLOW: Duration = Duration::from_millis(100);

pub(crate) async fn doctor(opened: &Opened, doctor: &Doctor) -> Result<Completion, Failure> {
    let findings = findings(opened).await;
    if findings.is_empty() && !doctor.json {
        let name = opened.store_type.name();
        conclude(format_args!(
            "{GOOD}healthy{GOOD:#}: nothing is wrong with {name}"
        ))?;
    }
    report(doctor, &findings)
}

/// What it says of settings with which no store can be opened, or of one that is not there.
///
/// # Errors
///
/// If it is another failure.
pub(crate) fn of_failure(doctor: &Doctor, failure: Failure) -> Result<Completion, Failure> {
    let (problem, remedy) = match failure {
        Failure::Usage(problem) => (problem, "No process with these settings starts."),
        Failure::NothingThere(problem) => (
            capitalized(&problem),
            "Correct the address, or let the application create it, or `sessionctl migrate` as its user.",
        ),
        failure => return Err(failure),
    };
    report(doctor, &[Finding::new(format!("{problem}."), remedy)])
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|it| it.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), characters.as_str())
}

fn report(doctor: &Doctor, findings: &[Finding]) -> Result<Completion, Failure> {
    for Finding { problem, remedy } in findings {
        let said = if doctor.json {
            say_json(&json!({ "problem": problem, "remedy": remedy }))
        } else {
            // A server chose a part of it.
            let (problem, remedy) = (shown(problem), shown(remedy));
            say(format_args!("{BAD}problem{BAD:#}: {problem} {remedy}"))
        };
        match said {
            // It counts, also if nobody reads of it.
            Err(Failure::NobodyReads) => break,
            said => said?,
        }
    }
    Ok(if findings.is_empty() {
        Completion::Done
    } else {
        Completion::Incomplete
    })
}

async fn findings(opened: &Opened) -> Vec<Finding> {
    let mut findings = Vec::new();
    let diagnosis = async {
        let diagnosis = opened.store.diagnose();
        match opened.store_type {
            // It reads each file, of which there may be very many, and nobody else answers for them.
            StoreType::Filesystem => diagnosis.await,
            _ => in_time(diagnosis).await,
        }
    };
    match diagnosis.await {
        Ok(of_server) => findings.extend(of_server),
        Err(error) => {
            findings.push(Finding::new(
                format!("The store cannot be asked: {}.", described(&error)),
                "Start it, or correct its address and the rights of its user.",
            ));
            return findings;
        }
    }
    match writes(opened).await {
        // What was found already is why.
        Err(_) if !findings.is_empty() => {}
        Err(finding) => findings.push(finding),
        Ok(()) if opened.sessions.all().is_ok() => match of_records(opened).await {
            Ok(of_records) => findings.extend(of_records),
            Err(_) if !findings.is_empty() => {}
            Err(finding) => findings.push(finding),
        },
        Ok(()) => {}
    }
    findings.extend(of_settings(opened));
    findings
}

/// Writes, reads, changes and removes a record of its own, as a request does.
async fn writes(opened: &Opened) -> Result<(), Finding> {
    let settings = opened.sessions.settings();
    let key = probe::key(settings.key_prefix());
    let store = &opened.store;
    let until = SystemTime::now() + Duration::from_secs(60);
    let record = |text: &'static [u8], owner: bool| Record {
        bytes: Bytes::from_static(text),
        expires_at: until,
        entry: (owner && opened.sessions.has_owner_lists()).then(|| IndexEntry {
            owner: settings.key_prefix().owner_key("sessionctl doctor"),
            provider_session: None,
            expires_at: SystemTime::now(),
        }),
    };
    let began = Instant::now();
    let probe = async {
        let Write::Stored(revision) = in_time(store.insert(&key, &record(b"1", true))).await?
        else {
            return Ok(Some("a new record was refused"));
        };
        if in_time(store.load(&key))
            .await?
            .is_none_or(|it| it.bytes != b"1"[..])
        {
            return Ok(Some("what was written was not read"));
        }
        if !in_time(store.update(&key, &record(b"2", false), &revision))
            .await?
            .is_stored()
        {
            return Ok(Some("a change was refused"));
        }
        Ok::<_, session_stores::session_core::Error>(None)
    };
    let probed = probe.await;
    let calls = 3;
    let time = began.elapsed() / calls;
    let removed = in_time(store.delete(&key)).await;
    match (probed, removed) {
        (Ok(None), Ok(())) if time > SLOW => Err(Finding::new(
            format!("The store is slow: {} ms a call.", time.as_millis()),
            "Look at its load, its disk and the way to it.",
        )),
        (Ok(None), Ok(())) => Ok(()),
        (Ok(Some(what)), _) => Err(Finding::new(
            format!("The store does not work: {what}."),
            "Look for a proxy that answers by itself, and for a replica that lags behind.",
        )),
        (Err(error), _) | (_, Err(error)) => Err(Finding::new(
            format!("A session cannot be written: {}.", described(&error)),
            "As the reason says: make room, connect to the primary, or give the user the rights that the README of the store's crate lists.",
        )),
    }
}

/// What the records themselves show.
///
/// # Errors
///
/// If they cannot be listed.
async fn of_records(opened: &Opened) -> Result<Vec<Finding>, Finding> {
    let mut findings = Vec::new();
    let mut walk = Walk::new(opened);
    let (mut looked_up, mut unlisted, mut of_users) = (0, 0, 0);
    let encrypts = opened.env.get("SESSION_ENCRYPTION_KEY").is_some();
    let (mut tried, mut closed) = (0, Vec::new());
    loop {
        let page = match walk.next().await {
            Ok(None) => break,
            Ok(Some(page)) => page,
            Err(error) => {
                return Err(Finding::new(
                    format!("The records cannot be listed: {error}."),
                    "Give the user the rights for a scan.",
                ));
            }
        };
        for session in page.iter().filter(|_| encrypts).take(OPENED - tried) {
            tried += 1;
            let values = match opened.all() {
                Ok(all) => all.values(session).await,
                Err(_) => break,
            };
            if let Err(error @ (Error::Corrupt { .. } | Error::UnknownEncryptionKey)) = values {
                closed.push(error);
            }
        }
        if !opened.sessions.has_owner_lists() {
            continue;
        }
        let mut owners: HashMap<_, Vec<_>> = HashMap::new();
        for session in &page {
            if let Some(owner) = session.owner() {
                owners.entry(owner).or_default().push(session);
            }
        }
        // Keys are digests, so the first sessions are as good as any.
        for (owner, sessions) in owners.into_iter().take(LOOK_UPS - looked_up) {
            looked_up += 1;
            let found = match opened.all() {
                Ok(all) => all.unlisted(owner, &sessions).await.map_err(Failure::from),
                Err(failure) => Err(failure),
            };
            match found {
                Ok(found) => {
                    unlisted += found.len();
                    of_users += usize::from(!found.is_empty());
                }
                Err(error) => {
                    return Err(Finding::new(
                        format!("The list of a user's sessions cannot be read: {error}."),
                        "Give the user the rights that the README of the store's crate lists.",
                    ));
                }
            }
        }
    }
    if looked_up == LOOK_UPS {
        note(format_args!(
            "the lists of {LOOK_UPS} users were compared with their sessions, and no more"
        ));
    }
    if let Some(first) = walk.unreadable.first() {
        findings.push(Finding::new(
            format!(
                "{} record(s) cannot be read, the first because: {}.",
                walk.unreadable.len(),
                described(first)
            ),
            "If a later release wrote them, update all processes; otherwise their users log in again.",
        ));
    }
    if let Some(first) = closed.first() {
        findings.push(Finding::new(
            format!(
                "What {} of {tried} session(s) hold cannot be decrypted, the first because: {}.",
                closed.len(),
                described(first)
            ),
            "Set each key that encrypted them as a fallback, or SESSION_ENCRYPTION_ACCEPT_PLAIN if they are to be encrypted for the first time.",
        ));
    }
    if unlisted > 0 {
        findings.push(Finding::new(
            format!("{unlisted} session(s) of {of_users} user(s) are not in their owner's index, so a log-out everywhere misses them."),
            "End them by `sessionctl end --owner USER --older-than 0s`, and look for what evicts or deletes keys of the index.",
        ));
    }
    Ok(findings)
}

/// Settings that do not fit together.
fn of_settings(opened: &Opened) -> Vec<Finding> {
    let mut findings = Vec::new();
    let env = &opened.env;
    let is = |name: &str, wanted: bool| env.bool(name).ok().flatten() == Some(wanted);
    if is("SESSION_COOKIE_SECURE", false) {
        findings.push(Finding::new(
            "SESSION_COOKIE_SECURE is false: the cookie travels in clear text.",
            "Leave it unset wherever users log in over https.",
        ));
    }
    if is("SESSION_USE_SIGNER", false) {
        findings.push(Finding::new(
            "SESSION_USE_SIGNER is false: every cookie with a well-formed id costs a call of the store.",
            "Leave it unset, and set SECRET_KEY.",
        ));
    }
    if env
        .get("SESSION_COOKIE_SAMESITE")
        .is_some_and(|it| it.eq_ignore_ascii_case("none"))
    {
        findings.push(Finding::new(
            "SESSION_COOKIE_SAMESITE is None: other sites' requests bring the cookie.",
            "Set it to Lax, or use CrossSiteGuard.",
        ));
    }
    findings
}
