//! docs/companion.md, command by command, in a cluster where runs wait: beside PAC's queue, which is played, none is lost
//! and none is started twice, and the limit holds.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::Duration;

use pac_devservers::process::wait_until;

use support::api::EXECUTION_ORDER;
use support::beside::{assert_promises, furnish, push, queued, until_done, until_logged, until_some_more_are_done};
use support::cluster::Cluster;
use support::node::Node;
use support::page::{Page, run};

const PATIENCE: Duration = Duration::from_secs(60);
/// As the page has it where the Prometheus operator is.
const MONITORING: &str = "kubectl delete servicemonitor,prometheusrule pac-concurrency-watcher -n pipelines-as-code";

/// Follows the page with a watcher placed so and such a gate, and removes it by the sections for those.
fn switched_on_and_off_and_removed(placement: &str, gate: &str, removal: &str) {
    let cluster = Cluster::start();
    let page = Page::read("companion.md");
    let api = furnish(&cluster);
    let node = Node::start(&cluster);
    let follow = |heading: &str| {
        let commands =
            page.commands(heading).replace("--mode companion", &format!("--mode companion --gate {gate} {placement}"));
        let commands = match placement {
            "" => commands,
            _ => commands
                .replace("status deployment/pac-concurrency-watcher", "status deployment/pipelines-as-code-watcher"),
        };
        let commands = format!("export PAC_WATCHER_ADMIN_URL={}\n{commands}", node.admin_url(&cluster));
        run(&cluster, cluster.folder.path(), &commands)
    };
    push(&api, 0..12);
    until_done(&api, 2);

    follow("Installing");
    assert_eq!(cluster.get("configmap", "pipelines-as-code")["data"]["application-name"], "My CI");
    until_some_more_are_done(&api, 12);
    assert!(!node.log().contains("acquired concurrency slot"), "PAC admits until it is switched on");
    let kind = if gate == "policy" { "mutatingadmissionpolicybinding" } else { "validatingadmissionpolicybinding" };
    let state = page.commands("How it works").replace("mutatingadmissionpolicybinding", kind);
    let state = || run(&cluster, cluster.folder.path(), &state);
    assert!(state().contains("DoesNotExist"), "open: {}", state());

    push(&api, 12..24);
    follow("Switching it on");
    assert_eq!(state(), "{}", "closed");
    let pacs = queued(&api)[0];
    push(&api, 24..30);
    assert!(queued(&api)[0] <= pacs, "PAC's queue gets nothing any more");
    until_logged(&node, "Initialized concurrency system with driver: memory");
    until_logged(&node, "acquired concurrency slot for ci/run-");
    assert_eq!(queued(&api)[0], 0, "PAC's queue is empty before ours goes on");

    push(&api, 30..36);
    follow("Switching it off");
    // Where no order was kept, PAC has 15 s to write one itself.
    wait_until("PAC's queue has all of them back", PATIENCE, || Ok(queued(&api)[1] == 0)).unwrap();
    let admitted = node.log().matches("acquired concurrency slot").count();
    until_done(&api, 36);
    assert_eq!(node.log().matches("acquired concurrency slot").count(), admitted, "it is PAC that admits");

    follow(removal);
    let gate =
        page.all("bash", "The gate").into_iter().find(|block| block.text.starts_with(&format!("# --gate {gate}\n")));
    run(&cluster, cluster.folder.path(), &gate.unwrap().text);
    follow("The rest");
    run(&cluster, cluster.folder.path(), MONITORING);
    assert_eq!(of_ours(&cluster), "");
    let template = &cluster.get("deployment", "pipelines-as-code-watcher")["spec"]["template"];
    assert_eq!(template["spec"]["containers"].as_array().unwrap().len(), 1);
    assert!(!template.to_string().contains("concurrency"), "{template:#}");
    assert_eq!(cluster.get("configmap", "pipelines-as-code")["data"].as_object().unwrap().len(), 9);
    assert_promises(&api, 36);
}

#[test]
fn switched_on_and_off_and_removed_while_runs_wait_none_is_lost_and_none_doubled() {
    switched_on_and_off_and_removed("", "policy", "Removing it");
}

#[test]
fn the_same_with_the_gate_that_refuses() {
    switched_on_and_off_and_removed("", "deny", "Removing it");
}

#[test]
fn the_same_in_pacs_pod() {
    switched_on_and_off_and_removed("--placement pod", "policy", "In PAC's pod");
}

/// A run keeps PAC's annotation through whatever is written of it after the gate was closed: it is PAC's.
#[test]
fn what_pacs_queue_has_it_starts_and_ours_waits_for_that() {
    let cluster = Cluster::start();
    let page = Page::read("companion.md");
    let api = furnish(&cluster);
    let node = Node::start(&cluster);
    run(&cluster, cluster.folder.path(), &page.commands("Installing"));
    push(&api, 0..30);
    cluster.run(&[
        "patch",
        "configmap",
        "pac-concurrency",
        "--namespace=pipelines-as-code",
        "--type=merge",
        r#"--patch={"data":{"concurrency-enabled":"true"}}"#,
    ]);
    until_logged(&node, "Initialized concurrency system");
    let runs = api.runs();
    let waiting = runs.iter().filter(|run| run["spec"]["status"] == "PipelineRunPending");
    let waiting: Vec<&str> = waiting.map(|run| run["metadata"]["name"].as_str().unwrap()).collect();
    assert!(!waiting.is_empty(), "PAC's queue has some");
    for name in &waiting {
        api.patch_run(name, &serde_json::json!({"metadata": {"annotations": {"any": "thing"}}}));
    }
    until_done(&api, 30);
    let runs = api.runs();
    let lost = runs.iter().filter(|run| support::api::annotation(run, EXECUTION_ORDER).is_none()).count();
    assert_eq!(lost, 0, "all were PAC's");
    assert!(!node.log().contains("acquired concurrency slot"), "{}", node.log());
    assert_promises(&api, 30);
}

/// Whatever `deploy` made is gone after the sections for what it was.
#[test]
fn removing_it_leaves_nothing_whatever_the_placement_and_the_gate() {
    let page = Page::read("companion.md");
    let chosen = support::VARIANTS.into_iter().filter_map(|chosen| Some((chosen, support::gate(chosen)?)));
    for (chosen, gate) in chosen {
        let cluster = Cluster::start();
        furnish(&cluster);
        let mut deploy = support::deploy(&[chosen, &["--apply"]].concat());
        let output =
            deploy.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cluster.folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", support::error_of(&output));
        let follow = |commands: &str| run(&cluster, cluster.folder.path(), commands);
        assert_ne!(of_ours(&cluster), "");
        follow(&page.commands(if support::in_pacs_pod(chosen) { "In PAC's pod" } else { "Removing it" }));
        let blocks = page.all("bash", "The gate").into_iter();
        let mut blocks = blocks.filter(|block| block.text.starts_with(&format!("# --gate {gate}\n")));
        follow(&blocks.next().unwrap().text);
        follow(&page.commands("The rest"));
        follow(MONITORING);
        assert_eq!(of_ours(&cluster), "", "{chosen:?}");
        let template = &cluster.get("deployment", "pipelines-as-code-watcher")["spec"]["template"];
        assert!(!template.to_string().contains("concurrency"), "{template:#}");
    }
}

/// Every object with our name, of every kind that we have.
fn of_ours(cluster: &Cluster) -> String {
    let all = cluster.run(&["get", support::EVERY_KIND, "--output=name"]);
    all.lines().filter(|name| name.contains("pac-concurrency")).collect::<Vec<_>>().join("\n")
}
