//! What operators ask: metrics, and whether the store can be used.

use actix_server_sessions::session_core::{METRIC_BUCKETS, Sessions};
use actix_web::{
    HttpResponse,
    web::{self, Data, ServiceConfig},
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Collects the metrics of this process from here on. Before the sessions are built, which begin each
/// counter at 0.
pub(crate) fn collect() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("duration".into()), &METRIC_BUCKETS)?
        .install_recorder()
}

/// A real site keeps these from the public, such as on a port of their own.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .route("/metrics", web::get().to(metrics))
        .route("/health", web::get().to(health));
}

async fn metrics(handle: Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4")
        .body(handle.render())
}

/// 200 if the store can be used, otherwise 503 and why.
async fn health(sessions: Data<Sessions>) -> HttpResponse {
    match sessions.check_store().await {
        Ok(took) => HttpResponse::Ok().body(format!("the store answered in {took:?}\n")),
        Err(error) => {
            let reason = std::error::Error::source(&error);
            let reason = reason.map_or_else(|| error.to_string(), |it| format!("{error}: {it}"));
            HttpResponse::ServiceUnavailable().body(format!("{reason}\n"))
        }
    }
}
