//! Makes a failing program smaller.

use crate::program::{Behaviour, Layout, Open, Program, Turn, Use};

/// The smallest program found that still `fails`.
pub(crate) fn shrink(program: &Program, fails: impl Fn(&Program) -> bool) -> Program {
    let mut smallest = program.clone();
    'again: loop {
        for smaller in smaller(&smallest) {
            if fails(&smaller) {
                smallest = smaller;
                continue 'again;
            }
        }
        return smallest;
    }
}

/// A program as the text of a test.
pub(crate) fn text(program: &Program) -> String {
    format!("{program:?}").replace('[', "vec![")
}

/// Programs that are smaller in one respect, those that are much smaller first.
fn smaller(program: &Program) -> Vec<Program> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Program)| {
        let mut changed = program.clone();
        change(&mut changed);
        if changed != *program {
            all.push(changed);
        }
    };
    for request in 0..program.requests.len() {
        add(&|it| remove_request(it, request));
    }
    add(&|it| it.schedule.clear());
    let half = program.schedule.len() / 2;
    add(&|it| it.schedule.truncate(half));
    add(&|it| drop(it.schedule.drain(..half)));
    for seed in 0..program.seeds.len() {
        add(&|it| {
            let _removed = it.seeds.remove(seed);
        });
    }
    for request in 0..program.requests.len() {
        add(&|it| it.requests[request].task.clear());
        add(&|it| it.requests[request].after.clear());
        add(&|it| it.requests[request].steps.clear());
    }
    for turn in 0..program.schedule.len() {
        add(&|it| {
            let _removed = it.schedule.remove(turn);
        });
        add(&|it| {
            if let Turn::Run(_, behaviour) = &mut it.schedule[turn] {
                *behaviour = Behaviour::Fine;
            }
        });
    }
    for request in 0..program.requests.len() {
        let from = &program.requests[request];
        for step in 0..from.steps.len() {
            add(&|it| {
                let _removed = it.requests[request].steps.remove(step);
            });
        }
        for step in 0..from.task.len() {
            add(&|it| {
                let _removed = it.requests[request].task.remove(step);
            });
        }
        for step in 0..from.after.len() {
            add(&|it| {
                let _removed = it.requests[request].after.remove(step);
            });
        }
        add(&|it| it.requests[request].answer_lost = false);
        add(&|it| it.requests[request].process = 0);
        add(&|it| it.requests[request].browser = 0);
        add(&|it| it.requests[request].open = Open::First);
    }
    for seed in 0..program.seeds.len() {
        add(&|it| it.seeds[seed].lifetime = None);
        add(&|it| it.seeds[seed].user = None);
        add(&|it| it.seeds[seed].flask = false);
        add(&|it| it.seeds[seed].stale = false);
        add(&|it| it.seeds[seed].lowered = false);
    }
    add(&|it| it.dropped_calls_arrive = false);
    add(&|it| it.config.limit = None);
    add(&|it| it.config.absolute = None);
    add(&|it| it.config.anonymous = false);
    add(&|it| it.config.permanent = true);
    add(&|it| it.config.refresh = Use::WhenDue);
    add(&|it| it.config.layout = Layout::Native);
    add(&|it| it.config.signed = matches!(it.config.layout, Layout::Keep | Layout::Move));
    all
}

fn remove_request(program: &mut Program, request: usize) {
    program.requests.remove(request);
    let of = |turn: &Turn| match turn {
        Turn::Run(thread, _) => Some(thread / 2),
        Turn::All(request) | Turn::Crash(request) => Some(*request),
        _ => None,
    };
    program.schedule.retain(|turn| of(turn) != Some(request));
    for turn in &mut program.schedule {
        match turn {
            Turn::Run(thread, _) if *thread / 2 > request => *thread -= 2,
            Turn::All(number) | Turn::Crash(number) if *number > request => *number -= 1,
            _ => {}
        }
    }
}
