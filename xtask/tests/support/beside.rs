//! Runs that are pushed while PAC's queue, as the development cluster plays it, and our watcher are both there.

use std::ops::Range;
use std::time::Duration;

use pac_devservers::process::wait_until;
use serde_json::Value;

use super::api::{Api, EXECUTION_ORDER, annotation};
use super::cluster::{Cluster, PACS_SETTINGS, PACS_WATCHER};
use super::node::Node;

const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT: u32 = 2;

/// PAC as its release leaves it, and a Repository in which two may run at once.
pub(crate) fn furnish(cluster: &Cluster) -> Api {
    let api = cluster.api();
    cluster.run(&["create", "--filename", cluster.file("pac.yaml", PACS_WATCHER).to_str().unwrap()]);
    cluster.run(&["apply", "--filename", cluster.file("settings.yaml", PACS_SETTINGS).to_str().unwrap()]);
    api.create_repository(LIMIT);
    api
}

/// Events of three runs each.
pub(crate) fn push(api: &Api, numbers: Range<usize>) {
    let names: Vec<String> = numbers.map(|number| format!("run-{number:02}")).collect();
    names.chunks(3).for_each(|event| api.push(event));
}

pub(crate) fn until_done(api: &Api, count: usize) {
    wait_until("runs are done", PATIENCE, || Ok(api.count("completed") >= count)).unwrap();
}

/// Two more, if there are two more among `all`.
pub(crate) fn until_some_more_are_done(api: &Api, all: usize) {
    until_done(api, (api.count("completed") + 2).min(all));
}

pub(crate) fn until_logged(node: &Node, line: &str) {
    wait_until(line, PATIENCE, || Ok(node.log().contains(line))).unwrap();
}

/// Of the runs that wait, how many have PAC's annotation, and how many have not.
pub(crate) fn queued(api: &Api) -> [usize; 2] {
    let runs = api.runs();
    let queued = runs.iter().filter(|run| run["spec"]["status"] == "PipelineRunPending");
    let (pacs, ours): (Vec<&Value>, Vec<&Value>) = queued.partition(|run| annotation(run, EXECUTION_ORDER).is_some());
    [pacs.len(), ours.len()]
}

/// All of so many runs were started once and are done, and never more than the limit ran, whoever started them.
pub(crate) fn assert_promises(api: &Api, runs: usize) {
    let verdict = api.get("/_dev/verdict").unwrap();
    // P3 is not for here: PAC's queue goes by when it heard of a run. Nor is P4: while PAC's watcher rests nobody may admit.
    for promise in &verdict["promises"].as_array().unwrap()[..2] {
        assert_eq!(promise["held"], true, "{promise:#}");
    }
    assert_eq!((verdict["started"].as_u64(), verdict["done"].as_u64()), (Some(runs as u64), Some(runs as u64)));
}
