//! `doctor`: what is wrong with a store and the settings.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant, SystemTime},
};

use serde_json::json;
use session_stores::session_core::{Bytes, Finding, IndexEntry, Lineage, Record, SessionId, Write};

use crate::{
    args::Doctor,
    failure::{Completion, Failure, described},
    opened::Opened,
    output::{BAD, GOOD},
    selection::Walk,
};

/// How many owners are looked up in the index.
const OWNERS: usize = 200;

/// A call of the store that takes longer is a finding. A request waits for several.
const SLOW: Duration = Duration::from_millis(100);

pub(crate) async fn doctor(opened: &Opened, doctor: &Doctor) -> Result<Completion, Failure> {
    let findings = findings(opened).await;
    if findings.is_empty() && !doctor.json {
        let name = opened.store_type.name();
        anstream::println!("{GOOD}healthy{GOOD:#}: nothing is wrong with {name}");
    }
    Ok(report(doctor, &findings))
}

/// What it says of settings with which no store can be opened.
pub(crate) fn of_usage(doctor: &Doctor, problem: &str) -> Completion {
    let finding = Finding::new(
        format!("{problem}."),
        "No process with these settings starts.",
    );
    report(doctor, &[finding])
}

fn report(doctor: &Doctor, findings: &[Finding]) -> Completion {
    for Finding { problem, remedy } in findings {
        if doctor.json {
            println!("{}", json!({ "problem": problem, "remedy": remedy }));
        } else {
            anstream::println!("{BAD}problem{BAD:#}: {problem} {remedy}");
        }
    }
    if findings.is_empty() {
        Completion::Done
    } else {
        Completion::Incomplete
    }
}

async fn findings(opened: &Opened) -> Vec<Finding> {
    let mut findings = Vec::new();
    match opened.store.diagnose().await {
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
        Ok(()) if opened.sessions.all().is_ok() => findings.extend(of_records(opened).await),
        Ok(()) => {}
    }
    findings.extend(of_settings(opened));
    findings
}

/// Writes, reads, changes and removes a record of its own, as a request does.
async fn writes(opened: &Opened) -> Result<(), Finding> {
    let settings = opened.sessions.settings();
    let id = SessionId::random(SessionId::DEFAULT_BYTES);
    let (key, store) = (settings.key_prefix().hashed_key(&id), &opened.store);
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
        let Write::Stored(revision) = store.insert(&key, &record(b"1", true)).await? else {
            return Ok(Some("a new record was refused"));
        };
        if store
            .load(&key)
            .await?
            .is_none_or(|it| it.bytes != b"1"[..])
        {
            return Ok(Some("what was written was not read"));
        }
        if !store
            .update(&key, &record(b"2", false), &revision)
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
    let removed = store.delete(&key).await;
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
            "Give the user the rights that the README of the store's crate lists, or make room.",
        )),
    }
}

/// What the records themselves show.
async fn of_records(opened: &Opened) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut walk = Walk::new(opened);
    let (mut owners, mut sessions): (HashMap<String, Vec<Lineage>>, u64) = (HashMap::new(), 0);
    loop {
        match walk.next().await {
            Ok(None) => break,
            Ok(Some(page)) => {
                for session in page {
                    sessions += 1;
                    if let Some(owner) = session.owner()
                        && (owners.len() < OWNERS || owners.contains_key(owner))
                    {
                        let of_owner = owners.entry(owner.to_owned()).or_default();
                        of_owner.push(*session.lineage());
                    }
                }
            }
            Err(error) => {
                findings.push(Finding::new(
                    format!("The records cannot be listed: {error}."),
                    "Give the user the rights for a scan.",
                ));
                return findings;
            }
        }
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
    if opened.swept.is_some() && walk.expired > sessions.max(10_000) {
        findings.push(Finding::new(
            format!(
                "{} expired records beside {sessions} live sessions: nobody sweeps.",
                walk.expired
            ),
            "Run sweep_every in the application, or `sessionctl sweep` by cron.",
        ));
    }
    if opened.sessions.has_owner_lists() {
        let mut missing = 0;
        for (owner, lineages) in &owners {
            let Ok(listed) = opened.sessions.owner_sessions(owner).await else {
                continue;
            };
            let listed: HashSet<_> = listed.iter().map(|it| *it.lineage()).collect();
            missing += lineages.iter().filter(|it| !listed.contains(it)).count();
        }
        if missing > 0 {
            findings.push(Finding::new(
                format!("{missing} session(s) of {} users are not in their owner's index, so a log-out everywhere misses them.", owners.len()),
                "End them by `sessionctl end --owner USER --older-than 0s`, and look for what evicts or deletes keys of the index.",
            ));
        }
    }
    findings
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
