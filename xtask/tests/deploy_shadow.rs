//! Shadow mode from the first command of docs/companion.md to the last, and one apply from it to companion mode, by the real kubectl.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use support::applied::{apply, assert_settled, deploy};
use support::beside::{assert_promises, furnish, push, until_done, until_logged};
use support::cluster::Cluster;
use support::error_of;
use support::node::Node;
use support::page::{Page, run};

/// Every object of shadow mode's.
fn of_shadow(cluster: &Cluster) -> Vec<String> {
    let all = cluster.run(&["get", support::EVERY_KIND, "--output=name"]);
    all.lines().filter(|name| name.ends_with("/pac-concurrency-shadow")).map(str::to_owned).collect()
}

#[test]
fn it_is_installed_reports_and_is_removed_by_the_pages_commands() {
    let cluster = Cluster::start();
    let page = Page::read("companion.md");
    let api = furnish(&cluster);
    let node = Node::start(&cluster);
    let follow = |heading: &str| run(&cluster, cluster.folder.path(), &page.commands(heading));
    follow("Before switching on: shadow mode");
    assert_eq!(of_shadow(&cluster).len(), 7, "{:#?}", of_shadow(&cluster));
    assert!(!cluster.kubectl(&["get", "configmap", "pac-concurrency"]).status.success(), "it has no settings");
    assert!(!cluster.kubectl(&["get", "lease", "pac-concurrency-watcher"]).status.success(), "nor a Lease");
    until_logged(&node, "shadow mode: PAC's own queue starts PipelineRuns");

    push(&api, 0..6);
    until_done(&api, 6);
    let report = follow("The report");
    assert!(report.contains("What PAC's own queue did, and what pac-watcher would have done"), "{report}");
    let started = report.lines().find(|line| line.contains("runs that waited and were started")).unwrap();
    assert_eq!(started.split_whitespace().rev().take(2).collect::<Vec<_>>(), ["6", "6"], "{report}");

    // Applied again, nothing changes, and only an image does where one is said.
    let before = cluster.get("deployment", "pac-concurrency-shadow");
    apply(&cluster, &[]);
    assert_eq!(cluster.get("deployment", "pac-concurrency-shadow")["spec"], before["spec"]);
    assert_settled(&cluster);
    apply(&cluster, &["--image=registry.example.com/w:2"]);
    let container =
        cluster.get("deployment", "pac-concurrency-shadow")["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container["image"], "registry.example.com/w:2");

    follow("Removing shadow mode");
    cluster.run(&["delete", "servicemonitor", "pac-concurrency-shadow"]);
    assert_eq!(of_shadow(&cluster), Vec::<String>::new());
    assert_promises(&api, 6);
}

#[test]
fn one_apply_leads_from_shadow_to_companion_mode_while_runs_wait() {
    let cluster = Cluster::start();
    let api = furnish(&cluster);
    let node = Node::start(&cluster);
    apply(&cluster, &["--mode=shadow", "--image=registry.example.com/w:1"]);
    until_logged(&node, "shadow mode: PAC's own queue starts PipelineRuns");
    push(&api, 0..12);
    until_done(&api, 2);
    let companion = ["--mode=companion", "--driver=memory", "--set=concurrency-enabled=true"];
    let diff = error_of(&deploy(&cluster, &[&companion[..], &["--diff"]].concat()));
    assert!(diff.contains("--apply would remove shadow mode afterwards"), "{diff}");
    assert_eq!(of_shadow(&cluster).len(), 7);

    let said = apply(&cluster, &companion);
    for part in ["shadow mode ends with this", "removing the rights of shadow mode", "removing shadow mode"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert_eq!(of_shadow(&cluster), Vec::<String>::new());
    let container =
        cluster.get("deployment", "pac-concurrency-watcher")["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container["image"], "registry.example.com/w:1", "what isn't said stays");
    assert_settled(&cluster);
    push(&api, 12..18);
    until_done(&api, 18);
    assert_promises(&api, 18);
}

#[test]
fn it_is_refused_where_pacs_queue_is_not_what_starts_runs() {
    let cluster = Cluster::start();
    let output = deploy(&cluster, &["--mode=shadow", "--apply"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(error_of(&output).contains("beside which shadow mode works"), "{}", error_of(&output));
    furnish(&cluster);
    apply(&cluster, &["--mode=companion", "--driver=memory"]);
    let output = deploy(&cluster, &["--mode=shadow", "--apply"]);
    assert_eq!(output.status.code(), Some(1));
    let said = error_of(&output);
    assert!(said.contains("companion mode is installed in pipelines-as-code") && said.contains("--force"), "{said}");
    // Who insists has both, and nothing of the other one is touched.
    apply(&cluster, &["--mode=shadow", "--force"]);
    assert_eq!(of_shadow(&cluster).len(), 7);
    cluster.run(&["get", "mutatingadmissionpolicybinding", "pac-concurrency-execution-order"]);
    cluster.run(&["get", "deployment", "pac-concurrency-watcher"]);
}
