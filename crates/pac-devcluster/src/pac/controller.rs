//! PAC's controller: makes the runs of an event, and tells in Events of what it couldn't.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{EXECUTION_ORDER, Inner, PacEvent, PacRun, REPOSITORY, START_REPORTED, STATE, Secrets};
use crate::{error::ApiError, natural, object};

// === impl Inner ===

impl Inner {
    /// All at once, and then, when every run is made, the order of each; says their names in that order.
    pub(super) async fn make_runs(&self, event: &PacEvent) -> Vec<String> {
        let Some(limited) = self.has_limit(&event.namespace, &event.repository) else { return Vec::new() };
        let made = join_all(event.runs.iter().map(|run| self.make_run(event, run, limited))).await;
        let mut names: Vec<String> = made.into_iter().flatten().collect();
        names.sort_by(|one, other| natural::compare(one, other));
        if limited {
            let order: Vec<String> = names.iter().map(|name| format!("{}/{name}", event.namespace)).collect();
            let patch = json!({ "metadata": { "annotations": { EXECUTION_ORDER: order.join(",") } } });
            join_all(names.iter().map(|name| self.give_order(event, name, &patch))).await;
        }
        names
    }

    /// What comes of it otherwise is an Event, and the run has no order.
    async fn give_order(&self, event: &PacEvent, name: &str, patch: &Value) {
        let Err(error) = self.controller.patch_patiently(&event.namespace, name, patch).await else { return };
        let what = format!("failed to patch pipelinerun {}/execution order with {name}", event.namespace);
        let message = format!("Failed to patch pipelineruns {name} execution order: {what}: {}", error.message);
        self.emit(event, &message).await;
    }

    /// A warning about the Repository.
    async fn emit(&self, event: &PacEvent, message: &str) {
        let (namespace, repository) = (&event.namespace, &event.repository);
        let told = json!({
            "metadata": { "generateName": format!("{repository}-"), "labels": { REPOSITORY: repository } },
            "involvedObject": { "kind": "Repository", "name": repository, "namespace": namespace },
            "type": "Warning", "reason": "RepositoryPipelineRun", "message": message,
        });
        // Otherwise it is in PAC's log alone.
        let _ = self.controller.create("events", namespace, told).await;
    }

    pub(super) async fn cancel_runs(&self, namespace: &str, repository: &str, pull_request: u64) {
        let group = "pipelinesascode.tekton.dev";
        let labels = format!("{group}/url-repository={repository},{group}/pull-request={pull_request}");
        let runs = self.controller.list("pipelineruns", namespace, &labels).await;
        let is_to_be_cancelled = |run: &Value| {
            let wish = object::text_at(run, "/spec/status").unwrap_or_default();
            !is_done(run) && matches!(wish, "" | "PipelineRunPending")
        };
        let patch = json!({ "spec": { "status": "CancelledRunFinally" } });
        let cancelled = runs.iter().filter(|run| is_to_be_cancelled(run));
        join_all(cancelled.map(|run| self.controller.patch(namespace, object::name(run), &patch))).await;
    }

    /// Whether the runs of a Repository are to wait; `None` where there is no such Repository.
    fn has_limit(&self, namespace: &str, repository: &str) -> Option<bool> {
        let limit = |repository: &Value| repository.pointer("/spec/concurrency_limit").and_then(Value::as_u64);
        let own = self.store.get("repositories", namespace, repository)?;
        let (namespace, name) = &self.settings.global_repository;
        let inherited = || limit(&*self.store.get("repositories", namespace, name)?);
        Some(limit(&own).or_else(inherited).is_some_and(|limit| limit > 0))
    }

    /// One run, until the Git provider knows of it and its state is written; its name, if it was created.
    async fn make_run(&self, event: &PacEvent, run: &PacRun, limited: bool) -> Option<String> {
        let object = event.created(run, self.settings.secrets, limited);
        let refused = |what: &str, error: &ApiError| {
            format!(
                "There was an error starting the PipelineRun {}-, creating {what} has failed: {}",
                run.name, error.message
            )
        };
        if self.settings.secrets == Secrets::ByController
            && let Err(error) = self.controller.create("secrets", &event.namespace, secret_of(&object)).await
        {
            self.emit(event, &refused("basic auth secret", &error)).await;
            return None;
        }
        let created = match self.controller.create("pipelineruns", &event.namespace, object).await {
            Ok(created) => created,
            Err(error) => {
                self.emit(event, &refused("pipelinerun", &error)).await;
                return None;
            }
        };
        let name = object::name(&created).to_owned();
        if !self.provider.tell().await {
            return Some(name);
        }
        // Somebody else, such as an admission webhook, may have made it pending.
        let waits = object::text_at(&created, "/spec/status") == Some("PipelineRunPending");
        let state = if waits { "queued" } else { "started" };
        let mut annotations = json!({ STATE: state });
        let log = format!("https://console.example.com/{}/{name}", event.namespace);
        annotations["pipelinesascode.tekton.dev/log-url"] = log.into();
        if !waits {
            annotations[START_REPORTED] = "true".into();
        }
        let patch = json!({ "metadata": { "labels": { STATE: state }, "annotations": annotations } });
        // PAC only logs a failure, and the run never waits.
        let _ = self.controller.patch_patiently(&event.namespace, &name, &patch).await;
        Some(name)
    }
}

/// The Secret that a run names.
pub(super) fn secret_of(run: &Value) -> Value {
    let name = object::annotation(run, super::GIT_AUTH_SECRET).unwrap_or_default();
    let mut secret = json!({ "metadata": { "name": name }, "stringData": { "git-provider-token": "a token" } });
    let (run, uid) = (object::name(run), object::meta_text(run, "uid"));
    if !uid.is_empty() {
        let owner = json!({ "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": run, "uid": uid });
        secret["metadata"]["ownerReferences"] = json!([owner]);
    }
    secret
}

pub(super) fn is_done(run: &Value) -> bool {
    matches!(crate::condition::succeeded(run), Some("True" | "False"))
}
