//! docs/companion.md, command by command, in a cluster where runs wait: beside PAC's queue, which is played, none is lost
//! and none is started twice, and the limit holds.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::Duration;

use pac_devservers::process::wait_until;
use serde_json::Value;

use support::api::{Api, EXECUTION_ORDER, annotation};
use support::cluster::{Cluster, PACS_SETTINGS, PACS_WATCHER};
use support::node::Node;
use support::page::{Page, run};

const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT: u32 = 2;
/// What the watcher says of a queue that is at work beside it.
const BESIDE: &str = "PAC's own queue may start runs beside the limit";

fn push(api: &Api, numbers: std::ops::Range<usize>) {
    let names: Vec<String> = numbers.map(|number| format!("run-{number:02}")).collect();
    names.chunks(3).for_each(|event| api.push(event));
}

fn until_done(api: &Api, count: usize) {
    wait_until("runs are done", PATIENCE, || Ok(api.count("completed") >= count)).unwrap();
}

/// Two more, if there are two more among `all`.
fn until_some_more_are_done(api: &Api, all: usize) {
    until_done(api, (api.count("completed") + 2).min(all));
}

/// Of the runs that wait, how many have PAC's annotation, and how many have not.
fn queued(api: &Api) -> [usize; 2] {
    let runs = api.runs();
    let queued = runs.iter().filter(|run| run["spec"]["status"] == "PipelineRunPending");
    let (pacs, ours): (Vec<&Value>, Vec<&Value>) = queued.partition(|run| annotation(run, EXECUTION_ORDER).is_some());
    [pacs.len(), ours.len()]
}

fn furnish(cluster: &Cluster) -> Api {
    let api = cluster.api();
    cluster.run(&["create", "--filename", cluster.file("pac.yaml", PACS_WATCHER).to_str().unwrap()]);
    cluster.run(&["apply", "--filename", cluster.file("settings.yaml", PACS_SETTINGS).to_str().unwrap()]);
    api.create_repository(LIMIT);
    api
}

fn assert_promises(api: &Api, runs: usize) {
    let verdict = api.get("/_dev/verdict").unwrap();
    // P3 is not for here: PAC's queue goes by when it heard of a run. Nor is P4: while the pod is stopped nobody admits.
    for promise in &verdict["promises"].as_array().unwrap()[..2] {
        assert_eq!(promise["held"], true, "{promise:#}");
    }
    assert_eq!((verdict["started"].as_u64(), verdict["done"].as_u64()), (Some(runs as u64), Some(runs as u64)));
}

#[test]
fn switched_on_and_off_and_removed_while_runs_wait_none_is_lost_and_none_doubled() {
    let cluster = Cluster::start();
    let page = Page::read("companion.md");
    let follow = |heading: &str| run(&cluster, cluster.folder.path(), &page.commands(heading));
    let api = furnish(&cluster);
    let node = Node::start(&cluster);
    push(&api, 0..12);
    until_done(&api, 2);

    follow("Installing");
    assert_eq!(cluster.get("configmap", "pipelines-as-code")["data"]["application-name"], "My CI");
    until_some_more_are_done(&api, 12);
    assert!(!node.log().contains("acquired concurrency slot"), "PAC admits until it is switched on");

    push(&api, 12..24);
    follow("Switching it on");
    assert_eq!(queued(&api)[0], 0, "PAC's queue has nothing");
    push(&api, 24..30);
    assert_eq!(queued(&api)[0], 0, "nor does it get anything");
    until_some_more_are_done(&api, 30);
    let said = |line: &str| wait_until(line, PATIENCE, || Ok(node.log().contains(line)));
    for line in ["Initialized concurrency system with driver: memory", "acquired concurrency slot for ci/run-"] {
        said(line).unwrap();
    }

    push(&api, 30..36);
    follow("Switching it off");
    assert_eq!(queued(&api)[1], 0, "PAC's queue has all of them back");
    let admitted = node.log().matches("acquired concurrency slot").count();
    until_done(&api, 36);
    assert_eq!(node.log().matches("acquired concurrency slot").count(), admitted, "it is PAC that admits");

    assert!(!node.log().contains(BESIDE), "{}", node.log());
    follow("Removing it");
    let deployment = cluster.get("deployment", "pipelines-as-code-watcher");
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 1);
    assert!(cluster.run(&["get", "mutatingadmissionpolicies", "--output=name"]).is_empty());
    assert!(!cluster.kubectl(&["get", "configmap", "pac-concurrency"]).status.success());
    assert_eq!(cluster.get("configmap", "pipelines-as-code")["data"].as_object().unwrap().len(), 9);
    assert_promises(&api, 36);
}

/// What the order of steps is for: without it PAC's memory is at work beside ours.
#[test]
fn switched_on_beside_pacs_memory_the_repository_is_held_and_it_is_said() {
    let cluster = Cluster::start();
    let page = Page::read("companion.md");
    let api = furnish(&cluster);
    let node = Node::start(&cluster);
    run(&cluster, cluster.folder.path(), &page.commands("Installing"));
    push(&api, 0..60);
    until_done(&api, 1);
    let on = page.commands("Switching it on");
    let at_once: String =
        on.split("\n\n").filter(|step| step.contains("kubectl patch configmap")).collect::<Vec<_>>().join("\n\n");
    run(&cluster, cluster.folder.path(), &at_once);
    wait_until("PAC's queue is seen", PATIENCE, || Ok(node.log().contains(BESIDE))).unwrap();
}
