//! A recorder that is installed after the sessions were built and used. It is that of the whole process,
//! so this test is alone.

use metrics_exporter_prometheus::PrometheusBuilder;
use session_core::{METRIC_BUCKETS, Sessions};

#[tokio::test]
async fn a_recorder_that_comes_late_is_told_what_happens_from_then_on() {
    let sessions = Sessions::in_memory();
    sessions.check_store().await.expect("it is in memory");
    let cookie = sessions.cookie_of(|it| it.log_in("ada")).await;
    let cookie = cookie.expect("it is stored");

    let builder = PrometheusBuilder::new();
    let builder = builder
        .set_buckets(&METRIC_BUCKETS)
        .expect("there are some");
    let told = builder.install_recorder().expect("it is the first");
    sessions.check_store().await.expect("it is in memory");

    let count = |series: &str| {
        let text = told.render();
        let line = text.lines().find(|it| it.starts_with(series));
        let value = line.and_then(|it| it.rsplit_once(' '));
        value.map(|(_, value)| value.parse::<u64>().expect("a count"))
    };
    let calls = |operation: &str, outcome: &str| {
        let name = "session_store_operation_duration_count";
        count(&format!(
            "{name}{{operation=\"{operation}\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!(calls("check", "done"), Some(1), "{}", told.render());
    // What was before is lost, and what has not happened yet is there.
    assert_eq!(calls("insert", "stored"), None);
    assert_eq!(count("session_request_count{outcome=\"done\"}"), Some(0));
    assert_eq!(
        count("session_security_event_count{event=\"log_out\"}"),
        Some(0)
    );

    let request = sessions.begin_request();
    let session = request.session(&mut [cookie.as_bytes()].into_iter()).await;
    assert_eq!(
        session.expect("it is in memory").owner().as_deref(),
        Some("ada")
    );
    let _headers = request.finish();
    assert_eq!(calls("load", "found"), Some(1));
    assert_eq!(count("session_request_count{outcome=\"done\"}"), Some(1));
    assert_eq!(count("session_store_operation_active"), Some(0));
}
