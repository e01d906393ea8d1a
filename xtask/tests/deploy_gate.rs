//! The gates of companion mode, evaluated by the development cluster: open and closed, with every way in which a write may or may not
//! bring PAC's annotation.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use serde_json::{Value, json};

use support::api::{Api, EXECUTION_ORDER};
use support::cluster::Cluster;
use support::typed::documents;
use support::{rendered, workspace};

const KEPT: &str = "concurrency.pipelinesascode.tekton.dev/execution-order";
const HANDED_BACK: &str = "concurrency.pipelinesascode.tekton.dev/handed-back";
const RUNS: &str = "/apis/tekton.dev/v1/namespaces/ci/pipelineruns";

/// What a gate makes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// What was written.
    Nothing,
    /// PAC's annotation has the other name.
    Renamed,
    /// Nothing was written.
    Refused,
}

/// A cluster with the gate as `deploy` makes it for a system that is on or off.
fn with_gate(gate: &str, enabled: bool) -> (Cluster, Api) {
    let cluster = Cluster::start();
    close_or_open(&cluster, gate, enabled);
    let api = cluster.api();
    api.create("/api/v1/namespaces", &json!({"metadata": {"name": "ci"}}));
    (cluster, api)
}

fn close_or_open(cluster: &Cluster, gate: &str, enabled: bool) {
    let setting = format!("--set=concurrency-enabled={enabled}");
    let (folder, _) = rendered(&["--mode=companion", &format!("--gate={gate}"), &setting]);
    let policy = folder.path().join("execution-order-policy.yaml");
    cluster.run(&["apply", "--server-side", "--validate=strict", "--filename", policy.to_str().unwrap()]);
}

fn create(api: &Api, annotations: &Value) {
    let metadata = json!({"name": "run", "annotations": annotations});
    api.create(RUNS, &json!({"metadata": metadata, "spec": {"status": "PipelineRunPending"}}));
}

/// Writes annotations onto a run that has `before`, and says what came of it; the run is gone then.
fn write(api: &Api, before: &Value, brought: &Value) -> Made {
    create(api, before);
    let path = format!("{RUNS}/run");
    let request = ureq::patch(format!("{}{path}", api.url)).content_type("application/merge-patch+json");
    let request = request.config().http_status_as_error(false).build();
    let mut answer = request.send(json!({"metadata": {"annotations": brought}}).to_string()).unwrap();
    let (status, body): (u16, Value) = (answer.status().as_u16(), answer.body_mut().read_json().unwrap());
    let found = api.get(&path).unwrap()["metadata"].get("annotations").cloned().unwrap_or(json!({}));
    api.delete(&path);
    let mut wanted = before.clone();
    if status != 200 {
        let said = body["message"].as_str().unwrap();
        assert_eq!((status, &found), (403, &wanted), "{said}");
        assert!(said.contains("pac-concurrency-execution-order") && said.contains("in the order of names"), "{said}");
        return Made::Refused;
    }
    for (name, value) in brought.as_object().unwrap() {
        wanted[name] = value.clone();
    }
    if found == wanted {
        return Made::Nothing;
    }
    let order = wanted.as_object_mut().unwrap().remove(EXECUTION_ORDER).unwrap();
    wanted[KEPT] = order;
    assert_eq!(found, wanted);
    Made::Renamed
}

/// Every way in which PAC's annotation may be on a run before and after a write, with what a closed gate makes of it.
fn assert_acts(api: &Api, closed: Made) {
    let (one, other, time) = ("ci/a,ci/b", "ci/b,ci/a", "2026-01-01T00:00:00Z");
    let cases = [
        // PAC's one write, onto a run with other annotations, and with what was kept of an earlier one.
        (json!({"other": "x"}), json!({EXECUTION_ORDER: one}), closed),
        (json!({KEPT: other}), json!({EXECUTION_ORDER: one, "more": "y"}), closed),
        (json!({EXECUTION_ORDER: one}), json!({EXECUTION_ORDER: other}), closed),
        // Who has it already is PAC's.
        (json!({EXECUTION_ORDER: one}), json!({"other": "x"}), Made::Nothing),
        (json!({EXECUTION_ORDER: one}), json!({EXECUTION_ORDER: one, "other": "x"}), Made::Nothing),
        (json!({KEPT: one}), json!({"other": "x"}), Made::Nothing),
        // What our watcher gives back.
        (json!({KEPT: one}), json!({EXECUTION_ORDER: one, HANDED_BACK: time}), Made::Nothing),
        (json!({HANDED_BACK: "before"}), json!({EXECUTION_ORDER: one, HANDED_BACK: time}), Made::Nothing),
        // A marker of before, or the same again, says nothing about this order.
        (json!({HANDED_BACK: time}), json!({EXECUTION_ORDER: one}), closed),
        (json!({HANDED_BACK: time}), json!({EXECUTION_ORDER: one, HANDED_BACK: time}), closed),
    ];
    for (before, brought, made) in cases {
        assert_eq!(write(api, &before, &brought), made, "{before} {brought}");
    }
}

#[test]
fn a_closed_gate_acts_on_the_write_that_brings_the_annotation_and_an_open_one_on_none() {
    for (gate, closed) in [("policy", Made::Renamed), ("deny", Made::Refused)] {
        let (cluster, api) = with_gate(gate, true);
        assert_acts(&api, closed);
        close_or_open(&cluster, gate, false);
        assert_acts(&api, Made::Nothing);
        close_or_open(&cluster, gate, true);
        assert_acts(&api, closed);
    }
}

/// One patch of the one object, by whatever manager, is all that it takes; and an apply overrules it.
#[test]
fn the_selector_alone_opens_and_closes_it() {
    for (gate, binding, closed) in [
        ("policy", "mutatingadmissionpolicybindings", Made::Renamed),
        ("deny", "validatingadmissionpolicybindings", Made::Refused),
    ] {
        let (cluster, api) = with_gate(gate, true);
        let path = format!("/apis/admissionregistration.k8s.io/v1/{binding}/pac-concurrency-execution-order");
        let brought = || write(&api, &json!({}), &json!({EXECUTION_ORDER: "ci/run"}));
        let nowhere = json!([{"key": "kubernetes.io/metadata.name", "operator": "DoesNotExist"}]);
        let select = |expressions: Value| {
            let selector = json!({"matchExpressions": expressions});
            api.patch(&path, &json!({"spec": {"matchResources": {"namespaceSelector": selector}}}));
        };
        select(nowhere.clone());
        assert_eq!(brought(), Made::Nothing);
        select(Value::Null);
        assert_eq!(brought(), closed);
        select(nowhere);
        close_or_open(&cluster, gate, true);
        assert_eq!(brought(), closed);
    }
}

#[test]
fn a_run_is_created_with_whatever_annotations_and_its_status_is_nobodys_business() {
    for gate in ["policy", "deny"] {
        let (_cluster, api) = with_gate(gate, true);
        create(&api, &json!({EXECUTION_ORDER: "ci/run", KEPT: "ci/other"}));
        let path = format!("{RUNS}/run");
        api.patch(&format!("{path}/status"), &json!({"status": {"spanContext": {"traceparent": "any"}}}));
        let annotations = api.get(&path).unwrap()["metadata"]["annotations"].clone();
        assert_eq!([&annotations[EXECUTION_ORDER], &annotations[KEPT]], ["ci/run", "ci/other"]);
    }
}

/// The copy by which the watcher and its webhook are tested. Labels, the namespace and whom the Service selects are a cluster's own.
#[test]
fn the_webhook_that_is_tested_elsewhere_is_the_one_that_is_deployed() {
    let (_folder, files) = rendered(&["--mode=companion", "--gate=webhook", "--set=concurrency-enabled=true"]);
    let mut made = documents(&files["execution-order-webhook.yaml"]);
    for object in &mut made {
        object["metadata"] = json!({"name": object["metadata"]["name"]});
        if let Some(spec) = object.get_mut("spec") {
            spec.as_object_mut().unwrap().remove("selector");
        }
    }
    let copy = std::fs::read_to_string(workspace().join("crates/pac-webhook/tests/gate.yaml")).unwrap();
    assert_eq!(made, documents(&copy));
}
