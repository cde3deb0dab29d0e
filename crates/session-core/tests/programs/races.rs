//! Races that users of other session libraries reported, in every order of their store calls.

use crate::{
    found::{NATIVE, keeps_every_promise, request, seed},
    program::{Behaviour, Config, Layout, Open, Program, Request, Seed, Step, Turn, Use},
};

const FLASK: Config = Config {
    layout: Layout::Flask,
    ..NATIVE
};

/// Runs the requests in every order of their first `turns` calls.
fn in_every_order(config: Config, seeds: &[Seed], requests: &[Request], turns: u32) {
    let ways = requests.len();
    for order in 0..ways.pow(turns) {
        let mut left = order;
        let schedule = (0..turns)
            .map(|_| {
                let request = left % ways;
                left /= ways;
                Turn::Run(2 * request, Behaviour::Fine)
            })
            .collect();
        keeps_every_promise(&Program {
            config,
            seeds: seeds.to_vec(),
            requests: requests.to_vec(),
            schedule,
            dropped_calls_arrive: false,
        });
    }
}

/// Better Auth: of logins at the same moment some were missing in the list, and so outlived the end
/// of all.
#[test]
fn logins_at_the_same_moment_are_all_listed_and_ended() {
    let logins = [0, 1, 2].map(|it| request(it, &[Step::LogIn(0)]));
    let everywhere = request(3, &[Step::EndAllOf(0)]);
    let seeds = [seed(0, None), seed(1, None), seed(2, None)];
    let requests = [&logins[..], &[everywhere]].concat();
    in_every_order(NATIVE, &seeds, &requests, 6);
}

/// Better Auth: without its list, the end of all of a user's sessions reported success and ended
/// none.
#[test]
fn the_end_of_all_sessions_that_cannot_be_listed_is_no_success() {
    let seeds = [seed(0, Some(0)), seed(1, Some(0))];
    let requests = [
        request(0, &[Step::Everywhere { keep: true }]),
        request(1, &[Step::EndAllOf(0)]),
    ];
    in_every_order(FLASK, &seeds, &requests, 8);
}

/// Better Auth: a refresh that had loaded the session wrote it back after it was revoked.
#[test]
fn a_refresh_under_way_revives_no_session_that_was_ended() {
    for refresh in [Use::EveryAccess, Use::EveryRequest] {
        let config = Config { refresh, ..NATIVE };
        let seeds = [seed(0, Some(0)), seed(1, Some(0))];
        let reads = request(0, &[Step::Read]);
        let untouched = Request {
            open: Open::Never,
            ..request(0, &[])
        };
        for other in [reads, untouched] {
            for end in [
                Step::Everywhere { keep: true },
                Step::EndOne(0),
                Step::EndAllOf(0),
            ] {
                in_every_order(config, &seeds, &[other.clone(), request(1, &[end])], 8);
            }
            in_every_order(config, &seeds, &[other, request(0, &[Step::LogOut])], 8);
        }
    }
}

/// Better Auth: a login beside the end of all sessions lived on and was in no list, so that the
/// next end missed it too.
#[test]
fn a_login_beside_the_end_of_all_sessions_is_ended_by_the_next() {
    let seeds = [seed(0, None)];
    let everywhere = request(1, &[Step::EndAllOf(0)]);
    let requests = [
        request(0, &[Step::LogIn(0)]),
        everywhere.clone(),
        everywhere,
    ];
    in_every_order(NATIVE, &seeds, &requests, 7);
}

/// rack-session, Dalli and Vert.x: a request that had loaded the session stored it again after the
/// log-out.
#[test]
fn a_change_under_way_revives_no_session_that_was_logged_out() {
    for config in [NATIVE, FLASK] {
        let seeds = [seed(0, Some(0))];
        let log_out = request(0, &[Step::LogOut]);
        for steps in [
            &[Step::Mark][..],
            &[Step::Renew],
            &[Step::Save, Step::Count],
            &[Step::LogIn(0)],
            &[Step::Clear, Step::Mark],
            &[Step::Reload, Step::Count],
        ] {
            in_every_order(config, &seeds, &[request(0, steps), log_out.clone()], 9);
        }
    }
}

/// appserver and Vert.x: what was stored after the session was logged out, in the same request,
/// went under the old id.
#[test]
fn a_session_after_the_end_of_another_has_an_id_of_its_own() {
    for config in [NATIVE, FLASK] {
        let again = request(0, &[Step::LogOut, Step::Mark, Step::LogIn(1)]);
        let beside = request(0, &[Step::Count]);
        in_every_order(config, &[seed(0, Some(0))], &[again, beside], 9);
    }
}

/// Spring Session: of two changes of the id one failed, or lost what the other had stored.
#[test]
fn changes_of_the_id_at_the_same_moment_lose_nothing() {
    let seeds = [seed(0, Some(0))];
    for steps in [
        &[Step::Renew, Step::Mark][..],
        &[Step::Count],
        &[Step::LogIn(0), Step::Put],
        &[Step::LogOut],
    ] {
        let renews = request(0, &[Step::Renew, Step::Count]);
        in_every_order(NATIVE, &seeds, &[renews, request(0, steps)], 10);
    }
}
