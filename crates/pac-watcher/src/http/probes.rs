//! `/live` and `/ready`.
//!
//! Live says that the process answers: nothing that is wrong elsewhere is mended by a restart (P8). Ready says that runs
//! are being admitted, or would be if this watcher led; when not, the body says why. What is wrong and keeps nobody waiting,
//! such as new settings that can't be used, is in the body, too.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::health::Health;

pub(super) fn routes(health: Arc<Health>) -> Router {
    Router::new().route("/live", get(|| async { "ok\n" })).route("/ready", get(ready)).with_state(health)
}

async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    let (status, first) =
        if health.is_ready() { (StatusCode::OK, Some("ok")) } else { (StatusCode::SERVICE_UNAVAILABLE, None) };
    let lines = first.map(str::to_owned).into_iter().chain(health.problems_text());
    (status, lines.map(|line| line + "\n").collect())
}
