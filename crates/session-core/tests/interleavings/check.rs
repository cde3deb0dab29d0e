use std::collections::BTreeMap;

use session_core::{Format, KeyPrefix, Payload, SessionId, SessionStore, StoreKey};

use crate::{
    request::{Act, Answer, Told},
    scene::{Run, Scene},
};

/// A live record: its data, its owner and its lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Live {
    key: StoreKey,
    data: Data,
    lineage: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Data {
    values: BTreeMap<String, i64>,
    owner: Option<String>,
}

/// Every promise that the run broke.
pub(crate) async fn faults(scene: &Scene, run: &Run) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let all = live_records(run).await;
    let known: Vec<_> = run.known_ids().iter().map(|id| key_of(id)).collect();
    let family: Vec<_> = all.iter().filter(|it| it.lineage == run.lineage).collect();
    let reachable: Vec<_> = family
        .iter()
        .copied()
        .filter(|it| known.contains(&it.key))
        .collect();
    let mut broken = |holds: bool, what: &'static str| {
        if !holds {
            faults.push(what);
        }
    };

    let ends = |act: &Act| matches!(act, Act::LogOut) || (*act == Act::Everywhere);
    let tried_to_end = scene.acts.iter().any(ends);
    let ended = answers(scene, run).any(|(act, answer)| ends(act) && answer.status == 200);
    let takes_over = scene
        .acts
        .iter()
        .any(|act| matches!(act, Act::LogIn(by) if scene.owner.is_some_and(|it| it != *by)));
    let by_name_only = !scene.acts.contains(&Act::LogOut);
    if ended && by_name_only {
        let owned = reachable
            .iter()
            .any(|it| it.data.owner.as_deref() == scene.owner);
        broken(
            !owned,
            "a session of the owner is live after log-out-everywhere was answered",
        );
    } else if ended {
        broken(
            reachable.is_empty(),
            "an id in a browser is live after a log-out was answered",
        );
        broken(
            run.faulted || family.is_empty(),
            "a record is live after a log-out was answered, without a fault",
        );
    }
    if !tried_to_end {
        broken(!family.is_empty(), "no live record is left");
        broken(
            !reachable.is_empty() || crashed_or_two_faults(run),
            "the session lives under an id that was never sent",
        );
    }
    broken(reachable.len() <= 1, "two live ids in browsers");
    broken(
        run.faulted || family.len() <= 1,
        "two live records without a fault",
    );

    for (index, act) in scene.acts.iter().enumerate() {
        let renewal = matches!(act, Act::Renew | Act::RenewInc | Act::LogIn(_));
        let done = run.answers[index]
            .as_ref()
            .is_some_and(|it| it.status == 200);
        broken(
            !renewal || !done || run.old_dead_at_answer[index],
            "a renewal was answered while the old id is live",
        );
        let removal = run.answers[index]
            .as_ref()
            .is_some_and(|it| it.cookie == Told::Removal);
        broken(
            !removal || *act == Act::LogOut,
            "a removal cookie that no log-out sent",
        );
    }
    if let ([session], false) = (&reachable[..], ended) {
        broken(
            explained(scene, run, session, &all),
            "the stored data is not what the answers say",
        );
    }
    // A refreshed cookie that comes after the renewed one can replace it in the browser; no server can order that.
    if !reachable.is_empty() && !ended && !takes_over && !scene.due {
        let last: Vec<_> = run
            .answers
            .iter()
            .flatten()
            .filter_map(|it| id_of(&it.cookie))
            .collect();
        let holds = last
            .iter()
            .all(|id| reachable.iter().any(|it| it.key == key_of(id)) || !is_family(run, &all, id));
        broken(
            holds || run.faulted,
            "a browser ends with a dead id while its session lives",
        );
    }
    faults
}

/// Whether an id opens a session.
pub(crate) async fn is_live(run: &Run, id: &str) -> bool {
    let visit = run.sessions.visit();
    let header = format!("session={id}");
    let session = visit.session(&mut std::iter::once(header.as_bytes())).await;
    session.is_ok_and(|session| !session.is_new())
}

fn answers<'r>(scene: &'r Scene, run: &'r Run) -> impl Iterator<Item = (&'r Act, &'r Answer)> {
    scene
        .acts
        .iter()
        .zip(&run.answers)
        .filter_map(|(act, answer)| Some((act, answer.as_ref()?)))
}

/// What no protocol can keep: the crash of the process that was about to send the id.
fn crashed_or_two_faults(run: &Run) -> bool {
    run.faulted
        && run
            .answers
            .iter()
            .any(|it| it.as_ref().is_none_or(|it| it.status == 503))
}

fn id_of(cookie: &Told) -> Option<&str> {
    match cookie {
        Told::Id(id) => Some(id),
        Told::Nothing | Told::Removal => None,
    }
}

fn is_family(run: &Run, all: &[Live], id: &str) -> bool {
    all.iter()
        .find(|it| it.key == key_of(id))
        .is_none_or(|it| it.lineage == run.lineage)
}

fn key_of(id: &str) -> StoreKey {
    KeyPrefix::default()
        .hashed_key(&SessionId::from_native(id, 32).expect("the test's ids are ids"))
}

async fn live_records(run: &Run) -> Vec<Live> {
    let keys: Vec<_> = run.store.desk().keys.clone();
    let mut live = Vec::new();
    for key in keys {
        let Some(loaded) = run
            .store
            .inner
            .load(&key)
            .await
            .expect("memory does not fail")
        else {
            continue;
        };
        let mut payload = Payload::decode(loaded.payload, Format::MessagePack)
            .expect("it is ours")
            .expect("no nil");
        let notes = payload
            .remove("__session")
            .expect("ours has notes")
            .to_json_lossy();
        if notes.get("m").is_some() {
            continue;
        }
        let values = payload
            .keys()
            .map(|key| {
                (
                    key.to_owned(),
                    payload
                        .get(key)
                        .expect("a number")
                        .expect("the key is there"),
                )
            })
            .collect();
        let text = |name: &str| {
            notes
                .get(name)
                .and_then(|it| it.as_str())
                .map(str::to_owned)
        };
        live.push(Live {
            key,
            data: Data {
                values,
                owner: text("o"),
            },
            lineage: text("l").expect("ours has a lineage"),
        });
    }
    live
}

/// Whether some order of all changes that were answered 200, and some of those that were not, gives the stored data.
fn explained(scene: &Scene, run: &Run, session: &Live, all: &[Live]) -> bool {
    let mut surely = Vec::new();
    let mut maybe = Vec::new();
    for (act, answer) in scene.acts.iter().zip(&run.answers) {
        let own = answer
            .as_ref()
            .and_then(|it| id_of(&it.cookie))
            .and_then(|id| all.iter().find(|it| it.key == key_of(id)));
        if own.is_some_and(|own| own.lineage != session.lineage) {
            continue;
        }
        match answer {
            Some(Answer { status: 200, .. }) => surely.push(*act),
            _ => maybe.push(*act),
        }
    }
    let start = Data {
        values: [("a".to_owned(), 0), ("n".to_owned(), 0)].into(),
        owner: scene.owner.map(str::to_owned),
    };
    (0..1_usize << maybe.len()).any(|mask| {
        let some = maybe
            .iter()
            .enumerate()
            .filter(|(bit, _)| mask >> bit & 1 == 1)
            .map(|(_, act)| *act);
        let acts: Vec<_> = surely.iter().copied().chain(some).collect();
        orders(&acts, &start, &session.data)
    })
}

fn orders(left: &[Act], data: &Data, goal: &Data) -> bool {
    if left.is_empty() {
        return data == goal;
    }
    (0..left.len()).any(|first| {
        let mut rest = left.to_vec();
        let act = rest.remove(first);
        orders(&rest, &made(act, data), goal)
    })
}

fn made(act: Act, data: &Data) -> Data {
    let mut data = data.clone();
    match act {
        Act::Set(key, value) => drop(data.values.insert(key.to_owned(), value)),
        Act::Remove(key) => drop(data.values.remove(key)),
        Act::Inc | Act::RenewInc => *data.values.entry("n".to_owned()).or_default() += 1,
        Act::Clear => data.values.clear(),
        Act::LogIn(owner) => {
            if data.owner.as_deref().is_some_and(|it| it != owner) {
                data.values.clear();
            }
            data.owner = Some(owner.to_owned());
        }
        Act::Touch | Act::Renew | Act::LogOut | Act::Everywhere => {}
    }
    data
}
