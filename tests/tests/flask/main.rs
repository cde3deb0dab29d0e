//! A real Flask application and some of this library, with one store and one cookie.
//!
//! All are `examples/flask-neighbour`: `app.py` with Flask and Flask-Session from `PyPI`, and the
//! programs of that package, one with Actix Web and one with axum.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alike;
mod crossing;
mod flask_login;
mod golden;
mod interleaved;
mod lifetimes;
mod monitor;
mod neighbours;
mod quoted;
#[path = "../site/mod.rs"]
mod site;
mod starts;
mod store;
mod switching;
mod together;
mod values;

use neighbours::Neighbours;
use store::Store;

/// Every promise, to two applications that were started once.
async fn keeps_every_promise(store: Store, settings: &[(&'static str, &'static str)]) {
    let both = Neighbours::on(store, settings).await;
    alike::every_answer(&both).await;
    values::every_type_set_by_one_is_read_by_the_other(&both).await;
    golden::every_value_that_flask_writes_is_read_and_kept(&both).await;
    crossing::a_login_by_one_is_a_login_at_the_other(&both).await;
    crossing::a_log_out_by_one_is_one_for_the_other(&both).await;
    crossing::a_message_of_one_is_shown_by_the_other(&both).await;
    crossing::a_renewal_by_one_is_followed_by_the_other(&both).await;
    crossing::increments_here_are_all_kept(&both).await;
    crossing::a_late_change_here_revives_nothing_that_the_other_ended(&both).await;
    lifetimes::an_untouched_session_has_its_expiry_moved_and_nothing_else(&both).await;
    lifetimes::what_cannot_be_read_is_no_session(&both).await;
}

const SIGNED: [(&str, &str); 2] = [("USE_SIGNER", "1"), ("SECRET_KEY", "dev")];
const JSON: (&str, &str) = ("FORMAT", "json");

macro_rules! on_stores {
    ($($name:ident $store:ident),+ $(,)?) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            async fn unsigned_msgpack() {
                keeps_every_promise(Store::$store, &[]).await;
            }

            #[tokio::test]
            async fn signed_msgpack() {
                keeps_every_promise(Store::$store, &SIGNED).await;
            }

            #[tokio::test]
            async fn unsigned_json() {
                keeps_every_promise(Store::$store, &[JSON]).await;
            }

            #[tokio::test]
            async fn signed_json() {
                keeps_every_promise(Store::$store, &[SIGNED[0], SIGNED[1], JSON]).await;
            }

            #[tokio::test]
            async fn three_frameworks() {
                together::live(Store::$store).await;
            }
        })+
    };
}

on_stores! {
    redis Redis, memcached Memcached, sqlite Sqlite, postgres Postgres, mariadb MariaDb, mongodb Mongo,
}

/// cachelib's files are JSON, whatever `FORMAT` says.
mod cachelib {
    use super::*;

    #[tokio::test]
    async fn unsigned_json() {
        keeps_every_promise(Store::Cachelib, &[JSON]).await;
    }

    #[tokio::test]
    async fn signed_json() {
        keeps_every_promise(Store::Cachelib, &SIGNED).await;
    }

    #[tokio::test]
    async fn three_frameworks() {
        together::live(Store::Cachelib).await;
    }
}
