//! The admin port, for people: it answers, and changes nothing.
//!
//! Whoever reaches it can read the names of repositories and runs. So it listens on loopback, where Kubernetes' own access
//! rules on port-forward guard it; and what an operator wants changed goes through the API server, never through here.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use pac_concurrency::{KeyError, RepositoryKey, RunKey};
use pac_queue::shadow::ShadowReport;
use pac_queue::view::{Queues, WatcherView};
use serde::Deserialize;

use super::page;
use crate::queue::QueueQuery;

#[derive(Deserialize)]
struct WhichRepository {
    repository: Option<String>,
}

#[derive(Deserialize)]
struct OneRepository {
    repository: String,
}

#[derive(Deserialize)]
struct WhichRun {
    run: String,
}

pub(super) fn routes(query: QueueQuery, shadow: Option<Arc<dyn Fn() -> ShadowReport + Send + Sync>>) -> Router {
    let report = || async move {
        let not = || (StatusCode::NOT_FOUND, "nothing is measured here: the watcher is not in shadow mode\n");
        shadow.map(|shadow| Json(shadow())).ok_or_else(not)
    };
    let routes = answers().into_iter().fold(page::routes(), |routes, (path, answer)| routes.route(path, answer));
    routes.route(SHADOW, get(report)).with_state(query)
}

const SHADOW: &str = "/debug/shadow";
/// What each path answers, for machines; kept by hand, and compared with the answers by crates/pac/tests/openapi.rs.
const DESCRIPTION: &str = include_str!("openapi.yaml");

/// Each path but shadow mode's and the page's, and who answers there.
fn answers() -> [(&'static str, MethodRouter<QueueQuery>); 6] {
    [
        ("/debug/queue", get(queue)),
        ("/debug/queue/plot", get(plot)),
        ("/debug/queue/times", get(times)),
        ("/debug/queue/summary", get(|State(query): State<QueueQuery>| async move { Json(query.overview(|_| true)) })),
        ("/debug/queue/explain", get(explain)),
        ("/openapi.yaml", get(|| async { ([(CONTENT_TYPE, "application/yaml")], DESCRIPTION) })),
    ]
}

async fn plot(State(query): State<QueueQuery>, Query(which): Query<WhichRepository>) -> Response {
    match which.repository.map(|repository| repository.parse()).transpose() {
        Ok(repository) => Json(query.plot.view(repository.as_ref())).into_response(),
        Err(error) => unusable(&error),
    }
}

async fn queue(State(query): State<QueueQuery>, Query(which): Query<WhichRepository>) -> Response {
    let Some(repository) = which.repository else { return Json(query.queues(|_| true).await).into_response() };
    let key: RepositoryKey = match repository.parse() {
        Ok(key) => key,
        Err(error) => return unusable(&error),
    };
    match query.queue(&key).await {
        Some(queue) => Json(Queues { watcher: query.watcher(), repositories: vec![queue] }).into_response(),
        None => (StatusCode::NOT_FOUND, format!("{}\n", unknown(&key, &query.watcher()))).into_response(),
    }
}

async fn times(State(query): State<QueueQuery>, Query(which): Query<OneRepository>) -> Response {
    let key: RepositoryKey = match which.repository.parse() {
        Ok(key) => key,
        Err(error) => return unusable(&error),
    };
    match query.times(&key).await {
        Some(times) => Json(times).into_response(),
        None => (StatusCode::NOT_FOUND, format!("{}\n", unknown(&key, &query.watcher()))).into_response(),
    }
}

fn unknown(key: &RepositoryKey, watcher: &WatcherView) -> String {
    let why = match watcher.system.as_str() {
        "off" => ": the concurrency system is switched off, and the cluster isn't watched",
        "starting" => " yet: the watcher is not at work",
        _ => ": there is no such object, and no PipelineRun names it",
    };
    format!("nothing is known of Repository {key}{why}")
}

async fn explain(State(query): State<QueueQuery>, Query(which): Query<WhichRun>) -> Response {
    // Any uid will do: only whether the name can be one is asked.
    match RunKey::parse(&which.run, "0") {
        Ok(run) => Json(query.explain(run.namespace(), run.name()).await).into_response(),
        Err(error) => unusable(&error),
    }
}

fn unusable(error: &KeyError) -> Response {
    (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_path_is_described() {
        let described = DESCRIPTION.lines().filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':'));
        let described: BTreeSet<String> = described.map(|path| format!("/{path}")).collect();
        let answered = answers().into_iter().map(|(path, _)| path).chain([SHADOW]).map(str::to_owned).collect();
        assert_eq!(described, answered);
    }
}
