//! `queue pause`, `resume` and `release`: what an operator decides is written onto the Kubernetes object it is about.
//!
//! So the API server says whether this user may, and keeps who did; it survives every watcher and every store; and the
//! admin port, which anybody reaches who may port-forward, changes nothing.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, TestOperation};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use pac_concurrency::RepositoryKey;
use pac_watcher::api::labels::{PAUSED, PAUSED_UNTIL, RELEASED, RELEASED_REASON, RESUMED};
use pac_watcher::api::{PipelineRun, Repository};
use pac_watcher::convert::{self, Phase};
use serde_json::{Value, json};

use super::Failure;
use super::admin::{client, explain};
use super::times::time;
use crate::cli::queue::{Queue, RunName};

pub(super) async fn pause(
    queue: &Queue,
    repository: &RepositoryKey,
    reason: &str,
    lasts: Option<SignedDuration>,
) -> Result<(), Failure> {
    let until = lasts.map(|lasts| Timestamp::now() + lasts);
    let until_text = until.map(|until| until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    annotate(queue, repository, json!({PAUSED: reason, PAUSED_UNTIL: until_text, RESUMED: null})).await?;
    let until = until.map_or_else(|| "until it is resumed".to_owned(), |until| format!("until {}", time(until)));
    println!("paused {repository} {until}: none of its runs is admitted, those that run go on");
    Ok(())
}

pub(super) async fn resume(queue: &Queue, repository: &RepositoryKey, reason: &str) -> Result<(), Failure> {
    let client = client(&queue.reach).await?;
    let found = find_repository(client, repository).await?;
    if convert::pause(&found.metadata).is_none() {
        return Err(Failure::Refused(format!("{repository} is not paused")));
    }
    annotate(queue, repository, json!({PAUSED: null, PAUSED_UNTIL: null, RESUMED: reason})).await?;
    println!("resumed {repository}");
    Ok(())
}

async fn find_repository(client: Client, repository: &RepositoryKey) -> Result<Repository, Failure> {
    let repositories: Api<Repository> = Api::namespaced(client, repository.namespace());
    let found = repositories.get_opt(repository.name()).await.map_err(|error| explain(&error))?;
    found.ok_or_else(|| Failure::Missing(format!("there is no Repository {repository}")))
}

async fn annotate(queue: &Queue, repository: &RepositoryKey, annotations: Value) -> Result<(), Failure> {
    let repositories: Api<Repository> = Api::namespaced(client(&queue.reach).await?, repository.namespace());
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    match repositories.patch_metadata(repository.name(), &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            Err(Failure::Missing(format!("there is no Repository {repository}")))
        }
        Err(error) => Err(explain(&error)),
    }
}

pub(super) async fn release(queue: &Queue, run: &RunName, reason: &str, force: bool) -> Result<(), Failure> {
    let path = run.path();
    let runs: Api<PipelineRun> = Api::namespaced(client(&queue.reach).await?, &run.namespace);
    let found = runs.get_opt(&run.name).await.map_err(|error| explain(&error))?;
    let found = found.ok_or_else(|| {
        Failure::Missing(format!("there is no PipelineRun {path}: if it had a slot, that is freed without your help"))
    })?;
    let view = convert::run_view(&found, None).map_err(|error| Failure::Refused(format!("{path}: {error}")))?;
    may_release(&path, view.phase, force)?;
    match runs.patch_metadata(&run.name, &PatchParams::default(), &mark_released(view.key.uid(), reason)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 422 => {
            return Err(Failure::Refused(format!("{path} was changed meanwhile; look at it again")));
        }
        Err(error) => return Err(explain(&error)),
    }
    println!("released {path}: it counts no more, and the next run is admitted in its place, though it may still run");
    Ok(())
}

/// Whether taking the slot of a run in this phase is what anybody wants.
fn may_release(path: &str, phase: Phase, force: bool) -> Result<(), Failure> {
    let nothing = |why: &str| Err(Failure::Refused(format!("{path} {why}")));
    match phase {
        Phase::Running if force => Ok(()),
        Phase::Running => nothing(
            "still runs. Cancel it, and its slot is freed when it ends; with --force its slot is taken although it runs, \
             and more than the limit may run from then on",
        ),
        Phase::Released => nothing("was released before"),
        Phase::Done(_) => nothing("is done: its slot is freed without your help"),
        Phase::Withdrawn => nothing("was cancelled or is being deleted: its place is freed without your help"),
        Phase::Arriving | Phase::Waiting => {
            nothing("has not started, and has no slot to take. To take it out of the queue, cancel or delete it")
        }
    }
}

/// Onto this very run and no other of its name.
fn mark_released(uid: &str, reason: &str) -> Patch<()> {
    let pointer = |tokens: &[&str]| PointerBuf::from_tokens(tokens.iter().copied());
    let annotation = |key: &str, value: &str| {
        let path = pointer(&["metadata", "annotations", key]);
        PatchOperation::Add(AddOperation { path, value: value.into() })
    };
    Patch::Json(json_patch::Patch(vec![
        PatchOperation::Test(TestOperation { path: pointer(&["metadata", "uid"]), value: uid.into() }),
        annotation(RELEASED, uid),
        annotation(RELEASED_REASON, reason),
    ]))
}

#[cfg(test)]
mod tests {
    use pac_watcher::convert::FinalState;

    use super::*;

    #[test]
    fn only_a_run_that_runs_is_released_and_only_by_force() {
        assert!(may_release("ns/run", Phase::Running, true).is_ok());
        let Err(Failure::Refused(why)) = may_release("ns/run", Phase::Running, false) else { panic!() };
        assert!(why.contains("--force"), "{why}");
        let others =
            [Phase::Arriving, Phase::Waiting, Phase::Withdrawn, Phase::Released, Phase::Done(FinalState::Failed)];
        for phase in others {
            assert!(matches!(may_release("ns/run", phase, true), Err(Failure::Refused(_))), "{phase:?}");
        }
    }
}
