//! One look at the cluster, for commands.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use pac_concurrency::RepositoryKey;
use pac_state::health::Health;
use pac_state::index::Index;
use pac_state::work_queue::WorkQueue;
use tokio::sync::watch;

use crate::watch::{Sink, watch_runs};

/// How long the full list may take.
const LISTED_WITHIN: Duration = Duration::from_secs(60);

/// Every PipelineRun that isn't history, as of now. An error says why the cluster could not tell.
pub async fn list_once(client: Client, global_repository: RepositoryKey) -> Result<Arc<Index>, String> {
    let sink = Sink {
        index: Arc::new(Index::new(global_repository)),
        queue: Arc::new(WorkQueue::default()),
        health: Arc::new(Health::default()),
        beside_pac: None,
        observer: None,
        traces: None,
    };
    let (synced, mut listed) = watch::channel(false);
    let complete = tokio::select! {
        () = watch_runs(client, sink.clone(), synced) => false,
        complete = tokio::time::timeout(LISTED_WITHIN, listed.wait_for(|listed| *listed)) => complete.is_ok(),
    };
    if complete {
        Ok(sink.index)
    } else {
        Err(format!(
            "no list of PipelineRuns within {} s: {}",
            LISTED_WITHIN.as_secs(),
            sink.health.problems_text().join("; ")
        ))
    }
}
