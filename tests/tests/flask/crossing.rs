//! What a user does in one application applies in the other.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::neighbours::{Neighbours, Side};

pub(crate) async fn a_login_by_one_is_a_login_at_the_other(both: &Neighbours) {
    for side in Side::BOTH {
        let mut visitor = both.visitor();
        visitor.json(side, "/set?k=cart&v=full").await;
        let anonymous = visitor.clone();
        visitor.json(side, "/login?user=ann").await;
        let seen = visitor.state(side.other()).await;
        assert_eq!(seen["session"]["user"], "ann");
        assert_eq!(seen["session"]["cart"], "full");
        assert_eq!(seen["sid"], visitor.sid());
        // An id from before the login is worth nothing, wherever it is shown.
        for side in Side::BOTH {
            let mut planted = anonymous.clone();
            assert_eq!(planted.value(side, "user").await, None);
            assert_eq!(planted.value(side, "cart").await, None);
        }
    }
}

pub(crate) async fn a_log_out_by_one_is_one_for_the_other(both: &Neighbours) {
    for side in Side::BOTH {
        let mut visitor = both.visitor();
        visitor.json(side.other(), "/login?user=ann").await;
        let thief = visitor.clone();
        visitor.json(side, "/clear").await;
        assert!(!visitor.has_cookie());
        for side in Side::BOTH {
            assert_eq!(thief.clone().value(side, "user").await, None, "{side:?}");
        }
        assert_eq!(both.record(thief.sid()).await, None);
    }
}

pub(crate) async fn a_message_of_one_is_shown_by_the_other(both: &Neighbours) {
    for side in Side::BOTH {
        let mut visitor = both.visitor();
        visitor.json(side, "/set?k=a&v=x").await;
        visitor.json(side, "/flash?m=saved&c=info").await;
        visitor.json(side.other(), "/flash?m=twice").await;
        let shown = visitor.json(side.other(), "/flashes").await;
        assert_eq!(
            shown["messages"],
            json!([["info", "saved"], ["message", "twice"]])
        );
        let again = visitor.json(side, "/flashes").await;
        assert_eq!(again["messages"], json!([]));
    }
}

pub(crate) async fn a_renewal_by_one_is_followed_by_the_other(both: &Neighbours) {
    for side in Side::BOTH {
        let mut visitor = both.visitor();
        visitor.json(side.other(), "/set?k=a&v=x").await;
        let old = visitor.clone();
        let renewed = visitor.json(side, "/regenerate").await;
        assert_ne!(visitor.sid(), old.sid());
        assert_eq!(renewed["sid"], visitor.sid());
        assert_eq!(visitor.value(side.other(), "a").await, Some(json!("x")));
        visitor.json(side.other(), "/set?k=b&v=y").await;
        assert_eq!(visitor.value(side, "b").await, Some(json!("y")));
        for side in Side::BOTH {
            assert_eq!(old.clone().value(side, "a").await, None);
        }
    }
}

pub(crate) async fn a_late_change_here_revives_nothing_that_the_other_ended(both: &Neighbours) {
    for end in ["/clear", "/regenerate"] {
        // On a busy machine one request may be over before the other begins.
        for pause in [100, 400, 1600] {
            let mut visitor = both.visitor();
            visitor.json(Side::Flask, "/login?user=ann").await;
            let (mut late, mut old) = (visitor.clone(), visitor.clone());
            let ended = async {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                visitor.json(Side::Flask, end).await;
            };
            let slow = format!("/slow?ms={}&k=a&v=x", 4 * pause);
            let (answer, ()) = tokio::join!(late.get(Side::Actix, &slow), ended);
            assert_eq!(both.record(old.sid()).await, None, "{end}");
            assert_eq!(old.value(Side::Actix, "user").await, None, "{end}");
            if answer.status == 200 && pause < 1600 {
                continue;
            }
            assert_eq!(answer.status, 409, "{end}: {}", answer.text());
            assert!(answer.set_cookie().is_none(), "{end}");
            break;
        }
    }
}

pub(crate) async fn increments_here_are_all_kept(both: &Neighbours) {
    let mut visitor = both.visitor();
    visitor.json(Side::Flask, "/set?k=n&v=0&t=int").await;
    let clients = (0..4).map(|_| {
        let mut visitor = visitor.clone();
        async move {
            for _ in 0..25 {
                visitor.json(Side::Actix, "/incr?k=n").await;
            }
        }
    });
    join_all(clients).await;
    assert_eq!(visitor.value(Side::Flask, "n").await, Some(json!(100)));
}
