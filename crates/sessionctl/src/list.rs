//! `ls`, `count` and `show`.

use std::{collections::HashSet, time::SystemTime};

use serde_json::{Map, Value, json};
use session_stores::session_core::{Error, Payload};

use crate::{
    args::{Count, Ls, Show},
    failure::{Completion, Failure, described},
    opened::Opened,
    output::{self, at, note, say, say_json, shown},
    selection::{Walk, find},
};

/// How many rows a table has before it is printed, so that its columns have one width.
const ROWS: usize = 1000;

pub(crate) async fn ls(opened: &Opened, ls: &Ls) -> Result<Completion, Failure> {
    let (now, mut left) = (SystemTime::now(), ls.limit.unwrap_or(u64::MAX));
    let mut table = output::table(&output::HEADINGS);
    let mut walk = Walk::new(opened);
    let mut printed = 0;
    while left > 0
        && let Some(sessions) = walk.next().await?
    {
        let chosen = sessions.iter().filter(|it| ls.which.includes(it, now));
        for session in chosen.take(usize::try_from(left).unwrap_or(usize::MAX)) {
            left -= 1;
            printed += 1;
            if ls.json {
                say_json(&output::object(session))?;
            } else {
                table.add_row(output::row(session, now));
            }
        }
        if table.row_count() >= ROWS {
            say(table.trim_fmt())?;
            table = output::table(&output::HEADINGS);
        }
    }
    if table.row_count() > 0 {
        say(table.trim_fmt())?;
    }
    if printed == 0 && !ls.json {
        note("no session");
    }
    Ok(walk.report())
}

pub(crate) async fn count(opened: &Opened, count: &Count) -> Result<Completion, Failure> {
    let now = SystemTime::now();
    let mut walk = Walk::new(opened);
    let (mut sessions, mut anonymous, mut owners) = (0_u64, 0_u64, HashSet::new());
    while let Some(page) = walk.next().await? {
        for session in page.iter().filter(|it| count.which.includes(it, now)) {
            sessions += 1;
            match session.owner() {
                Some(owner) => drop(owners.insert(owner.to_owned())),
                None => anonymous += 1,
            }
        }
    }
    let unreadable = walk.unreadable.len();
    if count.json {
        let counts = json!({
            "sessions": sessions,
            "owners": owners.len(),
            "anonymous": anonymous,
            "expired": walk.expired,
            "tombstones": walk.tombstones,
            "unreadable": unreadable,
        });
        say_json(&counts)?;
    } else {
        say(format_args!(
            "{sessions} sessions of {} users, {anonymous} of nobody",
            owners.len()
        ))?;
        say(format_args!(
            "{} expired records and {} tombstones, which the store removes by and by",
            walk.expired, walk.tombstones
        ))?;
    }
    Ok(walk.report())
}

pub(crate) async fn show(opened: &Opened, show: &Show) -> Result<Completion, Failure> {
    let session = find(opened, &show.lineage).await?;
    let mut completion = Completion::Done;
    let values = if show.values {
        match opened.all()?.values(&session).await {
            Err(
                error @ (Error::Corrupt { .. } | Error::LaterVersion | Error::UnknownEncryptionKey),
            ) => {
                note(format_args!(
                    "the values cannot be read: {}",
                    described(&error)
                ));
                completion = Completion::Incomplete;
                None
            }
            values => values?,
        }
    } else {
        None
    };
    let values = values.as_ref().map(values_of);
    if show.json {
        let mut object = output::object(&session);
        if let (Value::Object(object), Some(values)) = (&mut object, values) {
            object.insert("values".into(), Value::Object(values));
        }
        say_json(&object)?;
        return Ok(completion);
    }
    let none = || "-".to_owned();
    for (name, value) in [
        ("lineage", session.lineage().as_str().to_owned()),
        ("owner", session.owner().map_or_else(none, shown)),
        ("label", session.label().map_or_else(none, shown)),
        ("created", at(session.created_at())),
        (
            "logged in",
            session.authenticated_at().map_or_else(none, at),
        ),
        ("last seen", at(session.last_seen())),
        ("ends", at(session.expires_at())),
    ] {
        say(format_args!("{name:<10} {value}"))?;
    }
    for (name, value) in values.unwrap_or_default() {
        let value = shown(&value.to_string());
        say(format_args!("{:<10} {value}", shown(&name)))?;
    }
    Ok(completion)
}

/// The values as JSON. What JSON does not have, such as bytes, is described.
fn values_of(payload: &Payload) -> Map<String, Value> {
    let names: Vec<_> = payload.keys().map(str::to_owned).collect();
    names
        .into_iter()
        .map(|name| {
            let value = payload.get::<Value>(&name).ok().flatten();
            let value = value.unwrap_or_else(|| "(no JSON value)".into());
            (name, value)
        })
        .collect()
}
