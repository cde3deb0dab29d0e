//! Finds an order of the requests that explains the stored data.

use crate::{
    records::{Data, Live, key_of},
    request::{Act, Answer},
    run::Run,
    scene::Scene,
};

/// Whether some order of all changes that were answered 200, and some of those that were not, gives
/// the stored data.
pub(crate) fn explained(scene: &Scene, run: &Run, session: &Live, all: &[Live]) -> bool {
    let mut surely = Vec::new();
    let mut maybe = Vec::new();
    for (act, answer) in scene.acts.iter().zip(&run.answers) {
        let own = answer
            .as_ref()
            .and_then(|it| it.cookie.id())
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
        orders(&acts, scene, &start, &session.data)
    })
}

fn orders(left: &[Act], scene: &Scene, data: &Data, goal: &Data) -> bool {
    if left.is_empty() {
        return data == goal;
    }
    (0..left.len()).any(|first| {
        let mut rest = left.to_vec();
        let act = rest.remove(first);
        orders(&rest, scene, &made(act, scene, data), goal)
    })
}

fn made(act: Act, scene: &Scene, data: &Data) -> Data {
    let mut data = data.clone();
    // Every request came with the session of the scene's owner, and changes nobody else's.
    let foreign = scene.owner.is_some() && data.owner.as_deref() != scene.owner;
    match act {
        Act::Set(..) | Act::Remove(_) | Act::Take | Act::Inc | Act::RenewInc | Act::Clear
            if foreign => {}
        Act::Set(key, value) => drop(data.values.insert(key.to_owned(), value)),
        Act::Remove(key) => drop(data.values.remove(key)),
        Act::Take => drop(data.values.remove("a")),
        Act::Inc | Act::RenewInc => *data.values.entry("n".to_owned()).or_default() += 1,
        Act::Clear => data.values.clear(),
        Act::LogIn(owner) => {
            if data.owner.as_deref().is_some_and(|it| it != owner) {
                data.values.clear();
            }
            data.owner = Some(owner.to_owned());
        }
        Act::Touch
        | Act::Renew
        | Act::LogOut
        | Act::Everywhere
        | Act::BackChannel
        | Act::Elsewhere
        | Act::LogInElsewhere(_) => {}
    }
    data
}
