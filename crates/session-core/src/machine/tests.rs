use std::collections::BTreeSet;

use super::table::{Next, State, TRANSITIONS};

#[test]
fn every_state_is_reached_from_idle_or_opening_and_ends() {
    let mut reached = BTreeSet::from([State::Idle as usize, State::Opening as usize]);
    loop {
        let before = reached.len();
        for (from, _, next) in TRANSITIONS {
            if let (true, Next::Go(to) | Next::Queue(to)) =
                (reached.contains(&(*from as usize)), next)
            {
                reached.insert(*to as usize);
            }
        }
        if reached.len() == before {
            break;
        }
    }
    // What a turn is followed by is what it was waited for.
    assert_eq!(reached.len(), State::Queued as usize);
    for (state, ..) in TRANSITIONS {
        let ends = TRANSITIONS
            .iter()
            .any(|(from, _, next)| from == state && !matches!(next, Next::Go(to) if to == state));
        assert!(ends, "{state:?} goes nowhere else");
    }
}
