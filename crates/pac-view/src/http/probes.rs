//! `/live` and `/ready`.
//!
//! Live says that the process answers: a restart mends nothing that is wrong elsewhere (P8). Ready says that runs are being admitted,
//! or would be if this watcher led; when not, the body says why. Trouble that keeps nobody waiting, such as new settings that can't be
//! used, or changes that are looked for instead of heard of, is in the body, too.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use pac_concurrency::News;
use pac_state::active_store::ActiveStore;
use pac_state::health::Health;

#[derive(Clone)]
struct Probed {
    health: Arc<Health>,
    active_store: Arc<ActiveStore>,
}

pub(super) fn routes(health: Arc<Health>, active_store: Arc<ActiveStore>) -> Router {
    let probed = Probed { health, active_store };
    Router::new().route("/live", get(|| async { "ok\n" })).route("/ready", get(ready)).with_state(probed)
}

async fn ready(State(Probed { health, active_store }): State<Probed>) -> (StatusCode, String) {
    let (status, first) =
        if health.is_ready() { (StatusCode::OK, Some("ok")) } else { (StatusCode::SERVICE_UNAVAILABLE, None) };
    let news = active_store.manager().and_then(|manager| manager.condition().news);
    let unheard = match news {
        Some(News::LookedFor { why }) => {
            Some(format!("changes by other watchers: looked for, because there is no connection to listen on: {why}"))
        }
        Some(News::Heard) | None => None,
    };
    let lines = first.map(str::to_owned).into_iter().chain(health.problems_text()).chain(unheard);
    (status, lines.map(|line| line + "\n").collect())
}
