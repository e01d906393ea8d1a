//! What the version before had installed becomes today's by one `cargo xtask deploy --apply`, or by the files of a release, whatever the
//! placement and the gate, while runs wait.
//!
//! `recorded/version-before` has the manifests as that version made them, without their comments:
//! `cargo xtask deploy --mode companion --driver memory --placement … --gate … --set concurrency-enabled=true --output DIR`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use support::applied::{apply, assert_settled};
use support::beside::{assert_promises, furnish, push, until_done, until_logged};
use support::cluster::{Cluster, PACS_NAME};
use support::node::Node;

const OURS: &str = "pac-concurrency-watcher";

/// As its `--apply` did it.
fn install_the_version_before(cluster: &Cluster, placement: &str, gate: &str) {
    let recorded = support::workspace().join("xtask/tests/recorded/version-before");
    let file = |name: &str| recorded.join(name).to_str().unwrap().to_owned();
    let all = file(&format!("{placement}-{gate}.yaml"));
    cluster.run(&["apply", "--server-side", "--force-conflicts", "--field-manager=pac-watcher", "--filename", &all]);
    if placement == "pod" {
        let patch = file(&format!("pod-{gate}-patch.yaml"));
        cluster.run(&["patch", "deployment", PACS_NAME, "--field-manager=pac-watcher", "--patch-file", &patch]);
    }
}

fn arguments(cluster: &Cluster, placement: &str) -> String {
    let deployment = cluster.get("deployment", if placement == "pod" { PACS_NAME } else { OURS });
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    containers.iter().find(|container| container["name"] == OURS).unwrap()["args"].to_string()
}

fn upgraded(placement: &str, gate: &str) {
    let cluster = Cluster::start();
    let api = furnish(&cluster);
    install_the_version_before(&cluster, placement, gate);
    let node = Node::start(&cluster);
    until_logged(&node, "admitting PipelineRuns");
    push(&api, 0..6);
    until_done(&api, 2);

    let before = arguments(&cluster, placement);
    let said = apply(&cluster, &[]);
    for part in [&format!("gate: {gate}, since the cluster has it already"), "no setting changes"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(!said.contains("removing"), "{said}");
    assert_ne!(arguments(&cluster, placement), before, "today's is another version");
    assert!(arguments(&cluster, placement).contains(&format!("--gate={gate}")));
    assert_settled(&cluster);

    push(&api, 6..12);
    until_done(&api, 12);
    assert_promises(&api, 12);
}

#[test]
fn with_the_gate_policy() {
    upgraded("deployment", "policy");
}

#[test]
fn with_the_gate_webhook() {
    upgraded("deployment", "webhook");
}

#[test]
fn with_the_gate_deny() {
    upgraded("deployment", "deny");
}

#[test]
fn with_the_gate_policy_in_pacs_pod() {
    upgraded("pod", "policy");
}

#[test]
fn with_the_gate_webhook_in_pacs_pod() {
    upgraded("pod", "webhook");
}

#[test]
fn with_the_gate_deny_in_pacs_pod() {
    upgraded("pod", "deny");
}
