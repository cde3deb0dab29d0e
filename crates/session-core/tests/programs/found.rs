//! Regression tests: small programs that once broke a promise.

use crate::{
    program::{Behaviour, Config, Layout, Limit, Open, Program, Request, Seed, Step, Turn, Use},
    runner::Bench,
};

/// The defaults, with an idle timeout of 1,000 seconds.
pub(crate) const NATIVE: Config = Config {
    layout: Layout::Native,
    signed: false,
    refresh: Use::WhenDue,
    permanent: true,
    idle: 1000,
    absolute: None,
    anonymous: false,
    limit: None,
    moving: None,
    rotation: None,
};

pub(crate) fn seed(browser: usize, user: Option<usize>) -> Seed {
    Seed {
        browser,
        user,
        flask: false,
        stale: false,
        lifetime: None,
        lowered: false,
    }
}

pub(crate) fn request(browser: usize, steps: &[Step]) -> Request {
    Request {
        browser,
        process: 0,
        open: Open::First,
        steps: steps.to_vec(),
        task: Vec::new(),
        after: Vec::new(),
        answer_lost: false,
    }
}

thread_local! {
    static BENCH: Bench = Bench::new();
}

/// Panics with what happened if the program breaks a promise.
pub(crate) fn keeps_every_promise(program: &Program) {
    BENCH.with(|bench| {
        let violations = bench.run(program);
        assert!(
            violations.is_empty(),
            "{violations:#?}\n{program:#?}\n{}",
            bench.trace(program)
        );
    });
}

fn program(config: Config, seeds: &[Seed], requests: &[Request], turns: &[usize]) -> Program {
    let run = |thread: &usize| Turn::Run(*thread, Behaviour::Fine);
    Program {
        config,
        seeds: seeds.to_vec(),
        requests: requests.to_vec(),
        schedule: turns.iter().map(run).collect(),
        dropped_calls_arrive: false,
    }
}

#[test]
fn what_was_changed_for_a_user_is_not_kept_for_the_one_who_logs_in_beside() {
    let logs_in = request(0, &[Step::LogIn(0)]);
    let counts = request(0, &[Step::Count, Step::LogIn(0)]);
    keeps_every_promise(&program(
        NATIVE,
        &[seed(0, Some(1))],
        &[logs_in, counts],
        &[2, 2],
    ));
}

#[test]
fn an_answer_that_failed_sends_no_id_that_was_renewed_before() {
    let flask = Config {
        layout: Layout::Flask,
        ..NATIVE
    };
    let renews = request(0, &[Step::Renew]);
    let counts = request(0, &[Step::Count, Step::Save, Step::Count]);
    keeps_every_promise(&program(
        flask,
        &[seed(0, None)],
        &[renews, counts],
        &[2, 2, 2],
    ));
}

#[test]
fn an_answer_that_ran_out_of_time_sends_no_id_that_was_renewed_before() {
    let renews = request(0, &[Step::Renew]);
    let counts = request(0, &[Step::Count, Step::Save, Step::Pause]);
    let always = Config {
        refresh: Use::EveryAccess,
        ..NATIVE
    };
    let mut program = program(
        always,
        &[seed(0, None)],
        &[renews, counts],
        &[2, 2, 2, 0, 0, 0, 0],
    );
    program.schedule.push(Turn::Pass(61));
    keeps_every_promise(&program);
}

#[test]
fn a_log_out_after_another_user_logged_in_to_the_session_ends_it() {
    let logs_in = request(0, &[Step::LogIn(1)]);
    let leaves = request(0, &[Step::Count, Step::Save, Step::LogOut]);
    keeps_every_promise(&program(
        NATIVE,
        &[seed(0, Some(0))],
        &[logs_in, leaves],
        &[2, 2],
    ));
}

#[test]
fn a_change_after_a_login_that_was_overtaken_is_stored_or_an_error() {
    let renews = request(0, &[Step::Renew]);
    let logs_in = request(0, &[Step::LogIn(0), Step::Save, Step::Count]);
    keeps_every_promise(&program(
        NATIVE,
        &[seed(0, None)],
        &[renews, logs_in],
        &[2, 2],
    ));
}

#[test]
fn a_log_out_after_a_login_that_was_overtaken_ends_the_session() {
    let logs_in = Request {
        after: vec![Step::LogOut, Step::Save],
        ..request(0, &[Step::LogIn(0)])
    };
    let renews = request(0, &[Step::Renew]);
    let turns = [0, 2, 0, 2, 2, 2];
    keeps_every_promise(&program(
        NATIVE,
        &[seed(0, None)],
        &[logs_in, renews],
        &turns,
    ));
}

#[test]
fn a_login_whose_save_nobody_polls_is_no_2xx() {
    let logs_in = request(0, &[Step::LogIn(0), Step::Mark, Step::SaveHeld(2)]);
    let renews = request(0, &[Step::Renew]);
    let turns = [0, 2, 2, 2, 0, 2];
    keeps_every_promise(&program(
        NATIVE,
        &[seed(0, None)],
        &[logs_in, renews],
        &turns,
    ));
}

#[test]
fn a_login_with_a_renewed_id_and_the_end_of_all_sessions_speak_of_the_same_user() {
    let renews = request(0, &[Step::Renew]);
    let logs_in = request(0, &[Step::LogIn(0), Step::Everywhere { keep: true }]);
    let seeds = [seed(0, None), seed(1, Some(0))];
    keeps_every_promise(&program(NATIVE, &seeds, &[renews, logs_in], &[2]));
}

#[test]
fn an_expired_session_that_a_request_holds_is_ended_all_the_same() {
    let ends = request(0, &[Step::Pause, Step::EndAllOf(0)]);
    let short = Config { idle: 20, ..NATIVE };
    let mut program = program(short, &[seed(0, Some(0))], &[ends], &[0, 0]);
    program.schedule.push(Turn::Clock(1000));
    keeps_every_promise(&program);
}

#[test]
fn a_save_that_was_dropped_keeps_no_other_request_waiting() {
    let always = Config {
        refresh: Use::EveryRequest,
        ..NATIVE
    };
    let reads = request(0, &[]);
    let drops = Request {
        after: vec![Step::Count, Step::SaveDropped(2)],
        ..request(0, &[Step::Pause])
    };
    let changes = request(0, &[Step::Permanent(false), Step::Save, Step::Mark]);
    let turns = [2, 2, 2, 2, 2, 0, 0, 0, 2, 2, 4, 4, 4, 4, 4, 4];
    let requests = [reads, drops, changes];
    keeps_every_promise(&program(always, &[seed(0, None)], &requests, &turns));
}

#[test]
fn a_renewal_that_was_unknown_for_a_while_sends_no_id_that_was_ended_since() {
    let leaves = request(0, &[Step::LogOut]);
    let renews = request(0, &[Step::Renew]);
    let mut program = program(NATIVE, &[seed(0, None)], &[leaves, renews], &[2, 2, 2]);
    program.schedule.push(Turn::Run(2, Behaviour::ErrorAfter));
    keeps_every_promise(&program);
}

#[test]
fn an_answer_that_failed_sends_no_id_that_its_own_request_has_ended() {
    let steps = [Step::Renew, Step::Save, Step::EndAllOf(0)];
    let mut program = program(NATIVE, &[seed(0, Some(0))], &[request(0, &steps)], &[0; 10]);
    program.schedule.push(Turn::Run(0, Behaviour::ErrorAfter));
    keeps_every_promise(&program);
}

#[test]
fn a_renewal_that_nobody_can_confirm_sends_no_id_that_it_renewed_itself() {
    let steps = [Step::LogIn(1), Step::Save, Step::Renew];
    let mut program = program(NATIVE, &[seed(0, None)], &[request(0, &steps)], &[0; 5]);
    program.schedule.push(Turn::Run(0, Behaviour::Late));
    program.schedule.push(Turn::Run(0, Behaviour::Fine));
    program.schedule.push(Turn::Pass(700));
    keeps_every_promise(&program);
}

#[test]
fn a_renewal_confirmed_late_sends_no_id_that_was_ended_by_the_owners_index() {
    let ends = Request {
        after: vec![Step::EndAllOf(0)],
        ..request(0, &[])
    };
    let renews = request(0, &[Step::Renew]);
    let turns = [0, 2, 2, 2, 0, 0, 0, 0];
    let mut program = program(NATIVE, &[seed(0, Some(0))], &[ends, renews], &turns);
    program.schedule.push(Turn::Run(2, Behaviour::Late));
    program.schedule.push(Turn::Run(2, Behaviour::Fine));
    keeps_every_promise(&program);
}

#[test]
fn the_error_of_a_save_that_nobody_polls_is_the_answers() {
    let renews = request(0, &[Step::Renew]);
    let logs_in = request(
        0,
        &[Step::LogIn(0), Step::Count, Step::SaveHeld(2), Step::Save],
    );
    let turns = [2, 2, 0, 0, 0, 0];
    keeps_every_promise(&program(
        NATIVE,
        &[seed(0, None)],
        &[renews, logs_in],
        &turns.map(|it| 2 - it),
    ));
}

#[test]
fn a_session_that_logged_out_while_it_was_saved_is_no_device_of_its_request_any_more() {
    let steps = [
        Step::Lifetime(Some(2000)),
        Step::SaveDropped(1),
        Step::EndOne(0),
        Step::LogIn(0),
        Step::Mark,
        Step::EndOne(0),
    ];
    keeps_every_promise(&program(
        NATIVE,
        &[seed(0, Some(0))],
        &[request(0, &steps)],
        &[],
    ));
}

#[test]
fn a_kept_session_of_flasks_that_a_stream_changed_keeps_its_user_logged_in() {
    let kept = Config {
        layout: Layout::Keep,
        signed: true,
        idle: 10,
        ..NATIVE
    };
    let flask = Seed {
        flask: true,
        ..seed(0, None)
    };
    let streams = Request {
        open: Open::AfterHead,
        after: vec![Step::Mark, Step::Save],
        ..request(0, &[])
    };
    let requests = [streams, request(0, &[]), request(0, &[])];
    let mut program = program(kept, &[flask], &requests, &[]);
    program.schedule = vec![
        Turn::Pass(6),
        Turn::All(0),
        Turn::All(1),
        Turn::Pass(6),
        Turn::All(2),
    ];
    keeps_every_promise(&program);
}

#[test]
fn a_log_out_everywhere_whose_own_end_fails_sends_no_id_that_it_has_ended() {
    let steps = [Step::Renew, Step::Save, Step::Everywhere { keep: false }];
    let mut program = program(NATIVE, &[seed(0, Some(0))], &[request(0, &steps)], &[0; 7]);
    program.schedule.push(Turn::Pass(61));
    keeps_every_promise(&program);
}

#[test]
fn a_login_beside_the_end_of_all_sessions_sends_no_id_that_has_ended() {
    let requests = [
        request(0, &[Step::LogIn(0)]),
        request(1, &[Step::EndAllOf(0)]),
    ];
    let seeds = [seed(0, None), seed(1, None)];
    let mut program = program(NATIVE, &seeds, &requests, &[2, 2, 0, 0]);
    // The new record is inserted and ended before its request hears of it.
    program.schedule.push(Turn::Run(0, Behaviour::Slow(300)));
    program.schedule.extend([Turn::Run(2, Behaviour::Fine); 3]);
    keeps_every_promise(&program);
}

/// The other request gives the session a shorter lifetime, under its new id.
#[test]
fn a_renewal_that_outlasts_a_lowered_lifetime_sends_no_id_that_has_expired() {
    let config = Config {
        idle: 100,
        ..NATIVE
    };
    let renewal = [Step::Renew, Step::SaveDropped(3), Step::Wait(95)];
    let requests = [
        request(0, &[Step::Lifetime(Some(51))]),
        request(0, &renewal),
    ];
    let seeds = [seed(0, Some(0))];
    let turns = [0, 0, 2, 2, 2, 2];
    keeps_every_promise(&program(config, &seeds, &requests, &turns));
}

fn limited(most: usize, refuses: bool) -> Config {
    Config {
        limit: Some(Limit { most, refuses }),
        ..NATIVE
    }
}

#[test]
fn what_was_changed_while_a_login_was_refused_is_not_kept_for_nobody() {
    let refused = Request {
        task: vec![Step::Put],
        ..request(1, &[Step::LogIn(0), Step::Save])
    };
    let requests = [request(0, &[Step::LogIn(0)]), refused];
    let seeds = [seed(2, Some(0))];
    let mut program = program(limited(2, true), &seeds, &requests, &[2, 3]);
    program.schedule.push(Turn::All(0));
    keeps_every_promise(&program);
}

#[test]
fn a_request_that_outlasts_its_session_does_not_bring_it_back_beside_a_login() {
    for refuses in [true, false] {
        let config = Config {
            idle: 20,
            ..limited(1, refuses)
        };
        let requests = [
            request(2, &[Step::LogIn(0), Step::Wait(40)]),
            request(0, &[Step::Wait(40)]),
        ];
        keeps_every_promise(&program(config, &[seed(0, Some(0))], &requests, &[0]));
    }
}

#[test]
fn a_clock_that_is_set_while_a_login_is_admitted_does_not_end_it() {
    for refuses in [true, false] {
        let login = request(0, &[Step::LogIn(0), Step::Save, Step::Count]);
        let mut program = program(limited(1, refuses), &[], &[login], &[0]);
        program.schedule.push(Turn::Clock(1000));
        keeps_every_promise(&program);
    }
}

#[test]
fn a_clock_that_is_set_back_beside_a_rotation_makes_no_request_late() {
    let config = Config {
        idle: 100_000,
        rotation: Some(1),
        ..NATIVE
    };
    let requests = [(); 3].map(|()| request(0, &[]));
    let turns = [0, 4, 4, 4, 4, 2, 2, 2];
    let mut program = program(config, &[seed(0, None)], &requests, &turns);
    program.schedule.insert(3, Turn::Clock(-100));
    keeps_every_promise(&program);
}
