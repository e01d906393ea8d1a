//! The admission policy of companion mode, evaluated by the development cluster: every value of `concurrency-enabled`, with every
//! set of names a run may have.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::Duration;

use pac_devservers::process::wait_until;
use serde_json::{Value, json};

use support::api::{Api, EXECUTION_ORDER};
use support::cluster::Cluster;
use support::workspace;

const PATIENCE: Duration = Duration::from_secs(60);
const KEPT: &str = "concurrency.pipelinesascode.tekton.dev/execution-order";
const SETTINGS: &str = "/api/v1/namespaces/pipelines-as-code/configmaps";
const RUNS: &str = "/apis/tekton.dev/v1/namespaces/ci/pipelineruns";

fn furnish() -> (Cluster, Api) {
    let cluster = Cluster::start();
    let policy = workspace().join("config/companion-memory/execution-order-policy.yaml");
    cluster.run(&["apply", "--server-side", "--validate=strict", "--filename", policy.to_str().unwrap()]);
    let api = cluster.api();
    api.create("/api/v1/namespaces", &json!({"metadata": {"name": "ci"}}));
    (cluster, api)
}

/// The two names a run ends up with when it is created with these.
fn after_creation(api: &Api, name: &str, pacs: Option<&str>, kept: Option<&str>) -> [Option<String>; 2] {
    let mut metadata = json!({"name": name});
    for (annotation, value) in [(EXECUTION_ORDER, pacs), (KEPT, kept)] {
        if let Some(value) = value {
            metadata["annotations"][annotation] = value.into();
            metadata["annotations"]["other"] = "x".into();
        }
    }
    api.create(RUNS, &json!({"metadata": metadata, "spec": {"status": "PipelineRunPending"}}));
    let run = api.get(&format!("{RUNS}/{name}")).unwrap();
    api.delete(&format!("{RUNS}/{name}"));
    let annotations = &run["metadata"]["annotations"];
    if metadata.get("annotations").is_some() {
        assert_eq!(annotations["other"], "x");
    }
    [EXECUTION_ORDER, KEPT].map(|name| annotations[name].as_str().map(str::to_owned))
}

/// How each set of names ends up: as it was, kept, or given back.
fn assert_names(api: &Api, enabled: &str, is_on: bool) {
    let (a, b) = (Some("ci/a".to_owned()), Some("ci/b".to_owned()));
    let expected = match is_on {
        true => [[None, None], [None, a.clone()], [None, b.clone()], [None, a.clone()]],
        // With both there, PAC's is the newer one and stays.
        false => [[None, None], [a.clone(), None], [b.clone(), None], [a.clone(), b.clone()]],
    };
    let sets = [(None, None), (Some("ci/a"), None), (None, Some("ci/b")), (Some("ci/a"), Some("ci/b"))];
    for ((pacs, kept), expected) in sets.into_iter().zip(expected) {
        assert_eq!(after_creation(api, "run", pacs, kept), expected, "{enabled}: {pacs:?} {kept:?}");
    }
}

#[test]
fn the_annotation_is_pacs_while_the_system_is_off_and_ours_while_it_is_on() {
    let (_cluster, api) = furnish();
    api.create(SETTINGS, &json!({"metadata": {"name": "pac-concurrency"}}));
    // Neither, or none: the watcher stays as it was, and may be at work.
    assert_names(&api, "no data", true);
    let values = [("false", false), ("FALSE", false), (" no ", false), ("0", false)];
    let values = values.into_iter().chain([("true", true), ("True", true), (" yes ", true), ("1", true)]);
    for (value, is_on) in values.chain([("maybe", true), ("", true)]) {
        api.patch(&format!("{SETTINGS}/pac-concurrency"), &json!({"data": {"concurrency-enabled": value}}));
        assert_names(&api, value, is_on);
    }
}

#[test]
fn without_a_config_map_nothing_is_changed() {
    let (_cluster, api) = furnish();
    // What another says is not for the policy.
    let other = json!({"metadata": {"name": "pipelines-as-code"}, "data": {"concurrency-enabled": "true"}});
    api.create(SETTINGS, &other);
    let [pacs, kept] = after_creation(&api, "run", Some("ci/a"), Some("ci/b"));
    assert_eq!([pacs.as_deref(), kept.as_deref()], [Some("ci/a"), Some("ci/b")]);
    assert_eq!(after_creation(&api, "run", None, None), [None, None]);
}

#[test]
fn a_patch_of_the_run_counts_and_one_of_its_status_does_not() {
    let (_cluster, api) = furnish();
    api.create(SETTINGS, &json!({"metadata": {"name": "pac-concurrency"}, "data": {"concurrency-enabled": "false"}}));
    let metadata = json!({"name": "run", "annotations": {EXECUTION_ORDER: "ci/run"}});
    api.create(RUNS, &json!({"metadata": metadata, "spec": {"status": "PipelineRunPending"}}));
    let run = || -> Value { api.get(&format!("{RUNS}/run")).unwrap() };
    // What Tekton writes is out of the way then.
    wait_until("Tekton has seen the run", PATIENCE, || Ok(run().pointer("/status/conditions").is_some())).unwrap();
    api.patch(&format!("{SETTINGS}/pac-concurrency"), &json!({"data": {"concurrency-enabled": "true"}}));
    let names = || [EXECUTION_ORDER, KEPT].map(|name| run()["metadata"]["annotations"][name].is_string());
    api.patch(&format!("{RUNS}/run/status"), &json!({"status": {"spanContext": {"traceparent": "any"}}}));
    assert_eq!(names(), [true, false]);
    api.patch_run("run", &json!({"metadata": {"annotations": {"any": "thing"}}}));
    assert_eq!(names(), [false, true]);
}
