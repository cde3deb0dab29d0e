//! Each fault of the runbook moves the metrics that its row names, on a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod connections;
mod failures;
mod moving;
mod page;
#[path = "../site/mod.rs"]
mod site;

use std::{collections::BTreeSet, fs};

use failures::{Failure, Scene};
use page::Page;

const CALLS: &str = "session_store_operation_duration_count";
const BUCKETS: &str = "session_store_operation_duration_bucket";
const REQUESTS: &str = "session_request_count";
const EVENTS: &str = "session_security_event_count";
const AHEAD: &str = "session_record_ahead_count";
const MOVED: &str = "session_move_count";

/// A row of the runbook, a fault that leads to it, and what it shows: a series that rises, and the words
/// of the row that name it.
struct Case {
    row: &'static str,
    fault: Failure,
    rises: (&'static str, &'static [&'static str]),
    words: &'static [&'static str],
}

const DURATION: &str = "session.store.operation.duration";
const EVENT: &str = "session.security_event.count";

const CASES: &[Case] = &[
    Case {
        row: "The store is down",
        fault: Failure::StoreKilled,
        rises: (CALLS, &["outcome=\"backend\""]),
        words: &[DURATION, "backend"],
    },
    Case {
        row: "The store is down",
        fault: Failure::StoreFrozen,
        rises: (CALLS, &["outcome=\"timeout\""]),
        words: &[DURATION, "timeout"],
    },
    Case {
        row: "The store is down",
        fault: Failure::StoreKilled,
        rises: (REQUESTS, &["outcome=\"store\""]),
        words: &["session.request.count", "store"],
    },
    Case {
        row: "The store is slow or full",
        fault: Failure::StoreSlow,
        rises: (failures::SLOW, &["operation=\"load\""]),
        words: &[DURATION],
    },
    Case {
        row: "The store is slow or full",
        fault: Failure::StoreFull,
        rises: (CALLS, &["operation=\"update\"", "outcome=\"backend\""]),
        words: &["backend", "update", "load"],
    },
    Case {
        row: "The store is slow or full",
        fault: Failure::StoreFull,
        rises: (CALLS, &["operation=\"insert\"", "outcome=\"backend\""]),
        words: &["insert"],
    },
    Case {
        row: "The store is empty",
        fault: Failure::StoreEmptied,
        rises: (CALLS, &["operation=\"load\"", "outcome=\"absent\""]),
        words: &[DURATION, "absent"],
    },
    Case {
        row: "A clock is off",
        fault: Failure::ClockAhead,
        rises: (AHEAD, &[]),
        words: &["session.record.ahead.count"],
    },
    Case {
        row: "A key leaked, or was changed",
        fault: Failure::CookieForged,
        rises: (EVENTS, &["event=\"signature_refused\""]),
        words: &[EVENT, "signature_refused"],
    },
    Case {
        row: "A key leaked, or was changed",
        fault: Failure::KeyChanged,
        rises: (EVENTS, &["event=\"signature_refused\""]),
        words: &[EVENT, "signature_refused"],
    },
    Case {
        row: "A user's account is taken over",
        fault: Failure::RotatedIdUsed,
        rises: (EVENTS, &["event=\"rotated_id\""]),
        words: &[EVENT, "rotated_id"],
    },
    Case {
        row: "A user's account is taken over",
        fault: Failure::OwnerChanged,
        rises: (EVENTS, &["event=\"foreign_owner\""]),
        words: &["foreign_owner"],
    },
    Case {
        row: "A user's account is taken over",
        fault: Failure::DeviceNotProved,
        rises: (EVENTS, &["event=\"device_not_proved\""]),
        words: &["device_not_proved"],
    },
    Case {
        row: "Records cannot be read",
        fault: Failure::LaterRecord,
        rises: (EVENTS, &["event=\"record_unreadable\""]),
        words: &[EVENT, "record_unreadable"],
    },
    Case {
        row: "Records cannot be read",
        fault: Failure::DamagedRecord,
        rises: (EVENTS, &["event=\"record_unreadable\""]),
        words: &[EVENT, "record_unreadable"],
    },
    Case {
        row: "Records cannot be read",
        fault: Failure::EncryptionKeyChanged,
        rises: (EVENTS, &["event=\"record_unreadable\""]),
        words: &[EVENT, "record_unreadable"],
    },
    Case {
        row: "Conflicts",
        fault: Failure::LateChange,
        rises: (REQUESTS, &["outcome=\"conflict\""]),
        words: &["session.request.count", "conflict"],
    },
];

/// What other tests show: that calls wait for a connection, and that sessions move.
const SHOWN_ELSEWHERE: &[(&str, &str)] = &[
    (
        "The store is slow or full",
        "session.store.connection.pending_requests",
    ),
    ("Moving to another store", "session.move.count"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_the_runbook_moves_the_metric_that_its_row_names() {
    for case in CASES {
        let (name, attributes) = case.rises;
        let what = format!("{}: {:?} and {name}{attributes:?}", case.row, case.fault);
        let scene = Scene::of(case.fault).await;
        let before = scene.sum(name, attributes).await;
        scene.inject(case.fault).await;
        let after = scene.sum(name, attributes).await;
        assert!(after > before, "{what}: {before}, {after}");
    }
}

/// What is told of no fault: nothing that an alert looks at moves.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_failure_nothing_moves_that_a_row_names() {
    let mut moved = Vec::new();
    // A call may be slow on a busy machine, but not in each of three scenes.
    for _ in 0..3 {
        moved = moved_without_a_failure().await;
        if moved.is_empty() {
            break;
        }
    }
    assert_eq!(moved, Vec::<String>::new());
}

/// The series of the runbook that have moved, though nothing has failed.
async fn moved_without_a_failure() -> Vec<String> {
    let scene = Scene::of(Failure::StoreKilled).await;
    let mut grace = scene.demo.logged_in("grace").await;
    for _ in 0..3 {
        grace.get("/whoami").await;
        grace.post("/increment/n").await;
    }
    grace.post("/renew").await;
    grace.post("/logout").await;
    let mut moved = Vec::new();
    for case in CASES {
        let (name, attributes) = case.rises;
        let sum = scene.sum(name, attributes).await;
        if sum > 0.5 {
            moved.push(format!("{}: {name}{attributes:?} {sum}", case.row));
        }
    }
    if moved.is_empty() {
        assert_eq!(grace.get("/health").await.status, 200);
    }
    let page = Page::of(&grace).await;
    let done = |name: &str, what: &str| page.sum(name, &[what]) > 0.0;
    assert!(done(CALLS, "outcome=\"stored\"") && done(REQUESTS, "outcome=\"done\""));
    assert!(done(EVENTS, "event=\"login\"") && done(EVENTS, "event=\"log_out\""));
    // Each counter is there before its first event, and none names anybody.
    let all: Vec<_> = page.names().collect();
    for event in ["record_unreadable", "foreign_owner", "device_not_proved"] {
        let series = format!("{EVENTS}{{event=\"{event}\"}}");
        assert!(all.contains(&&*series), "{series}: {all:?}");
    }
    for secret in ["grace", grace.cookie().unwrap_or("session=")] {
        assert!(!all.concat().contains(secret), "{all:?}");
    }
    moved
}

/// A key that is changed with the old one beside it logs nobody out, and nothing moves.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_rotated_with_a_fallback_moves_nothing() {
    let scene = Scene::of(Failure::KeyChanged).await;
    let ada = scene.demo.logged_in("ada").await;
    let keys = [
        ("SECRET_KEY", failures::OTHER_KEY.to_owned()),
        ("SECRET_KEY_FALLBACKS", failures::KEY.to_owned()),
    ];
    let rotated = scene.demo.beside_at(keys.into()).await;
    let mut ada = ada.at(rotated.url());
    assert_eq!(ada.user().await, "ada");
    let page = Page::of(&ada).await;
    let refused = page.sum(EVENTS, &["event=\"signature_refused\""]);
    assert!(refused.abs() < 0.5, "{page:?}");
}

/// The words between backticks in the first two cells of each row: what it is called, and what is seen.
fn rows() -> Vec<(String, BTreeSet<String>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../RUNBOOK.md");
    let runbook = fs::read_to_string(path).unwrap();
    let rows = runbook.lines().filter(|it| it.starts_with("| ["));
    rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let name = cells[0].split(['[', ']']).nth(1).unwrap().to_owned();
        let words = cells[1].split('`').skip(1).step_by(2);
        (name, words.map(str::to_owned).collect())
    })
    .collect()
}

#[test]
fn each_row_of_the_runbook_names_a_metric_and_each_word_of_it_is_shown() {
    let rows = rows();
    assert!(rows.len() > 8, "{rows:?}");
    for (row, words) in &rows {
        let cases = CASES.iter().filter(|it| it.row == row);
        let mut shown: BTreeSet<_> = cases.flat_map(|it| it.words).copied().collect();
        let elsewhere = SHOWN_ELSEWHERE.iter().filter(|(of, _)| of == row);
        shown.extend(elsewhere.map(|(_, name)| *name));
        let is_metric = |it: &String| it.starts_with("session.");
        assert!(words.iter().any(is_metric), "{row} names no metric");
        for word in words {
            // Alerts are tested by promtool, and `doctor` by its own tests.
            let is_alert = word.starts_with(char::is_uppercase);
            if !is_alert && word != "doctor" {
                assert!(shown.contains(&**word), "{row}: no fault moves {word}");
            }
        }
    }
    for case in CASES {
        assert!(rows.iter().any(|(row, _)| row == case.row), "{}", case.row);
    }
}
