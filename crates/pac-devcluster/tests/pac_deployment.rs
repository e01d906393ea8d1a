//! PAC's watcher as a Deployment: whoever scales it, restarts it or deletes its pod ends it, and an operator brings it back.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::{sync::Arc, time::Duration};

use pac_devcluster::{DevCluster, Options, PacEvent, PacPlayer, PacRun, TektonPlayer};
use serde_json::{Value, json};
use support::STATE;

const PLACE: &str = "pipelines-as-code";
const NAME: &str = "pipelines-as-code-watcher";

async fn cluster(operator: bool) -> DevCluster {
    let pac = PacPlayer { deployed: true, operator, queue: true, ..PacPlayer::default() };
    let tekton = TektonPlayer { duration: Duration::from_millis(50).into(), ..TektonPlayer::default() };
    let namespaces = vec!["ci".to_owned()];
    let options = Options { namespaces, tekton: Some(tekton), pac: Some(pac), ..Options::default() };
    let cluster = DevCluster::start(options).await.unwrap();
    let repository = json!({ "metadata": { "name": "repo" }, "spec": { "url": "x", "concurrency_limit": 1 } });
    cluster.store().create("repositories", "ci", repository).unwrap();
    eventually("its pod is ready", || ready(&cluster) == Some(1)).await;
    cluster
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await; // what is awaited is the player's doing
    }
}

fn deployment(cluster: &DevCluster) -> Option<Arc<Value>> {
    cluster.store().get("deployments", PLACE, NAME)
}

/// How many pods are ready, once that is said of the Deployment as it is.
fn ready(cluster: &DevCluster) -> Option<u64> {
    let found = deployment(cluster)?;
    let is_of_now = found["status"]["observedGeneration"] == found["metadata"]["generation"];
    is_of_now.then(|| found["status"]["readyReplicas"].as_u64()).flatten()
}

fn pods(cluster: &DevCluster) -> Vec<String> {
    let pods = cluster.store().list("pods", Some(PLACE), &format!("app.kubernetes.io/name={NAME}")).unwrap();
    pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn change(cluster: &DevCluster, spec: &Value) {
    cluster.store().patch("deployments", PLACE, NAME, &json!({ "spec": spec })).unwrap();
}

/// Whether its queue starts and reports a run.
async fn is_at_work(cluster: &DevCluster, name: &str) {
    push(cluster, name).await;
    eventually("the run is done and reported", || state(cluster, name) == "completed").await;
}

async fn push(cluster: &DevCluster, name: &str) {
    cluster.pac().unwrap().push(PacEvent::new("ci", "repo", [PacRun::exactly(name)])).await.unwrap();
}

fn state(cluster: &DevCluster, name: &str) -> String {
    let run = cluster.store().get("pipelineruns", "ci", name).unwrap();
    run["metadata"]["labels"][STATE].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn it_is_at_work_while_a_pod_is_there() {
    let cluster = cluster(false).await;
    is_at_work(&cluster, "a").await;
    change(&cluster, &json!({ "replicas": 0 }));
    eventually("there is no pod", || pods(&cluster).is_empty() && ready(&cluster) == Some(0)).await;
    push(&cluster, "b").await;
    tokio::time::sleep(Duration::from_millis(300)).await; // nothing tells that nothing happens
    assert_eq!(state(&cluster, "b"), "queued");
    change(&cluster, &json!({ "replicas": 1 }));
    eventually("it starts what it finds", || state(&cluster, "b") == "completed").await;
}

#[tokio::test]
async fn a_pod_that_is_deleted_and_one_of_another_template_is_replaced() {
    let cluster = cluster(false).await;
    let first = pods(&cluster);
    cluster.store().delete("pods", PLACE, &first[0]).unwrap();
    eventually("there is another pod", || pods(&cluster).len() == 1 && pods(&cluster) != first).await;
    is_at_work(&cluster, "a").await;
    let second = pods(&cluster);
    let restarted = json!({ "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" });
    change(&cluster, &json!({ "template": { "metadata": { "annotations": restarted } } }));
    eventually("it is rolled out", || pods(&cluster).len() == 1 && pods(&cluster) != second).await;
    is_at_work(&cluster, "b").await;
}

#[tokio::test]
async fn an_operator_writes_it_back() {
    let cluster = cluster(true).await;
    let wanted = deployment(&cluster).unwrap()["spec"].clone();
    change(&cluster, &json!({ "replicas": 0 }));
    eventually("it is stopped for a while", || pods(&cluster).is_empty()).await;
    eventually("it is back", || pods(&cluster).len() == 1).await;
    let container = json!([{ "name": "theirs", "image": "x" }]);
    change(&cluster, &json!({ "template": { "spec": { "containers": container } } }));
    eventually("it is as it was", || deployment(&cluster).unwrap()["spec"] == wanted).await;
    cluster.store().delete("deployments", PLACE, NAME).unwrap();
    eventually("it is there again", || ready(&cluster) == Some(1) && pods(&cluster).len() == 1).await;
    is_at_work(&cluster, "a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_restarts_its_rollout_and_waits_for_it() {
    let cluster = cluster(false).await;
    let folder = tempfile::TempDir::new().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
    let before = pods(&cluster);
    for arguments in ["rollout restart", "rollout status --timeout=20s"] {
        let mut kubectl = std::process::Command::new("kubectl");
        kubectl.env("KUBECONFIG", &kubeconfig).env("HOME", folder.path()).args(["--namespace", PLACE]);
        let output = kubectl.args(arguments.split(' ')).arg(format!("deployment/{NAME}")).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(pods(&cluster).len() == 1 && pods(&cluster) != before);
}
