//! Tests of the machine without a runtime, a store or a clock.

use std::collections::{BTreeSet, HashMap};

use super::{
    Answer, Call, Goal, Inputs, Machine, Saved,
    table::{Next, State, TRANSITIONS},
};
use crate::{
    Settings, StoreKey,
    error::{Error, Result},
    expiry::Millis,
    op::Op,
    payload::{Format, Value},
    record::{Loaded, Record, Revision, Write},
    rules::Rules,
};

/// A store that is a map, with the rules and the time that the machine needs.
struct Site {
    rules: Rules,
    records: HashMap<StoreKey, Record>,
    now: Millis,
    random: u8,
    calls: Vec<&'static str>,
}

impl Site {
    fn new() -> Self {
        Self {
            rules: Rules::of(Settings::unsigned(), 1 << 20),
            records: HashMap::new(),
            now: Millis::new(1_800_000_000_000),
            random: 0,
            calls: Vec::new(),
        }
    }

    fn inputs<T>(&mut self, with: impl FnOnce(&mut Inputs<'_>) -> T) -> T {
        let random = &mut self.random;
        with(&mut Inputs {
            rules: &self.rules,
            now: self.now,
            random: &mut |bytes| {
                *random += 1;
                bytes.fill(*random);
            },
            is_busy: &|_| false,
        })
    }

    fn carry_out(&mut self, call: Call) -> Answer {
        let revision = |record: &Record| Revision::new(record.bytes.clone());
        match call {
            Call::Load(key) => {
                self.calls.push("load");
                let loaded = self.records.get(&key);
                let loaded = loaded.map(|it| Loaded::compared_by_bytes(it.bytes.clone()));
                Answer::Loaded(Ok(loaded))
            }
            Call::Insert(key, record) => {
                self.calls.push("insert");
                let stored = Write::Stored(revision(&record));
                self.records.insert(key, record);
                Answer::Written(Ok(stored))
            }
            Call::Update(key, record, expected) => {
                self.calls.push("update");
                let unchanged = self.records.get(&key).map(revision) == Some(expected);
                let write = if unchanged {
                    let stored = Write::Stored(revision(&record));
                    self.records.insert(key, record);
                    stored
                } else {
                    Write::Refused
                };
                Answer::Written(Ok(write))
            }
            Call::Delete(key) => {
                self.calls.push("delete");
                self.records.remove(&key);
                Answer::Deleted(Ok(()))
            }
            Call::Turn(..) => Answer::Turn,
            Call::Admit(_) | Call::EndCopies(..) => {
                unreachable!("no number of sessions is limited")
            }
        }
    }

    /// Carries out the machine's calls until nothing is under way.
    fn run(&mut self, machine: &mut Machine) {
        while let Some(call) = machine.next_call() {
            let answer = self.carry_out(call);
            self.inputs(|inputs| machine.answer(answer, inputs));
            self.inputs(|inputs| machine.replay_unsaved(inputs.rules, inputs.now));
        }
        assert!(!machine.is_running());
    }

    fn reach(&mut self, machine: &mut Machine, goal: Goal) -> Result<Saved> {
        let number = self.inputs(|inputs| machine.begin(goal, inputs));
        self.run(machine);
        machine.take_result(number).expect("the run is over")
    }

    /// A machine of a request that arrives with the cookie of `other`'s session.
    fn beside(&mut self, other: &Machine) -> Machine {
        let cookie = other
            .cookie(&self.rules, self.now)
            .expect("it has a cookie");
        let pair = cookie.split(';').next().unwrap_or_default().to_owned();
        let presented = self.rules.presented(&mut std::iter::once(pair.as_bytes()));
        assert_eq!(presented.len(), 1);
        let mut machine = Machine::new();
        let number = self.inputs(|inputs| machine.open(presented, inputs));
        self.run(&mut machine);
        assert!(matches!(machine.take_result(number), Some(Ok(_))));
        machine
    }

    fn insert(&self, machine: &mut Machine, key: &str) {
        let value = Value::encode(&1, Format::MessagePack).expect("a number can be encoded");
        let op = Op::Insert(key.into(), value);
        let made = machine.change(op, &self.rules, self.now);
        made.expect("nothing to refuse");
    }

    fn stored(&mut self) -> Machine {
        let mut machine = Machine::blank();
        self.insert(&mut machine, "a");
        let saved = self.reach(&mut machine, Goal::Finish);
        assert!(matches!(saved, Ok(Saved::Stored)));
        machine
    }

    fn holds(&self, machine: &Machine, key: &str) -> bool {
        machine.view(&self.rules).payload.contains(key)
    }
}

#[test]
fn two_changes_of_one_record_are_both_kept() {
    let mut site = Site::new();
    let first = site.stored();
    let (mut one, mut other) = (site.beside(&first), site.beside(&first));
    site.insert(&mut one, "one");
    site.insert(&mut other, "other");
    site.calls.clear();
    assert!(matches!(
        site.reach(&mut one, Goal::Finish),
        Ok(Saved::Stored)
    ));
    assert!(matches!(
        site.reach(&mut other, Goal::Finish),
        Ok(Saved::Stored)
    ));
    assert_eq!(site.calls, ["update", "update", "load", "update"]);
    let seen = site.beside(&first);
    assert!(site.holds(&seen, "one") && site.holds(&seen, "other"));
}

#[test]
fn a_run_that_nobody_waits_for_continues_and_the_next_reports_its_error() {
    let mut site = Site::new();
    let first = site.stored();
    let mut machine = site.beside(&first);
    machine.log_out(&site.rules);
    let number = site.inputs(|inputs| machine.begin(Goal::Save, inputs));
    let call = machine.next_call();
    machine.abandon(number);
    assert!(matches!(call, Some(Call::Update(..))));
    let lost = Answer::Written(Err(Error::backend("test", "the answer is lost")));
    site.inputs(|inputs| machine.answer(lost, inputs));
    assert!(!machine.is_running());
    assert!(matches!(
        site.reach(&mut machine, Goal::Finish),
        Err(Error::Backend { .. })
    ));
    assert!(matches!(
        site.reach(&mut machine, Goal::Finish),
        Err(Error::Unknown)
    ));
}

#[test]
fn a_log_out_follows_a_renewal_beside_it() {
    let mut site = Site::new();
    let first = site.stored();
    let (mut leaving, mut renewing) = (site.beside(&first), site.beside(&first));
    renewing.renew();
    assert!(matches!(
        site.reach(&mut renewing, Goal::Finish),
        Ok(Saved::Stored)
    ));
    leaving.log_out(&site.rules);
    assert!(site.reach(&mut leaving, Goal::Finish).is_ok());
    let removal = leaving.cookie(&site.rules, site.now).expect("a removal");
    assert!(removal.contains("Max-Age=0"));
    assert!(site.beside(&renewing).live().is_none());
}

#[test]
fn an_absent_record_is_an_error_at_any_age() {
    let mut site = Site::new();
    let first = site.stored();
    for change in [true, false] {
        let mut machine = site.beside(&first);
        let records = std::mem::take(&mut site.records);
        if change {
            site.insert(&mut machine, "b");
        } else {
            machine.log_out(&site.rules);
        }
        let saved = site.reach(&mut machine, Goal::Finish);
        assert!(matches!(saved, Err(Error::Missing)), "{saved:?}");
        site.records = records;
    }
}

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
    // Every state but `Queued`, whose next state is not in the table.
    assert_eq!(reached.len(), State::Queued as usize);
    for (state, ..) in TRANSITIONS {
        let ends = TRANSITIONS
            .iter()
            .any(|(from, _, next)| from == state && !matches!(next, Next::Go(to) if to == state));
        assert!(ends, "{state:?} goes nowhere else");
    }
}
