//! `/live` and `/ready`.
//!
//! Live says that the process answers: a restart mends nothing that is wrong elsewhere (P8). Ready says that runs are being admitted,
//! or would be if this watcher led; when not, the body says why. Trouble that keeps nobody waiting, such as new settings that can't be
//! used, or changes that are looked for instead of heard of, is in the body, too.
//!
//! A watcher that serves the gate's webhook is behind a Service, which leads to those that are ready. There ready says that it can
//! answer: once it could admit, whatever is wrong later, with the store for example, doesn't keep the API server from asking it. The
//! gate itself doesn't count: it is tried by asking the webhook.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use pac_concurrency::News;
use pac_state::active_store::ActiveStore;
use pac_state::health::{Health, Part};

/// Whether the webhook of this watcher can answer.
pub type Answers = Arc<dyn Fn() -> bool + Send + Sync>;

#[derive(Clone)]
struct Probed {
    health: Arc<Health>,
    active_store: Arc<ActiveStore>,
    webhook: Option<ServedReadiness>,
}

/// What ready means where a webhook is served.
#[derive(Clone)]
struct ServedReadiness {
    answers: Answers,
    /// Whether this watcher could admit once.
    was_ready: Arc<AtomicBool>,
}

// === impl ServedReadiness ===

impl ServedReadiness {
    fn is_ready(&self, health: &Health) -> bool {
        let was_ready = self.was_ready.fetch_or(health.is_ready_but_for(Part::Gate), Ordering::Relaxed);
        (self.answers)() && (was_ready || self.was_ready.load(Ordering::Relaxed))
    }
}

pub(super) fn routes(health: Arc<Health>, active_store: Arc<ActiveStore>, webhook: Option<Answers>) -> Router {
    let webhook = webhook.map(|answers| ServedReadiness { answers, was_ready: Arc::default() });
    let probed = Probed { health, active_store, webhook };
    Router::new().route("/live", get(|| async { "ok\n" })).route("/ready", get(ready)).with_state(probed)
}

async fn ready(State(Probed { health, active_store, webhook }): State<Probed>) -> (StatusCode, String) {
    let (is_ready, first) = match &webhook {
        None => (health.is_ready(), "ok"),
        Some(webhook) if health.is_ready() => (webhook.is_ready(&health), "ok"),
        Some(webhook) => (webhook.is_ready(&health), "the webhook answers"),
    };
    let (status, first) = match is_ready {
        true => (StatusCode::OK, Some(first)),
        false if health.is_ready() => (StatusCode::SERVICE_UNAVAILABLE, Some("webhook: it has no certificate yet")),
        false => (StatusCode::SERVICE_UNAVAILABLE, None),
    };
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
