//! The flags of `pac-watcher queue` that kubectl has, too: each by what it does, and by who has no use for it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use pac_devservers::find;
use serde_json::{Value, json};
use support::{Said, Watcher, World, eventually, queue, said};

/// What is typed, the exit code, what is in standard output, what is not, and what is in standard error.
type Case = (&'static str, i32, &'static [&'static str], &'static [&'static str], &'static str);

/// Three namespaces with a Repository each: in the first two runs wait, in the third nothing does. The kubeconfig's context is of
/// the first namespace, and another of the second.
struct Scene {
    world: World,
    watcher: Watcher,
    kubeconfig: PathBuf,
}

// === impl Scene ===

impl Scene {
    fn set() -> Self {
        let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
        world.work(1, 4, 1);
        world.repository(1, 2);
        world.more_work(1, 0..3);
        world.repository(2, 7);
        let store = world.cluster.store();
        let labels = json!({"tier": "gold", "x.y/z": "one", "with-hyphen": "two"});
        let owner = |name: &str, is_one: bool| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": format!("{name}-1"), "controller": is_one});
        let metadata = json!({"labels": labels, "ownerReferences": [owner("a", true), owner("b", false)]});
        store.patch("repositories", "team-0", "repo-0", &json!({ "metadata": metadata })).unwrap();
        store.patch("pipelineruns", "team-0", "run-002", &json!({"metadata": {"labels": {"kind": "big"}}})).unwrap();
        let mut watcher = world.watcher("pac-watcher-0");
        world.pod("pac-watcher-0", &watcher);
        watcher.becomes_ready(true);
        let mut config: Value = serde_yaml::from_str(&world.cluster.kubeconfig()).unwrap();
        let context = |name: &str, namespace: &str| json!({"name": name, "context": {"cluster": "devcluster", "user": "devcluster", "namespace": namespace}});
        config["contexts"] = json!([context("devcluster", "team-0"), context("second", "team-1")]);
        let kubeconfig = world.folder.path().join("contexts");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let scene = Self { world, watcher, kubeconfig };
        let slots = || scene.asked("list -A --all -o jsonpath={.repositories[*].running}").out;
        eventually("both have their slots", || slots() == "1 2 0");
        scene
    }

    fn asked(&self, typed: &str) -> Said {
        self.given(&typed.split(' ').collect::<Vec<_>>())
    }

    fn given(&self, arguments: &[&str]) -> Said {
        said(queue(&self.world, arguments).env("PAC_WATCHER_KUBECONFIG", &self.kubeconfig))
    }

    /// What the Repository has of its pause.
    fn paused(&self) -> Option<String> {
        let repository = self.world.cluster.store().get("repositories", "team-0", "repo-0").unwrap();
        let annotations = repository["metadata"]["annotations"].as_object()?;
        annotations.get("concurrency.pipelinesascode.tekton.dev/paused")?.as_str().map(str::to_owned)
    }

    fn holds(&self, cases: &[Case]) {
        for (typed, code, there, missing, errors) in cases {
            let said = self.asked(typed);
            assert_eq!(said.code, *code, "{typed}: {said:?}");
            for part in *there {
                assert!(said.out.contains(part), "{typed}: no {part:?} in {said:?}");
            }
            for part in *missing {
                assert!(!said.out.contains(part), "{typed}: {part:?} in {said:?}");
            }
            assert!(said.err.contains(errors), "{typed}: no {errors:?} in {said:?}");
        }
    }
}

const ASKED_ABOUT: &[Case] = &[
    // The namespace is that of the context, the one named, or all there are; what is elsewhere is said.
    ("list", 0, &["team-0/repo-0"], &["team-1", "team-2"], "other namespaces in which runs wait: 1 (--all-namespaces)"),
    ("list -n team-1", 0, &["team-1/repo-1"], &["team-0"], ""),
    ("list --context second", 0, &["team-1/repo-1"], &["team-0"], ""),
    ("-n team-1 list", 0, &["team-1/repo-1"], &["team-0"], ""),
    ("--context second list -n team-0", 0, &["team-0/repo-0"], &["team-1"], ""),
    ("list -A", 0, &["team-0/repo-0", "team-1/repo-1"], &["team-2"], "nobody runs or waits are left out: 1 (--all)"),
    ("list -A -n team-1", 0, &["team-0/repo-0", "team-1/repo-1"], &[], ""),
    ("list -A --all", 0, &["team-0/repo-0", "team-1/repo-1", "team-2/repo-2"], &[], ""),
    ("list -n team-2", 0, &["Nobody runs or waits in namespace team-2."], &["repo-2"], "left out: 1 (--all)"),
    ("list -n team-2 -o json", 0, &["\"repositories\": []"], &["repo-2"], ""),
    // PAC's namespace is another thing. Where the flag meant that before, it is said or refused.
    ("list -n pipelines-as-code", 0, &[], &["team-0"], "where the watcher is says --pac-namespace"),
    ("list --pac-namespace elsewhere", 1, &[], &[], "in namespace elsewhere is not there"),
    ("list --pac-namespace elsewhere", 1, &[], &[], "name PAC's namespace with --pac-namespace"),
    ("show team-0/repo-0 --namespace elsewhere", 2, &[], &[], "say --pac-namespace elsewhere"),
    // Names with and without their namespace.
    ("show repo-0", 0, &["team-0/repo-0: limit 1, 1 running, 3 waiting"], &[], ""),
    ("show team-1/repo-1", 0, &["team-1/repo-1: limit 2"], &[], ""),
    ("show repo-1 --context second", 0, &["team-1/repo-1: limit 2"], &[], ""),
    ("show repository.pipelinesascode.tekton.dev/repo-0", 0, &["team-0/repo-0: limit 1"], &[], ""),
    ("show repo-1", 3, &[], &[], "nothing is known of Repository team-0/repo-1"),
    ("explain run-002", 0, &["run-002 of team-0/repo-0: waiting", "Place 2"], &[], ""),
    ("explain run-002 -n team-1", 0, &["run-002 of team-1/repo-1: waiting", "Place 1"], &[], ""),
    // Labels are what the API server says.
    ("list -A -l tier=gold", 0, &["team-0/repo-0"], &["team-1"], ""),
    ("list -A -l tier!=gold", 0, &["team-1/repo-1"], &["team-0"], ""),
    ("show repo-0 -l kind", 0, &["team-0/run-002", "those with kind"], &["run-001", "run-003"], ""),
    ("list -l =", 2, &[], &[], "--selector \"=\": "),
    // Who has no use for a flag says so.
    ("explain run-002 -A", 2, &[], &[], "--all-namespaces is for list alone"),
    ("show repo-0 --all", 2, &[], &[], "--all is for list alone"),
    ("explain run-002 -l a=b", 2, &[], &[], "--selector is for list and show alone"),
    ("resume repo-0 --sort-by .x", 2, &[], &[], "--sort-by is for list and show alone"),
    ("pause repo-0 --reason x --watch", 2, &[], &[], "--watch is for list, show and explain alone"),
    ("resume repo-0 --no-headers", 2, &[], &[], "--no-headers is for list, show, explain and advise alone"),
    ("list --dry-run=server", 2, &[], &[], "--dry-run is for pause, resume and release alone"),
];

const ANSWERED: &[Case] = &[
    ("list -A -o wide", 0, &["FREE", "OLDEST SINCE", "2026-"], &[], ""),
    ("show repo-0 -o wide", 0, &["CREATED", "UID"], &[], ""),
    ("list -o name", 0, &["repository.pipelinesascode.tekton.dev/repo-0\n"], &["REPOSITORY"], ""),
    ("list -A -o name", 0, &["team-0/repo-0\nteam-1/repo-1\n"], &[], ""),
    ("show repo-0 -o name", 0, &["pipelinerun.tekton.dev/run-000\npipelinerun.tekton.dev/run-001\n"], &[], ""),
    ("-o name explain run-002", 0, &["pipelinerun.tekton.dev/run-002\n"], &[], ""),
    ("list -o json", 0, &["\"repository\": \"team-0/repo-0\""], &["REPOSITORY"], ""),
    ("list -o yaml", 0, &["- repository: team-0/repo-0\n"], &[], ""),
    ("list -A -o jsonpath={.repositories[?(@.waiting==1)].repository}", 0, &["team-1/repo-1"], &["team-0"], ""),
    ("list -o jsonpath", 2, &[], &[], "jsonpath needs a template"),
    ("list -o jsonpath=.repositories", 2, &[], &[], "is {.repositories} meant?"),
    ("list -o custom-columns=A:.b", 2, &[], &[], "one of table, wide, name, json, yaml and jsonpath=TEMPLATE"),
    // Those that have someone waiting come first, unless another order is asked for.
    ("list -A --all --sort-by .repository -o name", 0, &["team-0/repo-0\nteam-1/repo-1\nteam-2/repo-2\n"], &[], ""),
    ("list -A --all --sort-by waiting -o name", 0, &["team-2/repo-2\nteam-1/repo-1\nteam-0/repo-0\n"], &[], ""),
    ("list -A --sort-by {.running} -o name", 0, &["team-0/repo-0\nteam-1/repo-1\n"], &[], ""),
    ("show repo-0 --sort-by .uid", 0, &["run-003"], &[], ""),
    ("list --sort-by .nothing", 2, &[], &[], "--sort-by .nothing: -o json has no such field"),
    ("list --sort-by ..[", 2, &[], &[], "is no path"),
    ("list --no-headers", 0, &["team-0/repo-0"], &["REPOSITORY"], ""),
    ("show repo-0 --no-headers", 0, &["team-0/run-003"], &["STARTS IN", "SLOT FROM", "WHAT HAPPENED"], ""),
    ("list --request-timeout soon", 2, &[], &[], "--request-timeout"),
    ("list --kubeconfig /nowhere", 1, &[], &[], "/nowhere"),
    ("list --context nobody", 1, &[], &[], "nobody"),
];

#[test]
fn each_flag_asks_about_what_it_says() {
    let mut scene = Scene::set();
    scene.holds(ASKED_ABOUT);
    scene.watcher.stop();
}

#[test]
fn each_flag_answers_as_it_says() {
    let mut scene = Scene::set();
    scene.holds(ANSWERED);
    // In a pipe nothing is left out, and a row is a line.
    scene.world.more_work(0, 4..64);
    eventually("all wait", || scene.asked("show repo-0").out.contains("1 running, 63 waiting"));
    let show = scene.asked("show repo-0").out;
    let rows = show.lines().filter(|line| line.contains("team-0/run-"));
    assert_eq!(rows.count(), 1 + 63, "{show}");
    assert!(!show.contains("more") && !show.contains('…'), "{show}");
    let explained = scene.asked("explain run-063").out;
    let ahead = explained.lines().find(|line| line.starts_with("Before it: ")).unwrap();
    assert_eq!(ahead.matches("team-0/run-").count(), 62, "{ahead}");
    scene.watcher.stop();
}

#[test]
fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let mut scene = Scene::set();
    scene.holds(&[
        ("pause repo-0 --reason moves --dry-run=client", 0, &["paused team-0/repo-0", "(dry run)\n"], &[], ""),
        ("pause repo-0 --reason moves --dry-run=server", 0, &["paused team-0/repo-0", "(server dry run)\n"], &[], ""),
        ("--dry-run=client pause repo-0 --reason moves -o yaml", 0, &["dev/paused: moves\n"], &["dev/resumed"], ""),
        ("pause repo-0 --reason moves --dry-run=server -o json", 0, &["dev/paused\": \"moves\""], &[], ""),
        (
            "pause repo-0 --reason x --dry-run=client -o name",
            0,
            &["repository.pipelinesascode.tekton.dev/repo-0\n"],
            &[],
            "",
        ),
        ("resume repo-0 --dry-run=client", 4, &[], &[], "is not paused"),
        (
            "release run-000 --reason x --force --dry-run=client",
            0,
            &["released team-0/run-000", "(dry run)\n"],
            &[],
            "",
        ),
        (
            "release run-000 --reason gone --force --dry-run=server -o yaml",
            0,
            &["dev/released-reason: gone\n"],
            &[],
            "",
        ),
        ("release run-002 --reason x --force --dry-run=client", 4, &[], &[], "has not started"),
        ("pause repo-0 --reason x --dry-run", 2, &[], &[], "--dry-run"),
        ("pause repo-0 --reason x --dry-run=maybe", 2, &[], &[], "client"),
    ]);
    assert_eq!(scene.paused(), None);
    let run = scene.world.cluster.store().get("pipelineruns", "team-0", "run-000").unwrap();
    assert!(!run.to_string().contains("/released"), "{run}");
    scene.holds(&[("pause repo-0 --reason moves -o json", 0, &["dev/paused\": \"moves\""], &[], "")]);
    assert_eq!(scene.paused().as_deref(), Some("moves"));
    scene.holds(&[(
        "resume repo-0 --reason moved --dry-run=client -o yaml",
        0,
        &["dev/resumed: moved\n"],
        &["dev/paused"],
        "",
    )]);
    assert_eq!(scene.paused().as_deref(), Some("moves"));
    scene.watcher.stop();
}

#[test]
fn kubectl_says_the_same() {
    let mut scene = Scene::set();
    let kubectl = find("kubectl").expect("kubectl is missing");
    for template in [
        "{.metadata.name}",
        "{$.metadata.name} {@.metadata.namespace}",
        "{.metadata.labels.x\\.y/z}-{.metadata.labels.with-hyphen}",
        "{.metadata.labels['tier','with-hyphen']}",
        "{.metadata.labels}",
        "{.metadata.ownerReferences[*].name}",
        "{.metadata.ownerReferences[0]}",
        "{.metadata.ownerReferences[-1:].name}",
        "{.metadata.ownerReferences[0:1].name}{.metadata.ownerReferences[0,1].kind}",
        "{.metadata.ownerReferences[?(@.name==\"b\")].uid}",
        "{.metadata.ownerReferences[?(@.controller==true)].name}",
        "{range .metadata.ownerReferences[*]}<{.name}>{\"\\t\"}{.controller}{'\\n'}{end}after",
        "{..uid}",
        "{.metadata.nothing}|{.metadata.ownerReferences[?(@.name==\"c\")].uid}|",
    ] {
        let mut command = Command::new(&kubectl);
        command.env("KUBECONFIG", &scene.kubeconfig).env("HOME", scene.world.folder.path());
        let expected = said(command.args(["get", "repository", "repo-0", "-o", &format!("jsonpath={template}")]));
        let form = format!("jsonpath={template}");
        let ours = scene.given(&["pause", "repo-0", "--reason", "x", "--dry-run=client", "-o", &form]);
        assert_eq!((ours.code, &ours.out), (expected.code, &expected.out), "{template}: {ours:?} {expected:?}");
    }
    scene.watcher.stop();
}
