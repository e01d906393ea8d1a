//! The only writer of PipelineRuns and Repositories.
//!
//! The patches onto runs test before they change: that this is the very run that was meant, and, to start it, that it is still
//! pending and not being deleted, and that whoever held it still does. So a start never overwrites a wish of a user's (P2), and
//! two watchers that start the same run start it once. `try_order` alone is made like Pipelines-as-Code's own patch, and
//! changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use pac_concurrency::protocol::REQUEST_DEADLINE;
use pac_concurrency::{RepositoryKey, RunKey};
use serde_json::{Value, json};

use crate::api::labels::{EXECUTION_ORDER, EXECUTION_ORDER_KEPT, HANDED_BACK, HANDED_OVER, QUEUE_NAME, STARTED, STATE};
use crate::api::{PipelineRun, Repository};
use crate::convert::FinalState;
use crate::decision::Decision;
use crate::error::{answered, with_causes};
use crate::hold::WAITING_QUEUE;
use crate::notice::{NOTICE, Notice};

/// How long what nobody waits for, Events and final states, is kept back: when many slots become free in one moment, the API
/// server has the starts to do first.
pub const STARTS_FIRST: Duration = Duration::from_millis(200);

/// In what way a run that has its slot is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartBy<'a> {
    /// By us: Tekton begins with what isn't pending.
    Clearing,
    /// By Kueue, from this LocalQueue.
    HandingOver(&'a str),
    /// By PAC's own queue: it gets the run, alone, under PAC's name of the order.
    HandingBack,
}

/// What a start came to.
#[derive(Debug)]
pub enum StartOutcome {
    /// The run goes.
    Started,
    /// It can't be started as it is, in the API server's words: look at it.
    LookAgain(String),
    /// The API server would not: with its reason.
    Refused(String),
    /// It was answered like this, and may have been started all the same: look at it.
    Failed(String),
    /// There was no answer, for this reason; it may have been started, or not: look at it.
    Unknown(String),
}

/// What came of writing, or taking away, what a run says of its wait.
#[derive(Debug)]
pub enum NoticeOutcome {
    /// It says so now.
    Done,
    /// It has been started, cancelled or deleted meanwhile: nothing was written.
    Past,
    /// The API server has no time for it, or said nothing.
    Short(String),
    /// The API server would not, or something it asks.
    Refused(String),
}

/// The patch that has `run` go in this way, if it is still there and pending.
pub fn start_patch(run: &RunKey, way: StartBy<'_>) -> json_patch::Patch {
    let mut patch = vec![
        test(&["metadata", "uid"], run.uid()),
        // A path that isn't there equals null to the API server. Without this a start on its way would reach a run that is
        // being deleted, and whose slot may have been given to another meanwhile.
        test(&["metadata", "deletionTimestamp"], Value::Null),
        test(&["spec", "status"], "PipelineRunPending"),
    ];
    let started = [add(&["metadata", "labels", STATE], STARTED), add(&["metadata", "annotations", STATE], STARTED)];
    match way {
        StartBy::Clearing => {
            patch.extend(started);
            patch.push(test(&["metadata", "labels", QUEUE_NAME], Value::Null));
            patch.push(PatchOperation::Remove(RemoveOperation { path: pointer(&["spec", "status"]) }));
        }
        StartBy::HandingOver(queue) => {
            patch.extend(started);
            patch.push(test(&["metadata", "labels", QUEUE_NAME], WAITING_QUEUE));
            patch.push(add(&["metadata", "labels", QUEUE_NAME], queue));
            patch.push(add(&["metadata", "annotations", HANDED_OVER], run.uid()));
        }
        StartBy::HandingBack => {
            let now = Timestamp::now().to_string();
            patch.push(test(&["metadata", "labels", QUEUE_NAME], Value::Null));
            patch.push(add(&["metadata", "annotations", EXECUTION_ORDER], run.path()));
            patch.push(add(&["metadata", "annotations", HANDED_BACK], &now));
            patch.push(add(&["metadata", "annotations", HANDED_OVER], run.uid()));
        }
    }
    patch.extend(no_notice());
    json_patch::Patch(patch)
}

/// Has `run` go in this way, if it is still there and pending.
pub async fn start(client: &Client, run: &RunKey, way: StartBy<'_>) -> StartOutcome {
    let patch = start_patch(run, way);
    match send(client, run, patch).await {
        Ok(()) => StartOutcome::Started,
        Err(Failure::Answer(status)) => match status.code {
            // A failed test is 422, and so may be other things; a missing run is 404. What it is, a read tells.
            404 | 422 => StartOutcome::LookAgain(answered(&status)),
            403 if is_for_want_of_a_right(&status.message) => StartOutcome::Failed(answered(&status)),
            400 | 403 | 405 | 406 | 413 | 415 => StartOutcome::Refused(status.message.clone()),
            // Not this run's fault (409: others wrote it just then), or nobody knows whether it took effect.
            _ => StartOutcome::Failed(answered(&status)),
        },
        Err(Failure::NoAnswer(why)) => StartOutcome::Unknown(why),
    }
}

/// Whether these are the API server's words for who has no right to patch, which is no run's own trouble: each of the namespace is
/// answered so, and for one to two seconds after the server's start everybody is, since it has yet to read the roles. What admission
/// forbids is said in other words.
fn is_for_want_of_a_right(message: &str) -> bool {
    message.contains(" cannot patch resource \"pipelineruns\"")
}

/// Writes onto a run that is done how it ended. Nothing depends on it: a failure is tried again by the next pass.
pub async fn mark_done(client: &Client, run: &RunKey, state: FinalState) -> Result<(), String> {
    let mut patch = vec![
        test(&["metadata", "uid"], run.uid()),
        add(&["metadata", "labels", STATE], state.as_state()),
        add(&["metadata", "annotations", STATE], state.as_state()),
    ];
    patch.extend(no_notice());
    match send(client, run, json_patch::Patch(patch)).await {
        Ok(()) => Ok(()),
        // Gone, or another run by now.
        Err(Failure::Answer(status)) if matches!(status.code, 404 | 422) => Ok(()),
        Err(Failure::Answer(status)) => Err(answered(&status)),
        Err(Failure::NoAnswer(why)) => Err(why),
    }
}

/// Has `run` say this of its wait, if it still waits. What else it says stays, and a start that was sent meanwhile goes before.
pub async fn put_notice(client: &Client, run: &RunKey, notice: &Notice) -> NoticeOutcome {
    let mut patch = vec![
        test(&["metadata", "uid"], run.uid()),
        test(&["metadata", "deletionTimestamp"], Value::Null),
        test(&["spec", "status"], "PipelineRunPending"),
        // Who was handed over stays pending until it is started, and waits for us no more.
        test(&["metadata", "annotations", HANDED_OVER], Value::Null),
    ];
    for (annotation, value) in NOTICE.into_iter().zip(notice.values()) {
        match value {
            Some(value) => patch.push(add(&["metadata", "annotations", annotation], &value)),
            None => patch.extend(without(annotation)),
        }
    }
    notice_outcome(send(client, run, json_patch::Patch(patch)).await)
}

/// Has `run` say nothing of its wait any more, whatever became of it.
pub async fn take_notice(client: &Client, run: &RunKey) -> NoticeOutcome {
    let patch = std::iter::once(test(&["metadata", "uid"], run.uid())).chain(no_notice()).collect();
    notice_outcome(send(client, run, json_patch::Patch(patch)).await)
}

fn notice_outcome(sent: Result<(), Failure>) -> NoticeOutcome {
    match sent {
        Ok(()) => NoticeOutcome::Done,
        Err(Failure::NoAnswer(why)) => NoticeOutcome::Short(why),
        Err(Failure::Answer(status)) => match status.code {
            // 409: others wrote it just then.
            404 | 409 | 422 => NoticeOutcome::Past,
            408 | 429 | 503 | 504 => NoticeOutcome::Short(answered(&status)),
            _ => NoticeOutcome::Refused(answered(&status)),
        },
    }
}

/// Writes what an operator decides onto `repository`; the metadata that it has then, or would have.
pub async fn decide(
    client: &Client,
    repository: &RepositoryKey,
    decision: &Decision<'_>,
    dry_run: bool,
) -> kube::Result<ObjectMeta> {
    let repositories: Api<Repository> = Api::namespaced(client.clone(), repository.namespace());
    let patch = Patch::Merge(json!({"metadata": {"annotations": decision.annotations()}}));
    let parameters = PatchParams { dry_run, ..PatchParams::default() };
    repositories.patch_metadata(repository.name(), &parameters, &patch).await.map(|written| written.metadata)
}

/// Has `run`, this very one and no other of its name, count no more, in an operator's name.
pub async fn release(client: &Client, run: &RunKey, reason: &str, dry_run: bool) -> kube::Result<ObjectMeta> {
    let runs: Api<PipelineRun> = Api::namespaced(client.clone(), run.namespace());
    let written = Decision::Released { run, reason }.annotations().into_iter();
    let written = written.filter_map(|(name, text)| Some(add(&["metadata", "annotations", name], &text?)));
    let patch = [test(&["metadata", "uid"], run.uid())].into_iter().chain(written).collect();
    let parameters = PatchParams { dry_run, ..PatchParams::default() };
    let patch = Patch::Json::<()>(json_patch::Patch(patch));
    runs.patch_metadata(run.name(), &parameters, &patch).await.map(|written| written.metadata)
}

/// What the API server would make of Pipelines-as-Code's writing `order` onto `run`: the annotations the run would have then. A dry
/// run, by the same kind of patch as PAC's: nothing is written.
///
/// # Errors
///
/// What it answers; none if it doesn't answer.
pub(crate) async fn try_order(client: &Client, run: &RunKey, order: &str) -> Result<BTreeMap<String, String>, Failure> {
    let runs: Api<PipelineRun> = Api::namespaced(client.clone(), run.namespace());
    let parameters = PatchParams { dry_run: true, ..PatchParams::default() };
    let patch = Patch::Merge(json!({"metadata": {"annotations": {EXECUTION_ORDER: order}}}));
    let tried = answer_to(runs.patch_metadata(run.name(), &parameters, &patch)).await?;
    Ok(tried.metadata.annotations.unwrap_or_default())
}

/// Hands `run` back to the queue of Pipelines-as-Code's own, with this order: the gate lets a write through that says so. `kept` is
/// the order that was kept from that queue, if there is one: if another came meanwhile, nothing is written.
///
/// # Errors
///
/// What was answered, or why there was no answer; 422 and 404 mean that the run is another one than it was.
pub(crate) async fn hand_back(client: &Client, run: &RunKey, order: &str, kept: Option<&str>) -> Result<(), Failure> {
    let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let mut operations = vec![
        test(&["metadata", "uid"], run.uid()),
        add(&["metadata", "annotations", EXECUTION_ORDER], order),
        add(&["metadata", "annotations", HANDED_BACK], &at),
    ];
    if let Some(kept) = kept {
        let path = ["metadata", "annotations", EXECUTION_ORDER_KEPT];
        operations.push(test(&path, kept));
        operations.push(PatchOperation::Remove(RemoveOperation { path: pointer(&path) }));
    }
    operations.extend(no_notice());
    send(client, run, json_patch::Patch(operations)).await
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The API server said no.
    Answer(Box<kube::core::Status>),
    /// It said nothing, for this reason.
    NoAnswer(String),
}

async fn send(client: &Client, run: &RunKey, patch: json_patch::Patch) -> Result<(), Failure> {
    let runs: Api<PipelineRun> = Api::namespaced(client.clone(), run.namespace());
    let parameters = PatchParams::default();
    let patch = Patch::Json::<()>(patch);
    answer_to(runs.patch_metadata(run.name(), &parameters, &patch)).await.map(drop)
}

async fn answer_to<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(REQUEST_DEADLINE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Error::Api(status))) => Err(Failure::Answer(status)),
        Ok(Err(error)) => Err(Failure::NoAnswer(with_causes(&error))),
        Err(_) => Err(Failure::NoAnswer(format!("no answer within {} s", REQUEST_DEADLINE.as_secs()))),
    }
}

// === impl Failure ===

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(status) => f.write_str(&answered(status)),
            Self::NoAnswer(why) => f.write_str(why),
        }
    }
}

/// Takes away what a run says of its wait.
fn no_notice() -> impl Iterator<Item = PatchOperation> {
    NOTICE.into_iter().flat_map(without)
}

/// Takes an annotation away that may be there or not: what isn't there can't be removed, so that it is put there first. Whoever knew
/// whether it is there would be wrong whenever a write is on its way.
fn without(annotation: &str) -> [PatchOperation; 2] {
    let path = ["metadata", "annotations", annotation];
    [add(&path, ""), PatchOperation::Remove(RemoveOperation { path: pointer(&path) })]
}

fn pointer(tokens: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(tokens.iter().copied())
}

fn test(path: &[&str], value: impl Into<Value>) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: pointer(path), value: value.into() })
}

fn add(path: &[&str], value: &str) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: pointer(path), value: Value::from(value) })
}
