//! What a security log records (ASVS 5.0, 16.3): events with fixed names and fields.

use std::{
    error::Error as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{Error, content::Lineage, measure};

/// The `tracing` target of security events.
///
/// Each event has the field `event`, which is one of these names. `lineage` names the session
/// ([`Session::lineage`](crate::Session::lineage)), where it is known. No field has an id, a store
/// key or a payload.
///
/// | `event` | level | when | further fields |
/// |---|---|---|---|
/// | `login` | info | a login or a reauthentication was stored | `lineage` |
/// | `login_from_flask` | info | with the feature `flask-cookie`: a cookie of Flask's built-in session has started the session of a user | `lineage` |
/// | `renewal` | info | a user's session got a new id without a login | `lineage` |
/// | `rotation` | info | a user's session got a new id because its id was in use for the [period of rotation](crate::Settings::with_rotation) | `lineage` |
/// | `log_out` | info | the end of a user's session was stored; also for each session that a user ends from a list. Also if a log-out finds the session ended: the answer to an earlier try may have been lost | `lineage` |
/// | `log_out_everywhere` | info | all sessions of a user were ended, or all but one | `ended`: how many |
/// | `back_channel_log_out` | info | the sessions that belong to an identity provider's session were ended | `ended`: how many |
/// | `signature_refused` | warn | a cookie of the session's name has no valid signature, or no valid form | `suppressed` |
/// | `late_id` | warn | a request came with an id that was renewed less than 90 seconds before | `suppressed` |
/// | `rotated_id` | warn | a request came with an id that was rotated, more than 30 seconds after the id that follows was first presented: somebody copied a cookie, or a browser lost one | `lineage`, `suppressed` |
/// | `foreign_owner` | warn | a session belonged to another user by the time a change was to be stored; the change was dropped | `lineage`, `suppressed` |
/// | `limit_reached` | warn | `limit` is `bytes` or `keys`: a change was refused because the session is too large. `limit` is `sessions`: a user has the most sessions, so a login was refused, or ended others. A session that was not stored has no `lineage` | `lineage`, `limit`, `suppressed` |
/// | `record_unreadable` | warn | a record cannot be read. If it is damaged, its user is treated as logged out. If a later release wrote it, or it is encrypted with a key that this process does not have, its requests fail with 503 | `reason`, `suppressed` |
/// | `device_bound` | info | with the feature `dbsc`: a session was bound to the device of its browser | `lineage` |
/// | `device_proof_refused` | warn | what was to prove a device did not: a wrong key or challenge, or no proof at all | `lineage`, `reason`, `suppressed` |
/// | `device_not_proved` | warn | a session that is bound to a device was refused, because the request does not come from there | `lineage`, `suppressed` |
/// | `device_skipped` | warn | a browser sent a request without the bound cookie. `reason` is its own: `quota_exceeded`, `server_error`, `unreachable`, or `unknown` and `unreadable`. Or it is `other_site`: a link from elsewhere led to a page behind a guard, and the answer lets the browser prove its device | `lineage`, `reason`, `suppressed` |
/// | `cross_site_refused` | warn | [`CrossSiteRule`](crate::CrossSiteRule) refused a request | `origin`, `host`, `sec_fetch_site`, `route`, `suppressed` |
///
/// Sessions that nobody is logged in to have no events of level info: they concern no user, and
/// anybody could cause them. Anybody can cause the events of level warn. Of each, at most 10 in a
/// second are logged per `Sessions` or [`CrossSiteRule`](crate::CrossSiteRule), whose clones share
/// the number. `suppressed` is how many were not logged since the one before. The application logs
/// what only it knows, such as a wrong password, and the user of a login beside its `lineage`.
pub const SECURITY_EVENTS: &str = "session::security";

/// The names of the events, which are counted from 0 on.
#[cfg(feature = "metrics")]
pub(crate) const EVENTS: [&str; 18] = [
    "login",
    "login_from_flask",
    "renewal",
    "rotation",
    "log_out",
    "log_out_everywhere",
    "back_channel_log_out",
    "signature_refused",
    "late_id",
    "rotated_id",
    "foreign_owner",
    "limit_reached",
    "record_unreadable",
    "device_bound",
    "device_proof_refused",
    "device_not_proved",
    "device_skipped",
    "cross_site_refused",
];

/// How many events of a kind are logged in a second.
const PER_SECOND: u32 = 10;

/// Events that a stranger can cause, and how many of each were logged in the current second.
#[derive(Debug, Default)]
pub(crate) struct SecurityEvents {
    signature_refused: Rate,
    late_id: Rate,
    rotated_id: Rate,
    foreign_owner: Rate,
    limit_reached: Rate,
    record_unreadable: Rate,
    #[cfg(feature = "dbsc")]
    device_proof_refused: Rate,
    #[cfg(feature = "dbsc")]
    device_not_proved: Rate,
    #[cfg(feature = "dbsc")]
    device_skipped: Rate,
}

/// Bounds how often an event is logged.
#[derive(Debug, Default)]
pub(crate) struct Rate(Mutex<Second>);

#[derive(Debug, Default)]
struct Second {
    began: Option<Instant>,
    logged: u32,
    suppressed: u64,
}

impl Rate {
    /// How many events were suppressed since the last one that was logged, if this one is to be
    /// logged.
    pub(crate) fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        // A panic elsewhere leaves the numbers usable.
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |began| now.duration_since(began) >= Duration::from_secs(1);
        if second.began.is_none_or(is_over) {
            second.began = Some(now);
            second.logged = 0;
        }
        if second.logged == PER_SECOND {
            second.suppressed += 1;
            return None;
        }
        second.logged += 1;
        Some(std::mem::take(&mut second.suppressed))
    }
}

impl SecurityEvents {
    pub(crate) fn signature_refused(&self) {
        measure::security_event("signature_refused");
        if let Some(suppressed) = self.signature_refused.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "signature_refused",
                suppressed,
                "a session cookie without a valid signature was ignored"
            );
        }
    }

    pub(crate) fn late_id(&self) {
        measure::security_event("late_id");
        if let Some(suppressed) = self.late_id.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "late_id",
                suppressed,
                "a request came with an id that was renewed"
            );
        }
    }

    pub(crate) fn rotated_id(&self, lineage: [u8; 16]) {
        measure::security_event("rotated_id");
        if let Some(suppressed) = self.rotated_id.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "rotated_id",
                lineage = shown(Some(lineage)),
                suppressed,
                "a request came with an id that was rotated long ago"
            );
        }
    }

    pub(crate) fn foreign_owner(&self, lineage: Option<[u8; 16]>) {
        measure::security_event("foreign_owner");
        if let Some(suppressed) = self.foreign_owner.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "foreign_owner",
                lineage = shown(lineage),
                suppressed,
                "a change was dropped, because the session belongs to another user by now"
            );
        }
    }

    /// `limit` is `bytes`, `keys` or `sessions`.
    pub(crate) fn limit_reached(&self, lineage: Option<[u8; 16]>, limit: &'static str) {
        measure::security_event("limit_reached");
        if let Some(suppressed) = self.limit_reached.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "limit_reached",
                lineage = shown(lineage),
                limit,
                suppressed,
                "a session or a user has reached a limit"
            );
        }
    }

    pub(crate) fn record_unreadable(&self, error: &Error) {
        measure::security_event("record_unreadable");
        if let Some(suppressed) = self.record_unreadable.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "record_unreadable",
                reason = error.source().unwrap_or(error),
                suppressed,
                "a session record cannot be read"
            );
        }
    }
}

#[cfg(feature = "dbsc")]
impl SecurityEvents {
    pub(crate) fn device_proof_refused(&self, lineage: Option<[u8; 16]>, reason: &'static str) {
        measure::security_event("device_proof_refused");
        if let Some(suppressed) = self.device_proof_refused.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "device_proof_refused",
                lineage = shown(lineage),
                reason,
                suppressed,
                "what was to prove a device did not"
            );
        }
    }

    pub(crate) fn device_not_proved(&self, lineage: Option<[u8; 16]>) {
        measure::security_event("device_not_proved");
        if let Some(suppressed) = self.device_not_proved.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "device_not_proved",
                lineage = shown(lineage),
                suppressed,
                "a session was used without proof that the request comes from its device"
            );
        }
    }

    pub(crate) fn device_skipped(&self, lineage: Option<[u8; 16]>, reason: &'static str) {
        measure::security_event("device_skipped");
        if let Some(suppressed) = self.device_skipped.admit() {
            tracing::warn!(
                target: SECURITY_EVENTS,
                event = "device_skipped",
                lineage = shown(lineage),
                reason,
                suppressed,
                "a browser sent a request without the bound cookie"
            );
        }
    }
}

#[cfg(feature = "dbsc")]
pub(crate) fn device_bound(lineage: Option<[u8; 16]>) {
    measure::security_event("device_bound");
    tracing::info!(
        target: SECURITY_EVENTS,
        event = "device_bound",
        lineage = shown(lineage),
        "a session was bound to the device of its browser"
    );
}

pub(crate) fn login(lineage: Option<[u8; 16]>) {
    measure::security_event("login");
    tracing::info!(
        target: SECURITY_EVENTS,
        event = "login",
        lineage = shown(lineage),
        "a user logged in"
    );
}

#[cfg(feature = "flask-cookie")]
pub(crate) fn login_from_flask(lineage: Option<[u8; 16]>) {
    measure::security_event("login_from_flask");
    tracing::info!(
        target: SECURITY_EVENTS,
        event = "login_from_flask",
        lineage = shown(lineage),
        "a cookie of Flask's has started a user's session"
    );
}

pub(crate) fn renewal(lineage: Option<[u8; 16]>) {
    measure::security_event("renewal");
    tracing::info!(
        target: SECURITY_EVENTS,
        event = "renewal",
        lineage = shown(lineage),
        "a session got a new id"
    );
}

pub(crate) fn rotation(lineage: Option<[u8; 16]>) {
    measure::security_event("rotation");
    tracing::info!(
        target: SECURITY_EVENTS,
        event = "rotation",
        lineage = shown(lineage),
        "a session's id was rotated"
    );
}

pub(crate) fn log_out(lineage: Option<[u8; 16]>) {
    measure::security_event("log_out");
    tracing::info!(
        target: SECURITY_EVENTS,
        event = "log_out",
        lineage = shown(lineage),
        "a session ended"
    );
}

pub(crate) fn log_out_everywhere(ended: u64) {
    measure::security_event("log_out_everywhere");
    tracing::info!(
        target: SECURITY_EVENTS,
        event = "log_out_everywhere",
        ended,
        "the sessions of a user were ended"
    );
}

pub(crate) fn back_channel_log_out(ended: u64) {
    measure::security_event("back_channel_log_out");
    tracing::info!(
        target: SECURITY_EVENTS,
        event = "back_channel_log_out",
        ended,
        "the sessions that belong to an identity provider's session were ended"
    );
}

fn shown(lineage: Option<[u8; 16]>) -> Option<impl tracing::Value> {
    let lineage = lineage.map(Lineage::from_bytes);
    lineage.map(|it: Lineage| tracing::field::display(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_counted() {
        let (rate, start) = (Rate::default(), Instant::now());
        let millis = |it| start + Duration::from_millis(it);
        for it in 0..10 {
            assert_eq!(rate.admit_at(millis(it)), Some(0));
        }
        for it in 0..1000 {
            assert_eq!(rate.admit_at(millis(10 + it * 900 / 1000)), None);
        }
        assert_eq!(rate.admit_at(millis(1000)), Some(1000));
        assert_eq!(rate.admit_at(millis(1001)), Some(0));
    }
}
