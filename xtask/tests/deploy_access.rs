//! The watcher has the rights it needs, and no other: the real one runs in a cluster where exactly the generated rules hold.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use pac_devservers::free_port;
use pac_devservers::process::{Child, wait_until};
use serde_json::{Value, json};

use support::cluster::Cluster;
use support::guard::Guard;
use support::rules::{Permission, Rules};
use support::{program, variant};

const STATE: &str = "pipelinesascode.tekton.dev/state";
const REPOSITORY: &str = "pipelinesascode.tekton.dev/repository";
/// Far longer than the half minute after which the place of a run that waits is told anew.
const PATIENCE: Duration = Duration::from_secs(120);

fn create(cluster: &Cluster, path: &str, object: &Value) {
    ureq::post(format!("{}{path}", cluster.url)).send_json(object).unwrap();
}

/// A Repository with one slot, and in it the run that goes on until somebody ends it.
fn furnish(cluster: &Cluster) {
    let settings = json!({"metadata": {"name": "pipelines-as-code"}, "data": {"concurrency-enabled": "true"}});
    create(cluster, "/api/v1/namespaces/pipelines-as-code/configmaps", &settings);
    create(cluster, "/api/v1/namespaces", &json!({"metadata": {"name": "ci"}}));
    let repository =
        json!({"metadata": {"name": "repo"}, "spec": {"url": "https://git.example.com/o/r", "concurrency_limit": 1}});
    create(cluster, "/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/ci/repositories", &repository);
    create_run(cluster, "endless", "1h");
    create_run(cluster, "next", "1h");
    create_run(cluster, "last", "1h");
}

/// Everything that shadow mode does: it follows Repositories and runs, and somebody asks about a run that is no more.
#[test]
fn shadow_needs_every_rule_and_no_other() {
    let cluster = Cluster::start();
    furnish(&cluster);
    let (_folder, files) = support::rendered(&["--mode=shadow"]);
    let rules = Rules::of(&files["roles.yaml"]);
    let granted = rules.permissions.clone();
    assert!(granted.iter().all(Permission::is_to_read), "{granted:#?}");
    let guard = Guard::before(cluster.url.trim_start_matches("http://"), rules);
    let admin = free_port().unwrap();
    let mut watcher = start_watcher_with(&cluster, &guard, "shadow", "shadow", admin, &[]);
    let explained = || {
        let url = format!("http://127.0.0.1:{admin}");
        let mut explain = Command::new(program("pac-watcher"));
        explain.args(["queue", "explain", "ci/gone", "--admin-url", &url]).output().unwrap();
        Ok(granted == guard.used())
    };
    wait_until("every rule was used", PATIENCE, explained)
        .unwrap_or_else(|error| panic!("{error}: {:#?}", guard.used()));
    assert!(watcher.stop().unwrap().success());
    assert!(guard.refused().is_empty(), "missing: {:#?}", guard.refused());
}

fn create_run(cluster: &Cluster, name: &str, duration: &str) {
    let run = json!({
        "metadata": {
            "name": name,
            "labels": {STATE: "queued", REPOSITORY: "repo"},
            "annotations": {
                STATE: "queued", REPOSITORY: "repo", "devcluster/duration": duration,
                // As the admission policy of companion mode keeps it; both modes read it.
                "concurrency.pipelinesascode.tekton.dev/execution-order": "ci/endless,ci/next,ci/last",
            },
        },
        "spec": {"status": "PipelineRunPending"},
    });
    create(cluster, "/apis/tekton.dev/v1/namespaces/ci/pipelineruns", &run);
}

fn start_watcher(cluster: &Cluster, guard: &Guard, mode: &str, gate: &[&str], identity: &str) -> Child {
    let webhook = format!("--webhook-addr=127.0.0.1:{}", free_port().unwrap());
    let more = [gate, &[&webhook]].concat();
    start_watcher_with(cluster, guard, mode, identity, free_port().unwrap(), &more)
}

fn start_watcher_with(
    cluster: &Cluster,
    guard: &Guard,
    mode: &str,
    identity: &str,
    admin: u16,
    more: &[&str],
) -> Child {
    let kubeconfig = std::fs::read_to_string(cluster.kubeconfig()).unwrap().replace(&cluster.url, &guard.url);
    let kubeconfig = cluster.file("guarded", &kubeconfig);
    let mut command = Command::new(program("pac-watcher"));
    command.args(["run", "--mode", mode, "--identity", identity, "--kubeconfig"]).arg(kubeconfig).args(more);
    for (flag, port) in
        [("--metrics-addr", free_port().unwrap()), ("--probe-addr", free_port().unwrap()), ("--admin-addr", admin)]
    {
        command.arg(flag).arg(format!("127.0.0.1:{port}"));
    }
    let log = File::create(cluster.folder.path().join(identity)).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Child::spawn("the watcher", command).unwrap()
}

fn state(cluster: &Cluster, run: &str) -> String {
    let found = ureq::get(format!("{}/apis/tekton.dev/v1/namespaces/ci/pipelineruns/{run}", cluster.url)).call();
    let found: Value = found.unwrap().body_mut().read_json().unwrap();
    found["metadata"]["annotations"][STATE].as_str().unwrap().to_owned()
}

/// Everything the watcher does: it starts a run, one that runs is deleted and looked for, the next is started, the last waits
/// at another place then, and meanwhile settings are read, leadership is kept by one and awaited by another, and the API server is asked how it is.
fn every_rule_is_used(mode: &str, gate: &[&str]) {
    let cluster = Cluster::start();
    furnish(&cluster);
    let (_folder, files) = support::rendered(&[&["--mode", mode, "--driver", "memory"], gate].concat());
    // What keeps PAC's own queue out: until a watcher has closed it, it admits nobody.
    if let Some((file, text)) = files.iter().find(|(file, _)| file.starts_with("execution-order-")) {
        cluster.run(&["create", "--filename", cluster.file(file, text).to_str().unwrap()]);
    }
    let rules = Rules::of(&files["roles.yaml"]);
    let granted = rules.permissions.clone();
    let guard = Guard::before(cluster.url.trim_start_matches("http://"), rules);
    let mut watcher = start_watcher(&cluster, &guard, mode, gate, "first");
    let wait = |what: &str, run: &str, states: &[&str]| {
        wait_until(what, PATIENCE, || Ok(states.contains(&state(&cluster, run).as_str()))).unwrap_or_else(|error| {
            panic!("{error}; refused: {:?}", guard.refused());
        });
    };
    wait("the first run is started", "endless", &["started"]);
    let mut standby = start_watcher(&cluster, &guard, mode, gate, "second");
    ureq::delete(format!("{}/apis/tekton.dev/v1/namespaces/ci/pipelineruns/endless", cluster.url)).call().unwrap();
    wait("the next run is started", "next", &["started"]);
    let unused = || granted.difference(&guard.used()).cloned().collect::<Vec<_>>();
    wait_until("every rule was used", PATIENCE, || Ok(unused().is_empty()))
        .unwrap_or_else(|error| panic!("{error}; not used: {:#?}", unused()));
    assert!(watcher.stop().unwrap().success() && standby.stop().unwrap().success());
    assert!(guard.refused().is_empty(), "missing: {:#?}", guard.refused());
}

#[test]
fn standalone_needs_every_rule_and_no_other() {
    every_rule_is_used("standalone", &[]);
}

#[test]
fn companion_needs_every_rule_and_no_other() {
    every_rule_is_used("companion", &[]);
}

#[test]
fn companion_with_a_webhook_needs_every_rule_and_no_other() {
    every_rule_is_used("companion", &["--gate=webhook"]);
}

#[test]
fn companion_with_the_gate_that_refuses_needs_every_rule_and_no_other() {
    every_rule_is_used("companion", &["--gate=deny"]);
}

#[test]
fn a_rule_that_is_missing_is_noticed() {
    let cluster = Cluster::start();
    furnish(&cluster);
    let (_folder, files) = variant(["standalone", "memory"]);
    let roles = files["roles.yaml"].replace("  - patch\n", "");
    let guard = Guard::before(cluster.url.trim_start_matches("http://"), Rules::of(&roles));
    let _watcher = start_watcher(&cluster, &guard, "standalone", &[], "test");
    let is_patch = || guard.refused().iter().any(|asked| asked.verb == "patch" && asked.resource == "pipelineruns");
    wait_until("the start is refused", PATIENCE, || Ok(is_patch())).unwrap();
    assert_eq!(state(&cluster, "endless"), "queued");
}

#[test]
fn secrets_are_never_listed_and_every_name_that_is_known_is_named() {
    for chosen in support::VARIANTS.into_iter().filter(|chosen| !support::is_shadow(chosen)) {
        let (_folder, files) = support::rendered(chosen);
        let text = &files["roles.yaml"];
        let roles = support::typed::documents(text);
        let rules: Vec<&Value> = roles.iter().flat_map(|role| role["rules"].as_array().unwrap()).collect();
        let of =
            |resource: &str| rules.iter().filter(|rule| rule["resources"] == json!([resource])).collect::<Vec<_>>();
        let [rule] = of("configmaps")[..] else { panic!("one rule for ConfigMaps in:\n{text}") };
        assert_eq!(rule["resourceNames"], json!(["pac-concurrency", "pipelines-as-code"]));
        let gate = support::gate(chosen);
        let named: Vec<[&Value; 2]> =
            of("secrets").into_iter().map(|rule| [&rule["resourceNames"], &rule["verbs"]]).collect();
        let passwords = [json!(["pac-concurrency-secret"]), json!(["get"])];
        let certificate = [json!(["pac-concurrency-webhook"]), json!(["get", "patch"])];
        let wanted =
            [passwords].into_iter().chain((gate == Some("webhook")).then_some(certificate)).collect::<Vec<_>>();
        assert_eq!(named, wanted.iter().map(|rule| rule.each_ref()).collect::<Vec<_>>());
        // The one object by which the gate is opened and closed, and of no other gate's.
        let kinds =
            ["mutatingadmissionpolicybindings", "mutatingwebhookconfigurations", "validatingadmissionpolicybindings"];
        for (kind, of_gate) in kinds.into_iter().zip(["policy", "webhook", "deny"]) {
            let rules = of(kind).into_iter().map(|rule| [&rule["resourceNames"], &rule["verbs"]]).collect::<Vec<_>>();
            let wanted = [json!(["pac-concurrency-execution-order"]), json!(["get", "patch"])];
            let wanted = (gate == Some(of_gate)).then(|| wanted.each_ref());
            assert_eq!(rules, wanted.into_iter().collect::<Vec<_>>(), "{chosen:?} {kind}");
        }
        assert!(!text.contains("'*'") && !text.contains("\"*\""), "{text}");
    }
}
