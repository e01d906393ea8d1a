//! `cargo xtask deploy --apply` again: what isn't said anew stays as the cluster has it, what changes is told, and two that would
//! start PipelineRuns side by side are refused.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use serde_json::{Value, json};

use support::applied::{apply, deploy};
use support::cluster::{Cluster, PACS_NAME, PACS_WATCHER};
use support::error_of;

const OURS: &str = "pac-concurrency-watcher";

fn settings(cluster: &Cluster) -> Value {
    cluster.get("configmap", "pac-concurrency")["data"].clone()
}

fn ports(cluster: &Cluster) -> Vec<i64> {
    let policy = cluster.get("networkpolicy", OURS);
    let rules = policy["spec"]["egress"].as_array().unwrap();
    let ports = rules.iter().flat_map(|rule| rule["ports"].as_array().unwrap());
    ports.map(|port| port["port"].as_i64().unwrap()).filter(|port| ![53, 5353, 443, 6443].contains(port)).collect()
}

#[test]
fn a_second_apply_keeps_what_the_first_was_told() {
    let cluster = Cluster::start();
    let said = apply(
        &cluster,
        &[
            "--driver=postgresql",
            "--set=concurrency-enabled=true",
            "--set=postgresql-host=db.example.com",
            "--image=registry.example.com/w:1",
            "--replicas=3",
            "--password-file=/vault/secrets/pac",
            "--pod-annotation=vault.hashicorp.com/agent-inject=true",
        ],
    );
    for change in [
        "concurrency-enabled: \"false\" (the default) becomes \"true\"",
        "concurrency-driver: \"memory\" (the default) becomes \"postgresql\"",
        "postgresql-host: \"localhost\" (the default) becomes \"db.example.com\"",
    ] {
        assert!(said.contains(change), "{change:?} is not in:\n{said}");
    }
    let before = [settings(&cluster), cluster.get("deployment", OURS)["spec"].clone()];
    let said = apply(&cluster, &[]);
    assert!(said.contains("no setting changes"), "{said}");
    assert_eq!([settings(&cluster), cluster.get("deployment", OURS)["spec"].clone()], before);
    assert_eq!(before[0]["concurrency-enabled"], "true");

    // What is said anew is all that changes.
    let said = apply(&cluster, &["--set=postgresql-port=6432", "--image=registry.example.com/w:2"]);
    assert!(said.contains("settings that change:\n  postgresql-port: \"5432\" becomes \"6432\"\n"), "{said}");
    let mut expected = before[0].clone();
    expected["postgresql-port"] = json!("6432");
    assert_eq!(settings(&cluster), expected);
    let container = cluster.get("deployment", OURS)["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container["image"], "registry.example.com/w:2");
    assert_eq!(container["env"][0]["value"], "/vault/secrets/pac");
}

#[test]
fn a_file_of_settings_is_applied_and_reached_while_the_old_store_is_left() {
    let cluster = Cluster::start();
    apply(&cluster, &["--driver=etcd", "--set=etcd-endpoints=etcd.example.com:2390"]);
    assert_eq!(ports(&cluster), [2390]);
    let file = cluster.file("settings.yaml", "concurrency-driver: postgresql\npostgresql-host: db.example.com\n");
    let said = apply(&cluster, &["--settings", file.to_str().unwrap()]);
    assert!(said.contains("concurrency-driver: \"etcd\" becomes \"postgresql\""), "{said}");
    assert_eq!(ports(&cluster), [2390, 5432], "until all has moved over");
    apply(&cluster, &[]);
    assert_eq!(ports(&cluster), [5432]);
    assert_eq!(settings(&cluster)["etcd-endpoints"], "etcd.example.com:2390");
}

#[test]
fn settings_in_pacs_config_map_are_taken_over_and_win_no_more() {
    let cluster = Cluster::start();
    let pacs = json!({"metadata": {"name": "pipelines-as-code"}, "data": {
        "application-name": "My CI", "concurrency-enabled": "true", "concurrency-driver": "etcd", "etcd-password": "hunter2",
    }});
    cluster.api().create("/api/v1/namespaces/pipelines-as-code/configmaps", &pacs);
    let said = apply(&cluster, &[]);
    assert!(said.contains("no setting changes"), "{said}");
    assert!(said.contains("ConfigMap pipelines-as-code has 2 settings, too, which don't count any more"), "{said}");
    let ours = settings(&cluster);
    assert_eq!([&ours["concurrency-enabled"], &ours["concurrency-driver"]], ["true", "etcd"]);
    assert_eq!(ours["etcd-password"], "", "a password is not copied");
    assert!(!said.contains("hunter2"));
    assert_eq!(cluster.get("configmap", "pipelines-as-code")["data"], pacs["data"], "PAC's is left alone");
}

#[test]
fn two_that_would_start_runs_side_by_side_are_refused() {
    let cluster = Cluster::start();
    cluster.run(&["create", "--filename", cluster.file("pac.yaml", PACS_WATCHER).to_str().unwrap()]);
    let refused = |arguments: &[&str], words: &str| {
        let output = deploy(&cluster, &[arguments, &["--apply"]].concat());
        assert_eq!(output.status.code(), Some(1));
        let said = error_of(&output);
        assert!(said.contains("nothing was applied: ") && said.contains(words) && said.contains("--force"), "{said}");
    };
    refused(&["--mode=standalone"], "PAC's own watcher is at work");
    assert!(!cluster.kubectl(&["get", "configmap", "pac-concurrency"]).status.success());
    let output = deploy(&cluster, &["--mode=standalone", "--diff"]);
    assert!(output.status.success() && error_of(&output).contains("--apply would be refused"), "{}", error_of(&output));

    cluster.run(&["scale", "deployment", PACS_NAME, "--replicas=0"]);
    apply(&cluster, &["--mode=standalone"]);
    refused(&["--mode=companion", "--placement=pod"], "our watcher is at work in standalone mode");

    // The same Deployment takes on the other mode.
    apply(&cluster, &["--mode=companion", "--gate=deny"]);
    cluster.run(&["scale", "deployment", PACS_NAME, "--replicas=1"]);

    // Without a mode, a gate and a placement they are those that are there.
    let said = apply(&cluster, &["--image=registry.example.com/w:2"]);
    assert!(said.contains("gate: deny, since the cluster has it already"), "{said}");
    let container = cluster.get("deployment", OURS)["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container["image"], "registry.example.com/w:2");
    let arguments = container["args"].as_array().unwrap();
    assert!(
        arguments.contains(&json!("--mode=companion")) && arguments.contains(&json!("--gate=deny")),
        "{arguments:?}"
    );
    refused(&["--mode=standalone"], "PAC's own watcher is at work");
}

/// With the real kubectl, and the kinds that each Kubernetes serves.
#[test]
fn each_kubernetes_gets_the_best_gate_that_it_has() {
    let beta = "admissionregistration.k8s.io/v1beta1";
    for (version, gate, kind, served) in [
        (&["--kubernetes=1.36"][..], "policy", "mutatingadmissionpolicybinding", "admissionregistration.k8s.io/v1"),
        (&["--kubernetes=1.34", "--beta-apis"], "policy", "mutatingadmissionpolicybinding", beta),
        (&["--kubernetes=1.34"], "webhook", "mutatingwebhookconfiguration", "admissionregistration.k8s.io/v1"),
        (&["--kubernetes=1.29"], "webhook", "mutatingwebhookconfiguration", "admissionregistration.k8s.io/v1"),
    ] {
        let cluster = Cluster::of_version(version);
        cluster.run(&["create", "--filename", cluster.file("pac.yaml", PACS_WATCHER).to_str().unwrap()]);
        let said = apply(&cluster, &["--mode=companion"]);
        assert!(said.contains(&format!("gate: {gate}, since the API server serves")), "{said}");
        assert_eq!(cluster.get(kind, "pac-concurrency-execution-order")["apiVersion"], served, "{version:?}");
        let said = apply(&cluster, &[]);
        assert!(said.contains(&format!("gate: {gate}, since the cluster has it already")), "{said}");
    }
    let cluster = Cluster::of_version(&["--kubernetes=1.29"]);
    cluster.run(&["create", "--filename", cluster.file("pac.yaml", PACS_WATCHER).to_str().unwrap()]);
    let output = deploy(&cluster, &["--mode=companion", "--gate=deny", "--apply"]);
    let said = error_of(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("nothing was applied, the cluster has no admissionregistration.k8s.io/v1 Validating"),
        "{said}"
    );
}

/// Somebody may lack the right to one kind of object: nothing is left half done.
#[test]
fn what_the_api_server_would_not_take_is_said_before_anything_is_applied() {
    let cluster = Cluster::start();
    cluster.run(&["create", "--filename", cluster.file("pac.yaml", PACS_WATCHER).to_str().unwrap()]);
    let message =
        "networkpolicies.networking.k8s.io is forbidden: User \"eve\" cannot patch resource \"networkpolicies\"";
    let refused = json!({"error": {"status": 403, "reason": "Forbidden", "message": message}});
    let rule = json!({"add": {"verb": "patch", "resource": "networkpolicies", "action": refused}});
    cluster.api().create("/_dev/faults", &rule);
    let output = deploy(&cluster, &["--mode=companion", "--apply"]);
    let said = error_of(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(message) && said.contains("nothing was applied, the API server would not take all of it"),
        "{said}"
    );
    let ours = cluster.run(&["get", support::EVERY_KIND, "--output=name"]);
    assert!(!ours.contains("pac-concurrency"), "{ours}");
    // Who insists gets what may be had, and is told what may not.
    let output = deploy(&cluster, &["--mode=companion", "--apply", "--force"]);
    assert!(!output.status.success() && error_of(&output).contains(message), "{}", error_of(&output));
    cluster.get("deployment", OURS);
}
