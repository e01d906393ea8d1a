//! Others who hold pending runs: Kueue, whatever controller a run names as its manager, and PAC's own queue if a run was given to it.
//!
//! Kueue holds a run by the label [`QUEUE_NAME`], which tekton-kueue's webhook puts onto runs when they are created, and starts
//! it once its LocalQueue has room. A run that somebody else starts before is stopped by Kueue, for good. So nobody but Kueue
//! starts a run that it holds, and both limits hold by handing over: a run whose label says [`WAITING_QUEUE`], a LocalQueue that
//! nobody needs to make, waits for us first, and its start is no start but this label set to the queue that the annotation
//! [`KUEUE_QUEUE`] names. From then on it has its slot here, and Kueue, which follows the label of a run it hasn't admitted,
//! decides when it begins.

use kube::ResourceExt;

use crate::api::PipelineRun;
use crate::api::labels::{EXECUTION_ORDER, HANDED_OVER, KUEUE_QUEUE, QUEUE_NAME};

/// The LocalQueue in which a run waits for us before it waits for Kueue.
pub const WAITING_QUEUE: &str = "pac-concurrency";
/// What Tekton calls itself where a run names its manager.
const TEKTON: &str = "tekton.dev/pipeline";

/// Who is to start a run, as long as it is pending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hold {
    /// We are.
    #[default]
    None,
    /// Kueue, from this LocalQueue, once we handed it over.
    HandOver(Box<str>),
    /// Kueue or PAC's own queue, since we handed it over: it has its slot.
    HandedOver,
    /// Somebody else, for this reason; we have no part in it.
    Others(Box<str>),
}

// === impl Hold ===

impl Hold {
    /// Who holds `run`, if it is pending.
    pub(crate) fn of(run: &PipelineRun) -> Self {
        let annotation = |name| run.annotations().get(name).map(String::as_str);
        let queue = run.labels().get(QUEUE_NAME).map(String::as_str);
        let target = annotation(KUEUE_QUEUE).filter(|target| !target.is_empty() && *target != WAITING_QUEUE);
        // A Git repository may write the annotation onto its runs, but can't know their uid beforehand.
        let handed_over = annotation(HANDED_OVER).is_some_and(|uid| run.metadata.uid.as_deref() == Some(uid));
        match (queue, target) {
            (Some(WAITING_QUEUE), Some(target)) => Self::HandOver(target.into()),
            (Some(WAITING_QUEUE), None) => Self::Others(
                format!("its label {QUEUE_NAME} says that it waits here before it waits for Kueue, and no annotation {KUEUE_QUEUE} \
                         names the LocalQueue it is to be handed over to")
                .into(),
            ),
            (Some(_), _) if handed_over => Self::HandedOver,
            (None, _) if handed_over && annotation(EXECUTION_ORDER).is_some() => Self::HandedOver,
            (Some(queue), _) => Self::Others(
                format!("Kueue holds it (label {QUEUE_NAME}: {queue}) and is to start it; docs/companion.md says how both limits \
                         can hold")
                .into(),
            ),
            (None, _) => match run.spec.managed_by.as_deref() {
                None | Some("" | TEKTON) => Self::None,
                Some(manager) => Self::Others(format!("{manager} manages it (spec.managedBy) and is to start it").into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::labels::EXECUTION_ORDER_KEPT;
    use crate::convert::tests::run;
    use crate::convert::{Phase, RunView, run_view};

    fn view(patch: Value) -> RunView {
        run_view(&run(patch), None).unwrap()
    }

    fn phase(patch: Value) -> Phase {
        view(patch).phase
    }

    #[test]
    fn what_another_holds_is_none_of_ours() {
        let labelled = |queue: &str| json!({"metadata": {"labels": {QUEUE_NAME: queue}}});
        assert_eq!(phase(labelled("team")), Phase::Held);
        assert_eq!(phase(json!({"spec": {"managedBy": "kueue.x-k8s.io/multikueue"}})), Phase::Held);
        assert_eq!(phase(json!({"spec": {"managedBy": "tekton.dev/pipeline"}})), Phase::Waiting);
        let mut running = labelled("team");
        running["spec"] = json!({"status": null});
        assert_eq!(phase(running), Phase::Running, "whoever started it");
    }

    #[test]
    fn who_waits_here_before_kueue_is_handed_over_where_its_annotation_says() {
        let held = |annotations: Value| {
            let metadata = json!({"labels": {QUEUE_NAME: WAITING_QUEUE}, "annotations": annotations});
            view(json!({"metadata": metadata}))
        };
        let waits = held(json!({KUEUE_QUEUE: "team"}));
        assert_eq!((waits.phase, waits.hold), (Phase::Waiting, Hold::HandOver("team".into())));
        for nowhere in [json!({}), json!({KUEUE_QUEUE: ""}), json!({KUEUE_QUEUE: WAITING_QUEUE})] {
            assert_eq!(held(nowhere).phase, Phase::Held);
        }
        let over = |uid: &str| json!({"metadata": {"labels": {QUEUE_NAME: "team"}, "annotations": {HANDED_OVER: uid}}});
        assert_eq!(phase(over("1")), Phase::Running, "it has its slot, whenever Kueue starts it");
        assert_eq!(phase(over("true")), Phase::Held, "a Git repository may write that onto its runs");
    }

    #[test]
    fn who_was_handed_to_pacs_own_queue_has_its_slot_and_its_place() {
        let mut annotations = json!({EXECUTION_ORDER: "ns/a", EXECUTION_ORDER_KEPT: "ns/b,ns/a", HANDED_OVER: "1"});
        let handed_over = view(json!({"metadata": {"annotations": annotations}}));
        assert_eq!((handed_over.phase, handed_over.place.unwrap().position), (Phase::Running, 1));
        assert!(!handed_over.has_pacs_order, "PAC may start it, and no other for it");
        annotations[HANDED_OVER] = "2".into();
        assert_eq!(phase(json!({"metadata": {"annotations": annotations}})), Phase::Waiting);
    }
}
