//! Kubernetes to domain. Nothing else knows both.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use pac_concurrency::{KeyError, RepositoryKey, RunKey};

use crate::api::labels::{
    COMPLETED, EVENT, EXECUTION_ORDER, EXECUTION_ORDER_KEPT, FAILED, PAUSED, PAUSED_UNTIL, QUEUED, RELEASED,
    RELEASED_REASON, REPOSITORY, RESUMED, SECRET_CREATED, STATE,
};
use crate::api::{PipelineRun, Repository};
use crate::execution_order::{self, EventPlace};
use crate::hold::Hold;
use crate::notice::NoticeMark;
use crate::pause::Pause;

/// How long after the first run of a webhook event others may be created that count as of it, in seconds. A commit may be built again
/// later by an event that looks the same, and that is another one.
pub const EVENT_LASTS_SECONDS: i64 = 15;

/// Where a run is in its life, as one version of its object shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Pending, and PAC has not said yet that it is queued.
    Arriving,
    /// Pending and queued.
    Waiting,
    /// Pending, and another's to start, such as Kueue's.
    Held,
    /// Never started, and never to be: cancelled or being deleted while pending.
    Withdrawn,
    /// Never started by us, and asked to stop gracefully while pending. Tekton takes that for a beginning, too: it runs the last
    /// tasks of the pipeline (`finally`), if there are any.
    Stopping,
    /// Not pending and not done; or pending, and handed over with its slot to who starts it.
    Running,
    /// Running, and by an operator's word counted no more.
    ForceReleased,
    /// Done, with this final state.
    Done(FinalState),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalState {
    /// Succeeded.
    Completed,
    /// Failed or was cancelled.
    Failed,
}

/// What the watcher keeps of a PipelineRun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// The run.
    pub key: RunKey,
    /// The Repository it belongs to, in its own namespace.
    pub repository: RepositoryKey,
    /// When the API server created it, in seconds since 1970.
    pub created: i64,
    /// Where it is in its life.
    pub phase: Phase,
    /// When Tekton began with it, in seconds since 1970.
    pub begun: Option<i64>,
    /// Why an operator released it, if one did.
    pub release_reason: Option<String>,
    /// Tells the webhook event it is of from others of its Repository, where that is known.
    pub event: Option<u64>,
    /// Its place among the runs of its event, where that is known.
    pub place: Option<EventPlace>,
    /// Whether the Secret with which it clones its Git repository is still to be made.
    pub awaits_secret: bool,
    /// Whether it has an order under PAC's own name that names it: where PAC's own watcher runs, it takes the run into its queue by that,
    /// and starts it from there.
    pub has_pacs_order: bool,
    /// Who is to start it, as long as it is pending.
    pub hold: Hold,
    /// What it says of its wait. Nothing is decided by that.
    pub notice: Option<NoticeMark>,
    /// What is wrong with it, though not enough to ignore it.
    pub complaint: Option<String>,
}

/// What the watcher keeps of a Repository's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepositoryMetadata {
    /// Its uid; none while there is no such Repository.
    pub uid: Option<String>,
    /// The pause an operator put it into.
    pub pause: Option<Pause>,
    /// Why the last one was ended.
    pub resumed: Option<String>,
}

/// Why an object can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// It is not a run of PAC's: it names no Repository.
    #[error("annotation {REPOSITORY} is missing")]
    NoRepository,
    /// It lacks what every object of an API server has.
    #[error("metadata.{0} is missing")]
    NoMetadata(&'static str),
    /// A name that can't be one.
    #[error(transparent)]
    Key(#[from] KeyError),
}

// === impl FinalState ===

impl FinalState {
    /// The value of label and annotation `state` for it.
    pub fn as_state(self) -> &'static str {
        match self {
            Self::Completed => COMPLETED,
            Self::Failed => FAILED,
        }
    }
}

// === impl RunView ===

impl RunView {
    /// Whether it is pending and may be started.
    pub fn is_pending(&self) -> bool {
        matches!(self.phase, Phase::Arriving | Phase::Waiting)
    }
}

/// What a PipelineRun is to the watcher.
///
/// `home` is the Repository it is known to be of, if it is: somebody may take the name off it, or spoil it, and it goes on
/// running, and its end must not be missed (P5).
pub fn run_view(run: &PipelineRun, home: Option<&RepositoryKey>) -> Result<RunView, ConvertError> {
    let namespace = run.metadata.namespace.as_deref().ok_or(ConvertError::NoMetadata("namespace"))?;
    let name = run.metadata.name.as_deref().ok_or(ConvertError::NoMetadata("name"))?;
    let uid = run.metadata.uid.as_deref().ok_or(ConvertError::NoMetadata("uid"))?;
    let created = run.metadata.creation_timestamp.as_ref().ok_or(ConvertError::NoMetadata("creationTimestamp"))?;
    let annotations = run.annotations();
    let hold = Hold::of(run);
    let [pacs, kept] = [EXECUTION_ORDER, EXECUTION_ORDER_KEPT].map(|name| annotations.get(name));
    // What it was handed over with is no word on its event.
    let order = if hold == Hold::HandedOver { kept.or(pacs) } else { pacs.or(kept) };
    let (place, complaint) = match execution_order::place(order.map_or("", String::as_str), namespace, name) {
        Ok(place) => (place, None),
        Err(problem) => (None, Some(problem.to_string())),
    };
    let phase = phase(run, &hold);
    Ok(RunView {
        key: RunKey::new(namespace, name, uid)?,
        repository: repository(run, namespace, home)?,
        created: created.0.as_second(),
        phase,
        begun: begun(run),
        release_reason: is_released(run).then(|| annotations.get(RELEASED_REASON).cloned().unwrap_or_default()),
        event: event(run),
        place,
        awaits_secret: annotations.get(SECRET_CREATED).is_some_and(|created| created == "false"),
        has_pacs_order: hold != Hold::HandedOver
            && pacs.is_some_and(|order| execution_order::names(order, namespace, name)),
        hold,
        notice: NoticeMark::of(run),
        complaint,
    })
}

/// What all runs have in common that Pipelines-as-Code makes for one event: commit, kind of event, pull request.
fn event(run: &PipelineRun) -> Option<u64> {
    let [sha, kind, pull_request] = EVENT.map(|annotation| run.annotations().get(annotation));
    let mut hasher = DefaultHasher::new();
    (sha?, kind?, pull_request).hash(&mut hasher);
    Some(hasher.finish())
}

fn repository(run: &PipelineRun, namespace: &str, home: Option<&RepositoryKey>) -> Result<RepositoryKey, ConvertError> {
    let named = run.annotations().get(REPOSITORY).ok_or(ConvertError::NoRepository);
    let named = named.and_then(|name| Ok(RepositoryKey::new(namespace, name)?));
    named.or_else(|error| home.cloned().ok_or(error))
}

/// The key and own limit of a Repository.
pub fn repository_limit(repository: &Repository) -> Result<(RepositoryKey, Option<i64>), ConvertError> {
    let namespace = repository.metadata.namespace.as_deref().ok_or(ConvertError::NoMetadata("namespace"))?;
    let name = repository.metadata.name.as_deref().ok_or(ConvertError::NoMetadata("name"))?;
    Ok((RepositoryKey::new(namespace, name)?, repository.spec.limit()))
}

/// What a Repository's metadata say, whether or not the rest of it can be read.
pub fn repository_metadata(metadata: &ObjectMeta) -> RepositoryMetadata {
    let resumed = metadata.annotations.as_ref().and_then(|annotations| annotations.get(RESUMED)).cloned();
    RepositoryMetadata { uid: metadata.uid.clone(), pause: pause(metadata), resumed }
}

/// What a Repository's annotations say of a pause.
pub fn pause(metadata: &ObjectMeta) -> Option<Pause> {
    let annotation = |key| metadata.annotations.as_ref()?.get(key).map(String::as_str);
    Pause::parse(annotation(PAUSED), annotation(PAUSED_UNTIL))
}

fn is_released(run: &PipelineRun) -> bool {
    run.metadata.uid.is_some() && run.annotations().get(RELEASED) == run.metadata.uid.as_ref()
}

fn phase(run: &PipelineRun, hold: &Hold) -> Phase {
    match succeeded(run) {
        Some("True") => return Phase::Done(FinalState::Completed),
        Some("False") => return Phase::Done(FinalState::Failed),
        _ => {}
    }
    let queued = run.annotations().get(STATE).is_some_and(|state| state == QUEUED);
    match run.spec.status.as_deref() {
        Some("PipelineRunPending") if run.metadata.deletion_timestamp.is_some() => Phase::Withdrawn,
        Some("PipelineRunPending") => match hold {
            Hold::HandedOver => Phase::Running,
            Hold::Others(_) => Phase::Held,
            Hold::None | Hold::HandOver(_) if queued => Phase::Waiting,
            Hold::None | Hold::HandOver(_) => Phase::Arriving,
        },
        // Our start sets the annotation with the same patch that makes the run go; while it still says queued, and Tekton
        // has not begun, the run was stopped while it waited.
        Some("Cancelled") if queued && !has_begun(run) => Phase::Withdrawn,
        Some("CancelledRunFinally" | "StoppedRunFinally") if queued && !has_begun(run) => Phase::Stopping,
        _ if is_released(run) => Phase::ForceReleased,
        _ => Phase::Running,
    }
}

fn succeeded(run: &PipelineRun) -> Option<&str> {
    let conditions = &run.status.as_ref()?.conditions;
    conditions.iter().find(|condition| condition.kind == "Succeeded").map(|condition| condition.status.as_str())
}

fn begun(run: &PipelineRun) -> Option<i64> {
    let start: Timestamp = run.status.as_ref()?.start_time.as_deref()?.parse().ok()?;
    Some(start.as_second())
}

/// Whether Tekton has begun with it. A condition doesn't say so: Tekton writes one onto every run that is pending.
fn has_begun(run: &PipelineRun) -> bool {
    run.status.as_ref().is_some_and(|status| status.start_time.is_some())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A queued run, with a merge patch applied to it.
    pub(crate) fn run(patch: Value) -> PipelineRun {
        let mut run = json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {
                "namespace": "ns", "name": "a", "uid": "1", "creationTimestamp": "2026-01-01T00:00:07Z",
                "annotations": { REPOSITORY: "repo", STATE: QUEUED },
            },
            "spec": { "status": "PipelineRunPending" },
        });
        json_patch::merge(&mut run, &patch);
        serde_json::from_value(run).unwrap()
    }

    fn phase_of(patch: Value) -> Phase {
        run_view(&run(patch), None).unwrap().phase
    }

    #[test]
    fn only_the_annotation_says_queued() {
        assert_eq!(phase_of(json!({})), Phase::Waiting);
        let fresh = json!({"metadata": {"labels": {STATE: "queued"}, "annotations": {STATE: "started"}}});
        assert_eq!(phase_of(fresh), Phase::Arriving);
        assert_eq!(phase_of(json!({"metadata": {"annotations": {STATE: null}}})), Phase::Arriving);
    }

    #[test]
    fn not_pending_and_not_done_is_running() {
        assert_eq!(phase_of(json!({"spec": {"status": null}})), Phase::Running);
        let unknown =
            json!({"spec": {"status": null}, "status": {"conditions": [{"type": "Succeeded", "status": "Unknown"}]}});
        assert_eq!(phase_of(unknown), Phase::Running);
        assert_eq!(phase_of(json!({"spec": {"status": "SomethingNew"}})), Phase::Running);
    }

    #[test]
    fn cancelled_while_it_waited_is_withdrawn_and_after_its_start_still_runs() {
        let wishes = ["Cancelled", "CancelledRunFinally", "StoppedRunFinally"];
        for (wish, expected) in wishes.into_iter().zip([Phase::Withdrawn, Phase::Stopping, Phase::Stopping]) {
            assert_eq!(phase_of(json!({"spec": {"status": wish}})), expected);
            let pending = json!([{"type": "Succeeded", "status": "Unknown", "reason": "PipelineRunPending"}]);
            let told_to_be_pending = json!({"spec": {"status": wish}, "status": {"conditions": pending}});
            assert_eq!(phase_of(told_to_be_pending), expected, "as Tekton says of every run that waits");
            let begun = json!({"spec": {"status": wish}, "status": {"startTime": "2026-01-01T00:00:09Z"}});
            assert_eq!(phase_of(begun), Phase::Running);
            let started = json!({"spec": {"status": wish}, "metadata": {"annotations": {STATE: "started"}}});
            assert_eq!(phase_of(started), Phase::Running);
        }
    }

    #[test]
    fn deleted_while_it_waited_is_withdrawn_and_while_it_runs_still_runs() {
        let deleting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:09Z"}});
        assert_eq!(phase_of(deleting), Phase::Withdrawn);
        let running = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:09Z"}, "spec": {"status": null}});
        assert_eq!(phase_of(running), Phase::Running);
    }

    #[test]
    fn a_limit_is_read_where_it_is_and_where_it_may_move() {
        let limit = |spec: Value| {
            let object = json!({
                "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository",
                "metadata": {"namespace": "ns", "name": "repo"}, "spec": spec,
            });
            repository_limit(&serde_json::from_value(object).unwrap()).unwrap().1
        };
        assert_eq!(limit(json!({"concurrency_limit": 2})), Some(2));
        assert_eq!(limit(json!({"settings": {"concurrency_limit": 3}})), Some(3));
        assert_eq!(limit(json!({"concurrency_limit": 2, "settings": {"concurrency_limit": 3}})), Some(2));
        assert_eq!(limit(json!({"settings": {"pipelinerun_provenance": "source"}})), None);
    }

    #[test]
    fn done_is_done_whatever_else_is_said() {
        for (status, state) in [("True", FinalState::Completed), ("False", FinalState::Failed)] {
            let done = json!({"status": {"conditions": [{"type": "Other", "status": "x"}, {"type": "Succeeded", "status": status}]}});
            assert_eq!(phase_of(done), Phase::Done(state));
        }
    }

    #[test]
    fn released_is_what_runs_and_bears_its_own_uid() {
        let annotated = |uid: &str| json!({"metadata": {"annotations": {RELEASED: uid}}, "spec": {"status": null}});
        assert_eq!(phase_of(annotated("1")), Phase::ForceReleased);
        assert_eq!(phase_of(annotated("true")), Phase::Running, "a Git repository may write that onto its runs");
        let waiting = json!({"metadata": {"annotations": {RELEASED: "1"}}});
        assert_eq!(phase_of(waiting), Phase::Waiting);
    }

    #[test]
    fn a_kept_order_counts_like_pacs_own() {
        let kept = run(json!({"metadata": {"annotations": {EXECUTION_ORDER_KEPT: "ns/b,ns/a"}}}));
        assert_eq!(run_view(&kept, None).unwrap().place.unwrap().position, 1);
    }

    #[test]
    fn an_order_is_pacs_by_its_name() {
        let has = |change: Value| run_view(&run(change), None).unwrap().has_pacs_order;
        assert!(has(json!({"metadata": {"annotations": {EXECUTION_ORDER: "ns/a"}}})));
        assert!(!has(json!({"metadata": {"annotations": {EXECUTION_ORDER_KEPT: "ns/a"}}})));
        assert!(has(json!({"metadata": {"annotations": {EXECUTION_ORDER: "ns/b,ns/a,x"}}})));
        for nobodys in ["", "x", "ns/b", "ns/b, ns/a", "other/a"] {
            assert!(!has(json!({"metadata": {"annotations": {EXECUTION_ORDER: nobodys}}})), "{nobodys:?}");
        }
    }

    #[test]
    fn an_event_is_known_by_commit_kind_and_pull_request() {
        let of = |sha: &str, kind: &str, pull_request: Option<&str>| {
            let annotations = json!({EVENT[0]: sha, EVENT[1]: kind, EVENT[2]: pull_request});
            run_view(&run(json!({"metadata": {"annotations": annotations}})), None).unwrap().event
        };
        assert_eq!(of("1", "push", None), of("1", "push", None));
        let events = [
            of("1", "push", None),
            of("2", "push", None),
            of("1", "pull_request", Some("7")),
            of("1", "push", Some("7")),
        ];
        let different: std::collections::BTreeSet<_> = events.iter().collect();
        assert_eq!(different.len(), events.len());
        assert_eq!(run_view(&run(json!({})), None).unwrap().event, None, "nothing is guessed");
    }

    #[test]
    fn only_false_says_that_a_secret_is_still_to_be_made() {
        let awaits = |value: Value| {
            run_view(&run(json!({"metadata": {"annotations": {SECRET_CREATED: value}}})), None).unwrap().awaits_secret
        };
        assert!(awaits(json!("false")));
        assert!(!awaits(json!("true")) && !awaits(Value::Null) && !awaits(json!("")));
    }

    #[test]
    fn a_bad_order_is_a_complaint_and_no_reason_to_ignore_the_run() {
        let view = run_view(&run(json!({"metadata": {"annotations": {EXECUTION_ORDER: "x"}}})), None).unwrap();
        assert_eq!(view.place, None);
        assert!(view.complaint.is_some());
    }

    #[test]
    fn strangers_are_refused_with_the_reason() {
        let stranger = run(json!({"metadata": {"annotations": {REPOSITORY: null}}}));
        assert!(matches!(run_view(&stranger, None), Err(ConvertError::NoRepository)));
        let stranger = run(json!({"metadata": {"annotations": {REPOSITORY: "../x"}}}));
        assert!(matches!(run_view(&stranger, None), Err(ConvertError::Key(_))));
    }
}
