//! Changes, renewals and log-outs of concurrent requests, in every order of their store calls.
//!
//! Requests run on a store that pauses before each command; a scheduler decides whose command is
//! next, and whether it fails, is applied without an answer, is applied late, or takes its process
//! with it. Up to three requests are run in every order, four in random ones. What is checked
//! afterwards is what the documentation promises.

mod check;
mod clock;
mod explain;
mod explore;
mod records;
mod request;
mod run;
mod scene;
mod store;
mod under_way;

use std::time::Duration;

use request::Act::{
    BackChannel, Clear, Elsewhere, Everywhere, Inc, LogIn, LogInElsewhere, LogOut, Remove, Renew,
    RenewInc, Set, Take, Touch,
};
use scene::Scene;
use session_core::config::OnMaxPerUser::{EndOldest, RefuseLogin};

#[test]
fn changes_beside_each_other_are_all_kept() {
    Scene::of(&[Set("a", 1), Set("b", 1)]).every_order();
    Scene::of(&[Set("a", 1), Set("b", 1), Inc]).every_order();
    Scene::of(&[Inc, Inc, Inc]).every_order();
    Scene::of(&[Clear, Inc, Inc]).every_order();
    Scene::of(&[Set("a", 1), Remove("a"), Inc]).every_order();
}

#[test]
fn changes_in_one_process_are_all_kept() {
    Scene::of(&[Inc, Inc]).in_one_process().every_order();
    Scene::of(&[Set("a", 1), Set("b", 1), Inc])
        .in_one_process()
        .every_order();
    Scene::of(&[Inc, Inc, Inc]).in_one_process().every_order();
    Scene::of(&[Inc, Inc])
        .in_one_process()
        .with_failures(2)
        .every_order();
    Scene::of(&[Inc, Inc, Inc])
        .in_one_process()
        .with_failures(1)
        .some_orders();
    Scene::of(&[Inc, Inc, Inc, Inc])
        .in_one_process()
        .with_failures(2)
        .some_orders();
}

/// A record that is not stored yet decides nothing: what was taken from it may still be there.
#[test]
fn in_one_process_nobody_is_refused_a_value_that_nobody_took() {
    Scene::of(&[Take, Take]).every_order();
    Scene::of(&[Take, Take, Take])
        .in_one_process()
        .every_order();
    Scene::of(&[Inc, Take, Take])
        .in_one_process()
        .with_failures(1)
        .every_order();
    Scene::of(&[Inc, Inc, Take, Take])
        .in_one_process()
        .with_failures(2)
        .some_orders();
}

#[test]
fn changes_in_one_process_beside_what_ends_or_renews_the_session() {
    for act in [LogOut, Renew, Clear, LogIn("U"), Remove("a")] {
        Scene::of(&[Inc, Inc, act]).in_one_process().some_orders();
        Scene::of(&[Inc, Inc, act])
            .in_one_process()
            .with_failures(1)
            .some_orders();
        Scene::of(&[Inc, Inc, Inc, act])
            .in_one_process()
            .some_orders();
    }
    // Nobody takes the session for ended before it has.
    Scene::of(&[Inc, Inc, LogOut])
        .in_one_process()
        .with_failures(1)
        .every_order();
    Scene::of(&[Inc, Inc, LogIn("V")])
        .owned_by("U")
        .in_one_process()
        .some_orders();
    Scene::of(&[Inc, Inc, Everywhere])
        .owned_by("U")
        .in_one_process()
        .some_orders();
}

#[test]
fn changes_beside_a_renewal_go_on_with_the_session() {
    Scene::of(&[Inc, Renew]).every_order();
    Scene::of(&[Inc, Set("b", 1), Renew]).every_order();
    Scene::of(&[Inc, Renew]).due().every_order();
    Scene::of(&[Touch, Renew]).due().every_order();
}

#[test]
fn of_many_renewals_at_once_one_id_survives() {
    Scene::of(&[Renew, Renew]).every_order();
    Scene::of(&[Renew, Renew, Renew]).some_orders();
    Scene::of(&[RenewInc, RenewInc]).every_order();
    Scene::of(&[Renew, Renew, Inc]).some_orders();
    Scene::of(&[Renew, Renew, Renew, Renew]).some_orders();
    Scene::of(&[Inc, Set("b", 1), Renew, Renew]).some_orders();
}

#[test]
fn logins_beside_changes_keep_them_or_empty_the_session_first() {
    Scene::of(&[LogIn("U"), Inc]).every_order();
    Scene::of(&[LogIn("U"), LogIn("V")]).every_order();
    Scene::of(&[LogIn("U"), LogIn("U")]).every_order();
    Scene::of(&[LogIn("V"), Inc]).owned_by("U").every_order();
    Scene::of(&[LogIn("U"), Inc, Renew]).some_orders();
    Scene::of(&[LogIn("U"), LogIn("V"), Inc, Clear]).some_orders();
}

#[test]
fn a_logout_wins_over_everything_beside_it() {
    Scene::of(&[LogOut, Inc]).every_order();
    Scene::of(&[LogOut, Renew]).every_order();
    Scene::of(&[LogOut, Touch]).due().every_order();
    Scene::of(&[LogOut, Touch, Inc]).due().some_orders();
    Scene::of(&[LogOut, LogIn("U")]).every_order();
    Scene::of(&[LogOut, Renew, Inc]).some_orders();
    Scene::of(&[LogOut, LogOut, Renew]).some_orders();
    Scene::of(&[LogOut, Renew, Renew, Inc]).some_orders();
    Scene::of(&[LogOut, LogIn("U"), Renew, Inc]).some_orders();
}

#[test]
fn log_out_everywhere_misses_no_session_whose_login_was_answered() {
    Scene::of(&[Everywhere, Renew]).owned_by("U").every_order();
    Scene::of(&[Everywhere, Inc]).owned_by("U").every_order();
    Scene::of(&[Everywhere, Renew, Touch])
        .owned_by("U")
        .due()
        .some_orders();
    Scene::of(&[Everywhere, Renew, Renew])
        .owned_by("U")
        .some_orders();
    Scene::of(&[Everywhere, Renew, LogOut])
        .owned_by("U")
        .some_orders();
    Scene::of(&[Everywhere, LogIn("V")])
        .owned_by("U")
        .every_order();
    Scene::of(&[Elsewhere, Renew]).owned_by("U").every_order();
    Scene::of(&[Elsewhere, Renew, Inc])
        .owned_by("U")
        .some_orders();
}

#[test]
fn a_rotation_makes_no_request_anonymous_and_loses_nothing() {
    Scene::of(&[Touch, Touch]).rotating().every_order();
    Scene::of(&[Inc, Inc]).rotating().every_order();
    Scene::of(&[Touch, Touch, Inc]).rotating().some_orders();
    Scene::of(&[Inc, Inc, Inc, Touch]).rotating().some_orders();
    Scene::of(&[Touch, Inc])
        .owned_by("U")
        .rotating()
        .every_order();
    Scene::of(&[Touch, Inc]).due().rotating().every_order();
}

#[test]
fn a_renewal_a_login_and_a_log_out_win_over_a_rotation() {
    Scene::of(&[Touch, Renew]).rotating().every_order();
    Scene::of(&[Touch, LogIn("U")]).rotating().every_order();
    Scene::of(&[Touch, LogOut]).rotating().every_order();
    Scene::of(&[Touch, LogIn("V")])
        .owned_by("U")
        .rotating()
        .every_order();
    Scene::of(&[Touch, Everywhere])
        .owned_by("U")
        .rotating()
        .every_order();
    Scene::of(&[Touch, RenewInc, Inc]).rotating().some_orders();
    Scene::of(&[Touch, LogIn("U"), Inc])
        .rotating()
        .some_orders();
    Scene::of(&[Touch, Touch, LogOut]).rotating().some_orders();
    Scene::of(&[Touch, Renew, LogOut, Inc])
        .rotating()
        .some_orders();
    Scene::of(&[Touch, Elsewhere, Inc])
        .owned_by("U")
        .rotating()
        .some_orders();
}

#[test]
fn no_failure_of_a_rotation_makes_a_request_anonymous_or_revives_a_session() {
    Scene::of(&[Touch])
        .rotating()
        .with_failures(2)
        .every_order();
    Scene::of(&[Inc]).rotating().with_failures(1).every_order();
    Scene::of(&[Touch, Inc])
        .rotating()
        .with_failures(1)
        .some_orders();
    Scene::of(&[Touch, LogOut])
        .rotating()
        .with_failures(1)
        .some_orders();
    Scene::of(&[Touch, LogIn("U")])
        .rotating()
        .with_failures(2)
        .some_orders();
    Scene::of(&[Touch, Everywhere])
        .owned_by("U")
        .rotating()
        .with_failures(1)
        .some_orders();
}

#[test]
fn no_single_failure_loses_revives_or_doubles_anything() {
    Scene::of(&[Inc]).with_failures(1).every_order();
    Scene::of(&[Renew]).with_failures(1).every_order();
    Scene::of(&[LogIn("U")]).with_failures(1).every_order();
    Scene::of(&[LogOut]).with_failures(1).every_order();
    Scene::of(&[Inc, Inc]).with_failures(1).every_order();
    Scene::of(&[Renew, Inc]).with_failures(1).every_order();
    Scene::of(&[Renew, Renew]).with_failures(1).every_order();
    Scene::of(&[LogOut, Inc]).with_failures(1).every_order();
    Scene::of(&[LogOut, Renew]).with_failures(1).every_order();
    Scene::of(&[LogIn("U"), Inc]).with_failures(1).some_orders();
    Scene::of(&[LogOut, Renew, Inc])
        .with_failures(1)
        .some_orders();
    Scene::of(&[Everywhere, Renew])
        .owned_by("U")
        .with_failures(1)
        .some_orders();
}

#[test]
fn two_failures_lose_no_record_and_revive_none() {
    Scene::of(&[Renew]).with_failures(2).every_order();
    Scene::of(&[LogIn("U")]).with_failures(2).every_order();
    Scene::of(&[LogOut]).with_failures(2).every_order();
    Scene::of(&[RenewInc, Inc]).with_failures(2).some_orders();
    Scene::of(&[LogOut, Renew]).with_failures(2).some_orders();
    Scene::of(&[Renew, Renew]).with_failures(2).some_orders();
}

#[test]
fn a_request_that_outlasts_a_tombstone_gets_an_error() {
    Scene::of(&[Inc, Renew]).with_pause().every_order();
    Scene::of(&[LogOut, Renew]).with_pause().every_order();
    Scene::of(&[Inc, LogOut]).with_pause().every_order();
    Scene::of(&[Renew, Renew]).with_pause().every_order();
    Scene::of(&[Inc, Renew, LogOut]).with_pause().some_orders();
}

#[test]
fn logins_at_once_leave_exactly_as_many_sessions_as_a_user_may_have() {
    for policy in [EndOldest, RefuseLogin] {
        let elsewhere = LogInElsewhere("U");
        let at_most = |acts: &[_], most| Scene::of(acts).at_most(most, policy);
        at_most(&[elsewhere, elsewhere], 1).every_order();
        at_most(&[elsewhere, elsewhere], 2).every_order();
        at_most(&[LogIn("U"), elsewhere], 1).every_order();
        for most in 1..=3 {
            at_most(&[elsewhere, elsewhere, elsewhere], most).some_orders();
            at_most(&[elsewhere, elsewhere, elsewhere, elsewhere], most).some_orders();
        }
        at_most(&[LogIn("U"), LogIn("U"), elsewhere], 1).some_orders();
    }
}

#[test]
fn a_session_counts_while_it_is_renewed_and_no_more_after_its_end() {
    for policy in [EndOldest, RefuseLogin] {
        let elsewhere = LogInElsewhere("U");
        let at_most = |acts: &[_], most| Scene::of(acts).owned_by("U").at_most(most, policy);
        at_most(&[Renew, elsewhere], 1).every_order();
        at_most(&[Inc, elsewhere], 1).every_order();
        at_most(&[Renew, Renew, elsewhere], 1).some_orders();
        at_most(&[Renew, elsewhere, elsewhere], 2).some_orders();
        at_most(&[LogOut, elsewhere], 1).every_order();
        at_most(&[LogOut, elsewhere, elsewhere], 1).some_orders();
        at_most(&[Everywhere, elsewhere, elsewhere], 1).some_orders();
    }
}

#[test]
fn no_failure_gives_a_user_more_sessions_than_the_limit() {
    for policy in [EndOldest, RefuseLogin] {
        let elsewhere = LogInElsewhere("U");
        let at_most = |acts: &[_]| Scene::of(acts).at_most(1, policy).with_failures(1);
        at_most(&[elsewhere]).every_order();
        at_most(&[elsewhere, elsewhere]).some_orders();
        at_most(&[LogIn("U"), elsewhere]).some_orders();
        at_most(&[elsewhere, elsewhere])
            .with_failures(2)
            .some_orders();
        at_most(&[Renew, elsewhere]).owned_by("U").some_orders();
    }
}

#[test]
fn no_clock_gives_a_user_more_sessions_than_the_limit() {
    // A process takes what another one inserts for the rest of a login from long ago.
    let minute = Duration::from_secs(60);
    for policy in [EndOldest, RefuseLogin] {
        let elsewhere = LogInElsewhere("U");
        let at_most = |acts: &[_]| {
            let scene = Scene::of(acts).at_most(1, policy);
            scene.with_clocks_apart(minute)
        };
        at_most(&[elsewhere, elsewhere]).every_order();
        at_most(&[LogIn("U"), elsewhere]).every_order();
        at_most(&[elsewhere, LogIn("U")]).every_order();
        at_most(&[elsewhere, elsewhere, elsewhere]).some_orders();
        at_most(&[Renew, elsewhere]).owned_by("U").every_order();
    }
}

#[test]
fn a_back_channel_log_out_misses_no_session_of_the_provider() {
    let owned = |acts: &[_]| Scene::of(acts).owned_by("U");
    owned(&[BackChannel, Renew]).every_order();
    owned(&[BackChannel, Inc]).every_order();
    owned(&[BackChannel, LogIn("V")]).every_order();
    owned(&[BackChannel, Renew, Touch]).due().some_orders();
    owned(&[BackChannel, Renew, Renew]).some_orders();
    owned(&[BackChannel, Renew, LogOut]).some_orders();
    owned(&[BackChannel, Renew]).with_failures(1).some_orders();
}
