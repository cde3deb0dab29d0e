//! Checks every promise on the result of a run.

use std::time::Duration;

use session_core::{Finish, config::OnMaxPerUser};

use crate::{
    explain::explained,
    records::{Live, key_of, live_records},
    request::{Act, Answer, CookieChange},
    run::Run,
    scene::Scene,
};

/// Every promise that the run broke.
pub(crate) async fn violations(scene: &Scene, run: &Run) -> Vec<&'static str> {
    let all = live_records(run).await;
    let known: Vec<_> = run.known_ids().iter().map(|id| key_of(id)).collect();
    let family: Vec<_> = all.iter().filter(|it| it.lineage == run.lineage).collect();
    let reachable = family
        .iter()
        .copied()
        .filter(|it| known.contains(&it.key))
        .collect();
    let mut check = Check {
        scene,
        run,
        all: &all,
        family,
        reachable,
        failures: Vec::new(),
    };
    if let Some((most, policy)) = scene.limit {
        check.limit(most, policy);
        return check.failures;
    }
    check.records();
    check.ends();
    check.answers();
    check.logins();
    check.data();
    check.browsers();
    check.rotation().await;
    check.failures
}

/// Whether an id opens a session.
pub(crate) async fn is_live(run: &Run, id: &str) -> bool {
    let request_session = run.sessions.begin_request();
    let header = format!("session={id}");
    let session = request_session
        .session(&mut std::iter::once(header.as_bytes()))
        .await;
    session.is_ok_and(|session| !session.is_new())
}

struct Check<'r> {
    scene: &'r Scene,
    run: &'r Run,
    all: &'r [Live],
    /// The records of the session that every request came with.
    family: Vec<&'r Live>,
    /// Those of them whose id a browser has.
    reachable: Vec<&'r Live>,
    failures: Vec<&'static str>,
}

impl<'r> Check<'r> {
    fn holds(&mut self, holds: bool, what: &'static str) {
        if !holds {
            self.failures.push(what);
        }
    }

    /// No user has more sessions than the limit whose ids were sent. Without a failure or an end, a
    /// login is refused or overtaken only for the sake of as many others, and the newest are left.
    fn limit(&mut self, most: usize, policy: OnMaxPerUser) {
        let known: Vec<_> = self.run.known_ids().iter().map(|id| key_of(id)).collect();
        let of_user = |it: &&&Live| it.data.owner.as_deref() == Some("U");
        let live: Vec<_> = self
            .all
            .iter()
            .filter(|it| known.contains(&it.key))
            .collect();
        let live: Vec<_> = live.iter().filter(of_user).collect();
        self.holds(live.len() <= most, "a user has too many sessions");
        let elsewhere = |act: &Act| matches!(act, Act::LogInElsewhere(_));
        // All other logins are to the session that every request came with.
        let sessions = |acts: &mut dyn Iterator<Item = &Act>| {
            let (others, own): (Vec<_>, Vec<_>) = acts.partition(|it| elsewhere(it));
            others.len() + usize::from(own.contains(&&Act::LogIn("U")))
        };
        let logins = sessions(&mut self.scene.acts.iter());
        let had_one = usize::from(self.scene.owner == Some("U"));
        let ends = self.scene.acts.iter().any(ends);
        if ends || self.run.failures > 0 || !self.scene.clocks_differ.is_zero() {
            return;
        }
        self.holds(
            live.len() == most.min(logins + had_one),
            "a user has fewer sessions than allowed",
        );
        let answered: Vec<_> = self.answered().collect();
        let with = |status| {
            let same = answered.iter().filter(move |(_, it)| it.status == status);
            same.map(|(act, _)| *act)
        };
        let succeeded = sessions(&mut with(200));
        self.holds(with(503).count() == 0, "a login failed for no reason");
        match policy {
            OnMaxPerUser::RefuseLogin => self.holds(
                succeeded == logins.min(most - had_one),
                "another number of logins than allowed has succeeded",
            ),
            _ => self.holds(
                with(403).count() == 0 && succeeded >= logins.min(most),
                "too few logins have succeeded",
            ),
        }
        if policy == OnMaxPerUser::EndOldest && self.scene.acts.iter().all(elsewhere) {
            let mut newest = self.run.answers.iter().rev().take(most);
            let lives = |answer: &Option<Answer>| {
                let id = answer.as_ref().and_then(|it| it.cookie.id());
                id.is_some_and(|id| live.iter().any(|it| it.key == key_of(id)))
            };
            self.holds(newest.all(lives), "a newer session was ended");
        }
    }

    fn records(&mut self) {
        if !self.scene.acts.iter().any(ends) {
            self.holds(!self.family.is_empty(), "no live record is left");
            self.holds(
                !self.reachable.is_empty() || self.crashed_or_failed_twice(),
                "the session lives under an id that was never sent",
            );
        }
        self.holds(self.reachable.len() <= 1, "two live ids in browsers");
        self.holds(
            self.run.failures > 0 || self.family.len() <= 1,
            "two live records without a failure",
        );
    }

    fn ends(&mut self) {
        if !self.ended() {
            return;
        }
        if self.scene.acts.contains(&Act::LogOut) {
            self.holds(
                self.reachable.is_empty(),
                "an id in a browser is live after a log-out was answered",
            );
            self.holds(
                self.run.failures > 0 || self.family.is_empty(),
                "a record is live after a log-out was answered, without a failure",
            );
        } else {
            let owner = self.scene.owner;
            self.holds(
                !self
                    .reachable
                    .iter()
                    .any(|it| it.data.owner.as_deref() == owner),
                "a session of the owner is live after log-out-everywhere was answered",
            );
        }
    }

    fn answers(&mut self) {
        for (index, act) in self.scene.acts.iter().enumerate() {
            let Some(answer) = &self.run.answers[index] else {
                continue;
            };
            let renewal = matches!(act, Act::Renew | Act::RenewInc | Act::LogIn(_));
            self.holds(
                !renewal || answer.status != 200 || self.run.old_dead_at_answer[index],
                "a renewal was answered while the old id is live",
            );
            self.holds(
                !self.run.set_dead_cookie[index] || self.run.failures > 0,
                "an answer set the cookie of a dead id, without a failure",
            );
            self.holds(
                answer.cookie != CookieChange::Removal || *act == Act::LogOut,
                "a removal cookie that no log-out sent",
            );
        }
    }

    fn logins(&mut self) {
        let acts = &self.scene.acts;
        let answered: Vec<_> = self.answered().collect();
        for (act, answer) in answered {
            let &Act::LogIn(owner) = act else {
                continue;
            };
            if answer.status != 200 {
                continue;
            }
            let same = |act: &&Act| **act == Act::LogIn(owner);
            self.holds(
                answer.cookie.id().is_some() || acts.iter().filter(same).count() > 1,
                "a login was answered, and nobody sent its id",
            );
            let replaces_it = |act: &&Act| {
                matches!(
                    act,
                    Act::LogIn(_) | Act::Renew | Act::RenewInc | Act::LogOut
                ) || (**act == Act::Everywhere && self.scene.owner == Some(owner))
            };
            let alone = acts.iter().filter(replaces_it).count() == 1;
            let lives = |id| self.all.iter().any(|it| it.key == key_of(id));
            self.holds(
                !alone || answer.cookie.id().is_none_or(lives),
                "an owner's session was ended with another owner's",
            );
        }
    }

    fn data(&mut self) {
        if let (&[session], false) = (&self.reachable[..], self.ended()) {
            self.holds(
                explained(self.scene, self.run, session, self.all),
                "the stored data is not what the answers say",
            );
            let is_refused = |(act, it): (&Act, &Answer)| *act == Act::Take && it.status == 409;
            let refused = self.answered().any(is_refused);
            let is_there = session.data.values.contains_key("a");
            self.holds(
                !refused || !is_there,
                "a value was refused that nobody took",
            );
        }
    }

    fn browsers(&mut self) {
        let owner = self.scene.owner;
        let takes_over = self
            .scene
            .acts
            .iter()
            .any(|act| matches!(act, Act::LogIn(by) if owner.is_some_and(|it| it != *by)));
        // A refreshed cookie that comes after the renewed one can replace it in the browser; no
        // server can order that.
        // So can the cookie of a rotation replace that of a renewal which was answered later.
        let unordered = self.scene.due || self.scene.rotates || self.run.failures > 0;
        if self.reachable.is_empty() || self.ended() || takes_over || unordered {
            return;
        }
        let lives = |id: &str| self.reachable.iter().any(|it| it.key == key_of(id));
        let all_live = self
            .answered()
            .filter_map(|(_, answer)| answer.cookie.id())
            .all(|id| lives(id) || !self.is_family(id));
        self.holds(
            all_live,
            "a browser ends with a dead id while its session lives",
        );
    }

    /// A rotation makes no request anonymous, and once the browser uses the new id, the old one
    /// leads nowhere after a while.
    async fn rotation(&mut self) {
        if !self.scene.rotates {
            return;
        }
        let renews = |act: &Act| matches!(act, Act::Renew | Act::RenewInc | Act::LogIn(_));
        let gives_up = self.scene.acts.iter().any(|act| renews(act) || ends(act));
        let anonymous = self.answered().any(|(_, answer)| answer.anonymous);
        self.holds(gives_up || !anonymous, "a request was anonymous");
        if self.ended() {
            let alive = is_live(self.run, &self.run.id).await;
            self.holds(!alive, "the old id leads to a session that has ended");
        }
        // The browser has what was sent to it last, and whoever else has the old id.
        let mut newest = self.run.id.clone();
        for _ in 0..2 {
            if let Some(id) = self.used(&newest).await {
                newest = id;
            }
        }
        let lives = is_live(self.run, &newest).await;
        let expected = !self.reachable.is_empty() && !gives_up && self.run.failures == 0;
        self.holds(lives || !expected, "the id that was sent last is dead");
        self.run.clock.pass(Duration::from_secs(30));
        let stays = newest == self.run.id || !is_live(self.run, &self.run.id).await;
        self.holds(stays, "an id that was rotated opens its session for ever");
    }

    /// Sends a request with `id`. Returns the id that the answer sets.
    async fn used(&self, id: &str) -> Option<String> {
        let request_session = self.run.sessions.begin_request();
        let header = format!("session={id}");
        let opened = request_session.session(&mut std::iter::once(header.as_bytes()));
        opened.await.expect("memory does not fail");
        let set_cookie = match request_session.finish() {
            Finish::Ready(outcome) => outcome.set_cookie,
            Finish::Pending(saving) => saving.await.expect("memory does not fail").set_cookie,
        }?;
        let id = set_cookie.split([';', '=']).nth(1)?;
        (!id.is_empty()).then(|| id.to_owned())
    }

    fn answered(&self) -> impl Iterator<Item = (&'r Act, &'r Answer)> + use<'r> {
        let answers = self.run.answers.iter();
        self.scene
            .acts
            .iter()
            .zip(answers)
            .filter_map(|(act, answer)| Some((act, answer.as_ref()?)))
    }

    fn ended(&self) -> bool {
        self.answered()
            .any(|(act, answer)| ends(act) && answer.status == 200)
    }

    /// What no protocol can keep: the crash of the process that was about to send the id, or a
    /// second failure.
    fn crashed_or_failed_twice(&self) -> bool {
        self.run.failures > 1 || self.run.answers.iter().any(Option::is_none)
    }

    fn is_family(&self, id: &str) -> bool {
        self.all
            .iter()
            .find(|it| it.key == key_of(id))
            .is_none_or(|it| it.lineage == self.run.lineage)
    }
}

fn ends(act: &Act) -> bool {
    matches!(act, Act::LogOut | Act::Everywhere | Act::BackChannel)
}
