//! Connections to the backend, and the calls that wait for one.

use std::time::Duration;

use reqwest::Method;
use session_tests::Postgres;

use crate::{
    page::Page,
    site::{Backend, Demo},
};

const CONNECTIONS: &str = "session_store_connection_count";
const ACTIVE: &str = "session_store_operation_active";
pub(crate) const PENDING: &str = "session_store_connection_pending_requests";

/// More visitors at once than there are connections, and a database that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_wait_for_a_connection_are_counted() {
    let postgres = Postgres::start().await;
    let demo = Demo::with(Backend::Postgres.at(&postgres.url()), &[]).await;
    let ada = demo.logged_in("ada").await;
    let told = async || Page::of(&ada).await;
    let before = told().await;
    let open = before.sum(CONNECTIONS, &[]);
    let most = before.sum("session_store_connection_max", &[]);
    assert!(open >= 1.0 && open <= most, "{before:?}");
    assert!(before.sum(ACTIVE, &[]).abs() < 0.5, "{before:?}");
    assert!(before.sum(PENDING, &[]).abs() < 0.5, "{before:?}");

    // Connections are counted once a second at most.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    postgres.freeze();
    // So many that some wait, whatever the pool's size is.
    let visits = (0..300).map(|_| {
        let ada = ada.clone();
        tokio::spawn(async move { ada.send(Method::GET, "/whoami", String::new()).await.status })
    });
    let visits: Vec<_> = visits.collect();
    let (mut active, mut pending) = (0.0_f64, 0.0_f64);
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = told().await;
        active = active.max(now.sum(ACTIVE, &[]));
        pending = pending.max(now.sum(PENDING, &[]));
    }
    for visit in visits {
        assert_eq!(visit.await.unwrap(), 503);
    }
    postgres.thaw();
    assert!(
        active > most,
        "{active} calls were under way, {most} can be"
    );
    assert!(pending > 0.0, "no call waited");
    let mut healthy = false;
    for _ in 0..10 {
        ada.send(Method::GET, "/health", String::new()).await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let health = ada.send(Method::GET, "/health", String::new()).await;
        healthy = health.status == 200;
        if healthy {
            break;
        }
    }
    assert!(healthy, "the database answers again");
    let now = told().await;
    assert!(now.sum(ACTIVE, &[]).abs() < 0.5, "{now:?}");
    assert!(now.sum(PENDING, &[]).abs() < 0.5, "{now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_store_that_knows_its_connections_tells_them() {
    for backend in [
        Backend::Redis,
        Backend::Mongo,
        Backend::Sqlite,
        Backend::MariaDb,
    ] {
        let demo = Demo::on(backend).await;
        let ada = demo.logged_in("ada").await;
        let told = Page::of(&ada).await;
        let names = told.names().filter(|it| it.starts_with(CONNECTIONS));
        assert!(names.count() > 0, "{backend:?}: {told:?}");
        if backend == Backend::Redis {
            assert!(told.sum(CONNECTIONS, &[]) >= 1.0, "{told:?}");
        }
    }
}
