//! Reading one run from the API server itself, where the watch's word is not enough.

use kube::Client;
use kube::api::Api;
use pac_concurrency::{RepositoryKey, RunKey};

use crate::api::PipelineRun;
use crate::convert;
use crate::error::with_causes;
use crate::index::Confirmed;
use crate::patch::REQUEST_DEADLINE;

/// What became of `run` of `repository`, or why that can't be told.
pub async fn confirm(client: &Client, repository: &RepositoryKey, run: &RunKey) -> Result<Confirmed, String> {
    let runs: Api<PipelineRun> = Api::namespaced(client.clone(), run.namespace());
    let read = tokio::time::timeout(REQUEST_DEADLINE, runs.get_opt(run.name())).await;
    let found = read
        .map_err(|_| format!("no answer within {} s", REQUEST_DEADLINE.as_secs()))?
        .map_err(|error| with_causes(&error))?;
    let gone = Ok(Confirmed::Gone(run.clone()));
    let Some(found) = found else { return gone };
    if found.metadata.uid.as_deref() != Some(run.uid()) {
        return gone;
    }
    match convert::run_view(&found) {
        Ok(view) if view.repository == *repository => Ok(Confirmed::Is(view)),
        // It belongs to another repository now, or to none: nothing of it is this one's.
        Ok(_) | Err(_) => gone,
    }
}
