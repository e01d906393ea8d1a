//! `/live` and `/ready`.
//!
//! Live says that the process answers: nothing that is wrong elsewhere is mended by a restart (P8). Ready says that runs
//! are being admitted, or would be if this watcher led; when not, the body says why.

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
    let problems = health.problems_text();
    if problems.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n")
    }
}
