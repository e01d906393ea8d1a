//! The real kubectl applies the two files that others own as well, and PAC's own keys of the ConfigMap survive.
//!
//! What can't be shown here: the cluster keeps no managedFields, so that kubectl never comes to hand the fields of a former
//! plain apply over to a server-side one, which would take PAC's keys out. The manifest's annotation keeps it from that.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::path::PathBuf;

use serde_json::json;

use support::cluster::{Cluster, PACS_NAME, PACS_WATCHER};
use support::{error_of, workspace};

const SERVER_SIDE: [&str; 6] =
    ["apply", "--server-side", "--force-conflicts", "--field-manager=pac-watcher", "--validate=strict", "--filename"];
const PLAIN: [&str; 2] = ["apply", "--filename"];
/// What takes kubectl's memory of a plain apply away.
const HAND_OVER: [&str; 4] =
    ["annotate", "configmap", "pipelines-as-code", "kubectl.kubernetes.io/last-applied-configuration-"];

/// PAC's ConfigMap as its release has it.
fn pacs_own(cluster: &Cluster, application: &str) -> PathBuf {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "pipelines-as-code", "namespace": "pipelines-as-code", "labels": {"app.kubernetes.io/part-of": "pipelines-as-code"}},
        "data": {"application-name": application, "secret-auto-create": "true"},
    });
    cluster.file("pac.json", &map.to_string())
}

fn committed(name: &str) -> PathBuf {
    workspace().join("config").join(name)
}

fn apply(cluster: &Cluster, how: &[&str], file: &std::path::Path) -> String {
    cluster.run(&[how, &[file.to_str().unwrap()]].concat())
}

/// PAC's keys and ours.
fn has_both(cluster: &Cluster) -> [bool; 2] {
    let data = &cluster.get("configmap", "pipelines-as-code")["data"];
    [data["secret-auto-create"] == "true", data["concurrency-enabled"] == "false"]
}

#[test]
fn pacs_keys_survive_an_apply_on_the_server_and_ours_pacs_next_release() {
    let cluster = Cluster::start();
    apply(&cluster, &PLAIN, &pacs_own(&cluster, "One"));
    for _ in 0..2 {
        apply(&cluster, &SERVER_SIDE, &committed("302-pac-configmap.yaml"));
        assert_eq!(has_both(&cluster), [true, true]);
    }
    let labels = &cluster.get("configmap", "pipelines-as-code")["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/part-of"], "pipelines-as-code");
    apply(&cluster, &PLAIN, &pacs_own(&cluster, "Two"));
    assert_eq!(has_both(&cluster), [true, true]);
    assert_eq!(cluster.get("configmap", "pipelines-as-code")["data"]["application-name"], "Two");
}

#[test]
fn pacs_keys_survive_a_plain_apply_where_they_did_not_come_by_one() {
    let cluster = Cluster::start();
    let file = pacs_own(&cluster, "One");
    cluster.run(&["create", "--filename", file.to_str().unwrap()]);
    for _ in 0..2 {
        apply(&cluster, &PLAIN, &committed("302-pac-configmap.yaml"));
        assert_eq!(has_both(&cluster), [true, true]);
    }
}

#[test]
fn pacs_keys_survive_a_plain_apply_after_one_on_the_server() {
    let cluster = Cluster::start();
    apply(&cluster, &PLAIN, &pacs_own(&cluster, "One"));
    apply(&cluster, &SERVER_SIDE, &committed("302-pac-configmap.yaml"));
    for _ in 0..2 {
        apply(&cluster, &PLAIN, &committed("302-pac-configmap.yaml"));
        assert_eq!(has_both(&cluster), [true, true]);
    }
}

#[test]
fn pacs_keys_survive_a_plain_apply_over_a_plain_apply_only_once_they_were_handed_over() {
    for handed_over in [false, true] {
        let cluster = Cluster::start();
        apply(&cluster, &PLAIN, &pacs_own(&cluster, "One"));
        if handed_over {
            cluster.run(&HAND_OVER);
            // Once is enough, and once more does no harm.
            cluster.run(&HAND_OVER);
        }
        for _ in 0..2 {
            apply(&cluster, &PLAIN, &committed("302-pac-configmap.yaml"));
            // What happens otherwise is kubectl's rule, not ours; if it changes, the warnings about it can go.
            assert_eq!(has_both(&cluster), [handed_over, true]);
        }
    }
}

#[test]
fn our_container_survives_pacs_next_release() {
    let cluster = Cluster::start();
    apply(&cluster, &PLAIN, &cluster.file("one.yaml", PACS_WATCHER));
    let patch = workspace().join("config/companion-postgresql/pipelines-as-code-watcher-patch.yaml");
    cluster.run(&["patch", "deployment", PACS_NAME, "--patch-file", patch.to_str().unwrap()]);
    apply(&cluster, &PLAIN, &cluster.file("two.yaml", &PACS_WATCHER.replace("pac:v1", "pac:v2")));
    let pod = &cluster.get("deployment", PACS_NAME)["spec"]["template"]["spec"];
    let containers = pod["containers"].as_array().unwrap();
    let images: Vec<&str> = containers.iter().map(|container| container["image"].as_str().unwrap()).collect();
    assert_eq!(images, ["pac:v2", concat!("pac-watcher:", env!("CARGO_PKG_VERSION"))]);
    assert_eq!(pod["volumes"].as_array().unwrap().len(), 2);
}

#[test]
fn a_password_that_is_there_survives_the_secret_without_one() {
    for how in [&PLAIN[..], &SERVER_SIDE] {
        let cluster = Cluster::start();
        cluster.run(&[
            "create",
            "secret",
            "generic",
            "pac-concurrency-secret",
            "--from-literal=postgresql-password=your-secure-password",
        ]);
        for _ in 0..2 {
            apply(&cluster, how, &committed("concurrency-secret.yaml"));
            let secret = cluster.get("secret", "pac-concurrency-secret");
            assert_eq!(secret["data"]["postgresql-password"], "eW91ci1zZWN1cmUtcGFzc3dvcmQ=");
        }
    }
}

#[test]
fn nothing_is_applied_where_pacs_watcher_is_missing() {
    let cluster = Cluster::start();
    let mut command = support::deploy(&["--mode", "companion", "--driver", "etcd", "--apply"]);
    let output = command.env("KUBECONFIG", cluster.kubeconfig()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = error_of(&output);
    assert!(said.contains("nothing was applied, there is no Deployment pipelines-as-code-watcher"), "{said}");
    assert!(!cluster.kubectl(&["get", "configmap", "pipelines-as-code"]).status.success());
}
