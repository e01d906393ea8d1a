//! From what a cluster has to something else, by one `cargo xtask deploy --apply`, while runs wait: another gate, another
//! placement, and what the version before the gate left. And an operator who writes back what is PAC's.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use support::api::Api;
use support::applied::{apply, assert_settled};
use support::beside::{assert_promises, furnish, push, until_done, until_logged, until_some_more_are_done};
use support::cluster::{Cluster, PACS_NAME};
use support::node::Node;

const OURS: &str = "pac-concurrency-watcher";
const GATE: &str = "pac-concurrency-execution-order";
const ON: [&str; 3] = ["--mode=companion", "--driver=memory", "--set=concurrency-enabled=true"];

fn names(list: &str) -> Vec<&str> {
    list.lines().filter_map(|line| line.split_once('.').map(|(kind, _)| kind)).collect()
}

/// The kinds of the gate that are there.
fn gates(cluster: &Cluster) -> Vec<String> {
    let kinds = "mutatingadmissionpolicies,mutatingadmissionpolicybindings,validatingadmissionpolicies,\
                 validatingadmissionpolicybindings";
    let list = cluster.run(&["get", kinds, "--output=name"]);
    names(&list).into_iter().map(str::to_owned).collect()
}

fn accounts(cluster: &Cluster) -> Vec<String> {
    let of = |kind: &str| cluster.get(kind, OURS)["subjects"].as_array().unwrap().clone();
    let everywhere = of("clusterrolebinding");
    assert_eq!(everywhere, of("rolebinding"));
    everywhere.iter().map(|subject| subject["name"].as_str().unwrap().to_owned()).collect()
}

fn containers(cluster: &Cluster, deployment: &str) -> usize {
    cluster.get("deployment", deployment)["spec"]["template"]["spec"]["containers"].as_array().unwrap().len()
}

/// The version before the gate, at work: as its `deploy --mode companion --driver memory --set concurrency-enabled=true --apply` left it.
fn install_the_version_before(cluster: &Cluster) {
    let before = support::workspace().join("xtask/tests/recorded/companion-before");
    let file = |name: &str| before.join(name).to_str().unwrap().to_owned();
    let settings = json!({"metadata": {"name": "pac-concurrency"}, "data": {"concurrency-enabled": "true"}});
    cluster.api().create("/api/v1/namespaces/pipelines-as-code/configmaps", &settings);
    let mut apply = vec!["apply", "--server-side", "--force-conflicts", "--field-manager=pac-watcher"];
    let files = ["roles.yaml", "role-bindings.yaml", "execution-order-policy.yaml", "service.yaml"].map(file);
    apply.extend(files.iter().flat_map(|file| ["--filename", file]));
    cluster.run(&apply);
    let patch = file("pipelines-as-code-watcher-patch.yaml");
    cluster.run(&["patch", "deployment", PACS_NAME, "--field-manager=pac-watcher", "--patch-file", &patch]);
}

#[test]
fn the_version_before_the_gate_is_brought_over_while_runs_wait() {
    let cluster = Cluster::start();
    let api = furnish(&cluster);
    install_the_version_before(&cluster);
    let node = Node::start(&cluster);
    until_logged(&node, "admitting PipelineRuns");
    push(&api, 0..12);
    until_done(&api, 2);

    let said = apply(&cluster, &[]);
    assert!(said.contains("gate: policy, since the cluster has it already"), "{said}");
    assert_eq!(cluster.get("mutatingadmissionpolicy", GATE)["spec"].get("paramKind"), None);
    let binding = cluster.get("mutatingadmissionpolicybinding", GATE)["spec"].clone();
    assert_eq!(
        (binding.get("paramRef"), &binding["matchResources"]["namespaceSelector"]),
        (None, &json!({})),
        "closed"
    );
    assert_eq!(containers(&cluster, PACS_NAME), 2, "the placement stays");
    assert_settled(&cluster);
    push(&api, 12..18);
    until_some_more_are_done(&api, 18);

    // And out of PAC's pod, when somebody says so.
    let said = apply(&cluster, &["--placement=deployment"]);
    assert!(said.contains("removing our container in the pod of PAC's watcher"), "{said}");
    push(&api, 18..24);
    until_done(&api, 24);
    let template = cluster.get("deployment", PACS_NAME)["spec"]["template"].clone();
    assert_eq!(template["spec"]["containers"].as_array().unwrap().len(), 1);
    assert!(!template.to_string().contains("concurrency"), "nothing of ours is left: {template:#}");
    assert_eq!(accounts(&cluster), [OURS]);
    assert_settled(&cluster);
    assert_promises(&api, 24);
}

#[test]
fn the_watcher_moves_between_its_own_deployment_and_pacs_pod_while_runs_wait() {
    let cluster = Cluster::start();
    let api = furnish(&cluster);
    let node = Node::start(&cluster);
    apply(&cluster, &ON);
    until_logged(&node, "admitting PipelineRuns");
    push(&api, 0..12);
    until_done(&api, 2);
    for (count, placement, account) in [(18, "pod", PACS_NAME), (24, "deployment", OURS)] {
        apply(&cluster, &[&format!("--placement={placement}")]);
        let in_pacs_pod = placement == "pod";
        assert_eq!(containers(&cluster, PACS_NAME), if in_pacs_pod { 2 } else { 1 });
        assert_eq!(cluster.kubectl(&["get", "deployment", OURS]).status.success(), !in_pacs_pod);
        assert_eq!(accounts(&cluster), [account]);
        assert_settled(&cluster);
        push(&api, count - 6..count);
        until_some_more_are_done(&api, count);
    }
    until_done(&api, 24);
    assert_promises(&api, 24);
}

#[test]
fn one_gate_follows_another_without_a_moment_with_none() {
    let cluster = Cluster::start();
    let api = furnish(&cluster);
    let node = Node::start(&cluster);
    apply(&cluster, &ON);
    until_logged(&node, "admitting PipelineRuns");
    let policy = ["mutatingadmissionpolicy", "mutatingadmissionpolicybinding"];
    let deny = ["validatingadmissionpolicy", "validatingadmissionpolicybinding"];
    assert_eq!(gates(&cluster), policy);
    let mut count = 0;
    for (gate, there) in [("deny", deny), ("policy", policy)] {
        push(&api, count..count + 6);
        let said = apply(&cluster, &["--gate", gate]);
        assert!(said.contains(&format!("gate: {gate}, since --gate says so")), "{said}");
        assert_eq!(gates(&cluster), there);
        let rules = cluster.get("clusterrole", OURS)["rules"].to_string();
        assert!(
            rules.contains(there[1]) && !rules.contains(if gate == "deny" { policy[1] } else { deny[1] }),
            "{rules}"
        );
        assert_settled(&cluster);
        push(&api, count + 6..count + 12);
        count += 12;
        until_done(&api, count);
    }
    let pacs =
        api.runs().iter().filter(|run| support::api::annotation(run, support::api::EXECUTION_ORDER).is_some()).count();
    assert_eq!(pacs, 0, "PAC's queue never had any");
    assert_promises(&api, count);
}

/// Writes PAC's objects back to what an operator wants of them, as often as somebody changes them.
struct Operator {
    stop: Arc<AtomicBool>,
    working: Option<std::thread::JoinHandle<()>>,
    written: Arc<AtomicUsize>,
}

impl Operator {
    fn start(api: Api) -> Self {
        let owned = [
            format!("/apis/apps/v1/namespaces/pipelines-as-code/deployments/{PACS_NAME}"),
            "/api/v1/namespaces/pipelines-as-code/configmaps/pipelines-as-code".to_owned(),
        ];
        let wanted: Vec<Value> = owned.iter().map(|path| api.get(path).unwrap()).collect();
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&written));
        let working = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for (path, wanted) in owned.iter().zip(&wanted) {
                    let mut found = api.get(path).unwrap();
                    if (&found["spec"], &found["data"]) != (&wanted["spec"], &wanted["data"]) {
                        for field in ["spec", "data"].into_iter().filter(|field| wanted.get(*field).is_some()) {
                            found[field] = wanted[field].clone();
                        }
                        // Somebody else may have been faster; then it is looked at again.
                        let answer = ureq::put(format!("{}{path}", api.url)).send_json(&found);
                        count.fetch_add(usize::from(answer.is_ok()), Ordering::Relaxed);
                    }
                }
                std::thread::sleep(Duration::from_millis(50)); // stands for a watch
            }
        });
        Self { stop, working: Some(working), written }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.working.take().map(std::thread::JoinHandle::join));
    }
}

#[test]
fn an_operator_that_owns_pacs_objects_finds_nothing_to_write_back() {
    let cluster = Cluster::start();
    let api = furnish(&cluster);
    let operator = Operator::start(api.clone());
    let node = Node::start(&cluster);
    push(&api, 0..6);
    apply(&cluster, &ON);
    until_logged(&node, "admitting PipelineRuns");
    push(&api, 6..18);
    until_done(&api, 18);
    assert_eq!(operator.written.load(Ordering::Relaxed), 0, "nothing of ours is in what it owns");
    // Its own changes, and what somebody did to PAC's objects, are nothing to us.
    cluster.run(&["scale", "deployment", PACS_NAME, "--replicas=0"]);
    let keys = json!({"data": {"concurrency-enabled": "false", "application-name": "Ours"}});
    api.patch("/api/v1/namespaces/pipelines-as-code/configmaps/pipelines-as-code", &keys);
    push(&api, 18..24);
    until_done(&api, 24);
    assert!(operator.written.load(Ordering::Relaxed) >= 2);
    drop(operator);
    assert_settled(&cluster);
    assert_eq!(cluster.get("configmap", "pac-concurrency")["data"]["concurrency-enabled"], "true");
    assert_eq!(cluster.get("deployment", PACS_NAME)["spec"]["replicas"], 1);
    assert_promises(&api, 24);
}
