//! PAC's watcher as it is in a cluster: a Deployment with pods, and at work while one of them is there.
//!
//! Whoever scales the Deployment, restarts its rollout or deletes a pod has the watcher end, and start anew with an empty memory.
//! An operator may keep the Deployment: it writes back what it doesn't want.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use super::Pac;
use crate::{object, resource};

/// The Deployment, in PAC's namespace.
pub(crate) const NAME: &str = "pipelines-as-code-watcher";
const APP: &str = "app.kubernetes.io/name";
const HASH: &str = "pod-template-hash";
/// How long a pod takes until it is ready.
const START: Duration = Duration::from_millis(100);
/// How long the operator takes to see what somebody wrote.
const NOTICED: Duration = Duration::from_millis(200);

/// Plays the Deployment's controller and the kubelet, until it is aborted.
pub(super) struct Deployed {
    pac: Pac,
    namespace: String,
    /// The uid of the pod at work.
    at_work: Option<String>,
}

// === impl Deployed ===

impl Deployed {
    /// Makes the Deployment, unless somebody did.
    pub(super) fn new(pac: &Pac) -> Self {
        let namespace = pac.inner.settings.global_repository.0.clone();
        pac.inner.store.ensure_namespace(&namespace);
        // One that is there already serves as well.
        let _ = pac.inner.store.create("deployments", &namespace, deployment());
        Self { pac: pac.clone(), namespace, at_work: None }
    }

    pub(super) async fn play(mut self) {
        let store = &self.pac.inner.store;
        let followed = ["deployments", "pods"].map(resource::by_plural);
        let [Some(deployments), Some(pods)] = followed else { return };
        let (mut of_deployments, mut of_pods) = (store.subscribe(deployments), store.subscribe(pods));
        loop {
            of_deployments.borrow_and_update();
            of_pods.borrow_and_update();
            self.reconcile().await;
            let changed = tokio::select! {
                changed = of_deployments.changed() => changed,
                changed = of_pods.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn reconcile(&mut self) {
        let store = self.pac.inner.store.clone();
        let found = store.get("deployments", &self.namespace, NAME);
        let deployment = found.as_deref().unwrap_or(&Value::Null);
        let replicas = match deployment {
            Value::Null => 0,
            deployment => deployment["spec"]["replicas"].as_u64().unwrap_or(1),
        };
        let template = &deployment["spec"]["template"];
        let hash = hash_of(template);
        let there = self.pods();
        self.leave_what_is_gone(&there);
        let (mut kept, ended): (Vec<_>, Vec<_>) =
            there.into_iter().partition(|pod| object::label(pod, HASH) == Some(&hash));
        let most = usize::try_from(replicas).unwrap_or(usize::MAX);
        let excess = kept.split_off(kept.len().min(most));
        // The new pods first, as a rollout does it.
        let missing = most - kept.len();
        for _ in 0..missing {
            // It can't be refused: the namespace is there.
            let _ = store.create("pods", &self.namespace, pod(template, &hash));
        }
        if missing > 0 {
            tokio::time::sleep(START).await;
        }
        for pod in ended.iter().chain(&excess) {
            // Somebody else may have been quicker.
            let _ = store.delete("pods", &self.namespace, object::name(pod));
        }
        let pods = self.pods();
        for pod in pods.iter().filter(|pod| pod.pointer("/status/phase") != Some(&json!("Running"))) {
            let ready = json!([{ "type": "Ready", "status": "True" }]);
            let status = json!({ "status": { "phase": "Running", "conditions": ready } });
            let _ = store.patch_status("pods", &self.namespace, object::name(pod), &status);
        }
        self.leave_what_is_gone(&pods);
        if let (None, Some(pod)) = (&self.at_work, pods.first()) {
            self.at_work = Some(object::meta_text(pod, "uid").to_owned());
            self.pac.start_watcher();
        }
        if found.is_some() {
            self.report(deployment, pods.len());
        }
    }

    /// The watcher ends with its pod.
    fn leave_what_is_gone(&mut self, pods: &[Arc<Value>]) {
        let is_there = |uid: &String| pods.iter().any(|pod| object::meta_text(pod, "uid") == uid);
        if self.at_work.as_ref().is_some_and(|uid| !is_there(uid)) {
            self.at_work = None;
            self.pac.stop_watcher();
        }
    }

    /// What `kubectl rollout status` waits for.
    fn report(&self, deployment: &Value, pods: usize) {
        let status = json!({
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": pods, "updatedReplicas": pods, "readyReplicas": pods, "availableReplicas": pods,
        });
        let patch = json!({ "status": status });
        // It may be gone.
        let _ = self.pac.inner.store.patch_status("deployments", &self.namespace, NAME, &patch);
    }

    fn pods(&self) -> Vec<Arc<Value>> {
        self.pac.inner.store.list("pods", Some(&self.namespace), &format!("{APP}={NAME}")).unwrap_or_default()
    }
}

/// Plays an operator that owns the Deployment, until it is aborted: what its spec was at first, it will be again.
pub(super) async fn operate(pac: Pac) {
    let (store, namespace) = (&pac.inner.store, &pac.inner.settings.global_repository.0);
    let Some(deployments) = resource::by_plural("deployments") else { return };
    let mut news = store.subscribe(deployments);
    let Some(wanted) = store.get("deployments", namespace, NAME) else { return };
    loop {
        news.borrow_and_update();
        match store.get("deployments", namespace, NAME) {
            None => drop(store.create("deployments", namespace, deployment())),
            Some(found) if found["spec"] != wanted["spec"] => {
                tokio::time::sleep(NOTICED).await;
                let back = json!([{ "op": "replace", "path": "/spec", "value": wanted["spec"] }]);
                // Somebody may have deleted it meanwhile.
                let _ = store.json_patch("deployments", namespace, NAME, &back);
            }
            Some(_) => {}
        }
        if news.changed().await.is_err() {
            return;
        }
    }
}

fn deployment() -> Value {
    let labels = json!({ APP: NAME, "app.kubernetes.io/part-of": "pipelines-as-code" });
    let container = json!({ "name": NAME, "image": "ghcr.io/openshift-pipelines/pipelines-as-code-watcher:stable" });
    json!({
        "metadata": { "name": NAME, "labels": labels },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { APP: NAME } },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    })
}

fn pod(template: &Value, hash: &str) -> Value {
    let mut pod = json!({ "metadata": template["metadata"], "spec": template["spec"] });
    pod["metadata"]["generateName"] = format!("{NAME}-{hash}-").into();
    pod["metadata"]["labels"][APP] = NAME.into();
    pod["metadata"]["labels"][HASH] = hash.into();
    pod
}

fn hash_of(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    format!("{:x}", hasher.finish() & 0xffff_ffff)
}
