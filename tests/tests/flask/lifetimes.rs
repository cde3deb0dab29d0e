//! The lifetimes of sessions and cookies are those of Flask.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::neighbours::{Neighbours, Side, unhex};

const DAYS_31: f64 = 2_678_400.0;
/// How long a busy machine may take from a write to its check.
const PATIENCE: f64 = 30.0;

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs_f64()
}

pub(crate) async fn an_untouched_session_has_its_expiry_moved_and_nothing_else(both: &Neighbours) {
    for side in Side::BOTH {
        for path in ["/touch", "/get", "/nowhere"] {
            let mut visitor = both.visitor();
            visitor.json(side, "/set?k=a&v=x").await;
            let before = both.record(visitor.sid()).await.unwrap();
            assert!(
                (before.ends - now() - DAYS_31).abs() < PATIENCE,
                "{before:?}"
            );
            both.put(visitor.sid(), 100, &before.payload).await;
            let short = both.record(visitor.sid()).await.unwrap();
            assert!((short.ends - now() - 100.0).abs() < PATIENCE, "{short:?}");
            let answer = visitor.get(side, path).await;
            assert!(answer.set_cookie().is_some(), "{side:?} {path}");
            let after = both.record(visitor.sid()).await.unwrap();
            assert_eq!(after.payload, before.payload, "{side:?} {path}");
            assert!((after.ends - now() - DAYS_31).abs() < PATIENCE, "{after:?}");
        }
    }
}

pub(crate) async fn what_cannot_be_read_is_no_session(both: &Neighbours) {
    // A dict pickled by Python, half a map, a list, and nothing of any kind.
    for corrupt in [
        "8004950c000000000000007d948c0161948c017894732e",
        "82a161a178",
        "93010203",
        "ffffffff",
        "7b2261223a",
    ] {
        let mut visitor = both.visitor();
        visitor.json(Side::Flask, "/set?k=a&v=x").await;
        let sid = visitor.sid().to_owned();
        both.put(&sid, 100, &unhex(corrupt)).await;
        let state = visitor.state(Side::Actix).await;
        assert_eq!(state["session"], json!({ "_permanent": true }));
        assert_eq!(visitor.get(Side::Actix, "/health").await.status, 200);
        let fresh = visitor.json(Side::Actix, "/set?k=b&v=y").await;
        assert_eq!(fresh["session"], json!({ "_permanent": true, "b": "y" }));
        assert_ne!(visitor.sid(), sid);
        assert_eq!(visitor.value(Side::Flask, "b").await, Some(json!("y")));
    }
}
