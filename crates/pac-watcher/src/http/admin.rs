//! `/debug/queue`: every repository as this watcher sees the cluster, as JSON.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::index::Index;

#[derive(Serialize)]
struct RepositoryQueue {
    /// `namespace/name`.
    repository: String,
    /// A number, `unlimited`, or `held` while its Repository is missing or can't be read.
    limit: String,
    /// Runs that run.
    running: Vec<String>,
    /// Runs that are pending, in order.
    waiting: Vec<String>,
}

pub(super) fn routes(index: Arc<Index>) -> Router {
    Router::new().route("/debug/queue", get(queue)).with_state(index)
}

async fn queue(State(index): State<Arc<Index>>) -> Json<Vec<RepositoryQueue>> {
    let mut repositories = index.repositories();
    repositories.sort();
    let queues = repositories.iter().map(|key| {
        let (waiting, running) = index.with(key, |state| state.names());
        RepositoryQueue { repository: key.to_string(), limit: index.limit(key).to_string(), running, waiting }
    });
    Json(queues.collect())
}
