//! Shadow mode beside PAC at work with its own queue: what the report says is what happened, and nothing is written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::{FaultAction, FaultId, FaultRule, PacEvent};
use pac_devservers::free_port;
use pac_devservers::proxy::Proxy;
use pac_queue::shadow::{DriftKind, ShadowReport};
use serde::Deserialize;
use serde_json::{Value, json};

use support::{Scrape, Watcher, World, command, event, eventually, json_of, run, said};

const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
const STATE: &str = "pipelinesascode.tekton.dev/state";
const LIMIT: u32 = 2;

/// A watcher in shadow mode, and everything it might write with, which the API server refuses it.
struct Shadow {
    watcher: Watcher,
    url: String,
    writes: Vec<FaultId>,
    _way: Proxy,
}

impl Shadow {
    fn of(world: &World) -> Self {
        let refused = || FaultAction::Error { status: 403, reason: "Forbidden".to_owned(), message: "no".to_owned() };
        let rule = |rule: FaultRule| world.cluster.faults().add(rule.caller("shadow"));
        let verbs = ["create", "update", "patch", "delete", "deletecollection"];
        let writes = verbs.map(|verb| rule(FaultRule::new(refused()).verb(verb)));
        // What a read-only role would not let it read either.
        let others = ["configmaps", "secrets", "leases"].map(|plural| rule(FaultRule::new(refused()).resource(plural)));
        let (mut watcher, way) = world.remote_watcher("shadow", &["--mode", "shadow"]);
        watcher.becomes_ready(true);
        let url = format!("http://127.0.0.1:{}", watcher.admin_port);
        Self { watcher, url, writes: [&writes[..], &others].concat(), _way: way }
    }

    fn report(&self, world: &World) -> ShadowReport {
        let said = said(&mut command(world, &["shadow", "report", "--admin-url", &self.url, "-o", "json"]));
        assert_eq!(said.code, 0, "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    fn stop(mut self, world: &World) {
        let strikes: Vec<u32> = self.writes.iter().map(|id| world.cluster.faults().strikes(*id)).collect();
        assert!(strikes.iter().all(|strikes| *strikes == 0), "it wrote, or read what it must not: {strikes:?}");
        self.watcher.stop();
    }
}

fn named(name: &str) -> String {
    format!("team-0/{name}")
}

/// A push whose runs take so long.
fn push(world: &World, repository: usize, names: &[&str], lasts: Duration) {
    let pushed: PacEvent = event(repository, names);
    let lasts = format!("{}ms", lasts.as_millis());
    let runs = pushed.runs.iter().cloned().map(|run| run.annotated("devcluster/duration", &lasts)).collect();
    world.cluster.pac().unwrap().push(PacEvent { runs, ..pushed });
}

#[test]
fn where_pacs_queue_keeps_track_nothing_is_called_drift_and_nothing_is_written() {
    let world = World::with_pacs_queue();
    world.repository(0, LIMIT);
    let shadow = Shadow::of(&world);
    let events = 5;
    for number in 0..events {
        let names: Vec<String> = (0..3).map(|job| format!("push-{number}-job-{job}")).collect();
        push(&world, 0, &names.iter().map(String::as_str).collect::<Vec<_>>(), Duration::from_millis(900));
        std::thread::sleep(Duration::from_millis(1100)); // creation times are whole seconds, and tell what came first
    }
    let runs = events * 3;
    world.until_done(runs);
    let report = shadow.report(&world);
    assert_eq!(report.drift, [], "{}", world.story("team-0"));
    let total = report.total;
    assert_eq!(total.started, runs as u64, "{report:#?}\n{}", world.story("team-0"));
    assert_eq!((total.would_have.count, total.assumed, total.times_over), (runs as u64, 0, 0), "{report:#?}");
    assert!(total.would_have.total_seconds <= total.waits.total_seconds, "{total:#?}");
    assert!(total.hand_offs.count > 0 && total.idle_slot_seconds > 0.0, "{total:#?}");
    assert_eq!((report.repositories.len(), report.repositories[0].limit), (1, Some(LIMIT)));
    let scrape = Scrape::of(&shadow.watcher);
    scrape.checked();
    let of_repo = [("namespace", "team-0"), ("repository", "repo-0")];
    for measured in ["wait", "would_have_waited"] {
        let count = scrape.value(&format!("pac_concurrency_shadow_{measured}_seconds_count"), &of_repo);
        assert_eq!(count, Some(runs as f64), "{measured}");
    }
    let hand_offs = scrape.value("pac_concurrency_shadow_hand_off_seconds_count", &of_repo);
    assert_eq!(hand_offs, Some(total.hand_offs.count as f64));
    // What else people ask is answered from what the cluster shows.
    let list = json_of(&world, &["list", "-A", "--all", "--admin-url", &shadow.url]);
    assert_eq!(
        (&list["watcher"]["system"], &list["repositories"][0]["limit"]["text"]),
        (&json!("shadow"), &json!("2"))
    );
    shadow.stop(&world);
}

#[test]
fn the_report_names_exactly_what_pacs_queue_lost_track_of() {
    let world = World::with_pacs_queue();
    (0..2).for_each(|repository| world.repository(repository, LIMIT));
    let shadow = Shadow::of(&world);
    // Its controller could not write the order of this one, and nobody does it again.
    let mut lost = event(1, &["lost"]).settled().remove(0);
    lost["metadata"]["annotations"].as_object_mut().unwrap().remove(EXECUTION_ORDER);
    world.cluster.store().create("pipelineruns", "team-1", lost).unwrap();
    push(&world, 0, &["job-0", "job-1", "job-2", "job-3", "job-4"], Duration::from_secs(4));
    eventually("two run", || world.pending_names(0).len() == 3);
    // Of a Repository without a limit, and so without an order: PAC's watcher gives up at it when it counts who runs.
    let mut unlimited = event(0, &["unlimited"]).settled().remove(0);
    unlimited["spec"].as_object_mut().unwrap().remove("status");
    unlimited["metadata"]["labels"][STATE] = "started".into();
    let annotations = unlimited["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove(EXECUTION_ORDER);
    annotations.insert(STATE.to_owned(), "started".into());
    annotations.insert("pipelinesascode.tekton.dev/repository".to_owned(), "without-a-limit".into());
    annotations.insert("devcluster/duration".to_owned(), "20s".into());
    world.cluster.store().create("pipelineruns", "team-0", unlimited).unwrap();
    let pac = world.cluster.pac().unwrap();
    pac.stop_watcher();
    pac.start_watcher();
    eventually("four run", || world.pending_names(0) == ["job-4"]);
    std::thread::sleep(Duration::from_millis(1100)); // creation times are whole seconds, and tell what came first
    push(&world, 1, &["behind"], Duration::from_millis(500));
    eventually("it is known to be forgotten", || shadow.report(&world).total.forgotten > 0);
    world.until_done(7);
    eventually("nobody is over the limit", || shadow.report(&world).total.started == 6);
    let report = shadow.report(&world);
    let forgotten = DriftKind::Forgotten { run: "team-1/lost".to_owned(), passed_by: 1 };
    let over = DriftKind::OverLimit { limit: LIMIT, most: 4, started: ["job-2", "job-3"].map(named).into() };
    let mut drift: Vec<_> = report.drift.iter().map(|drift| (drift.repository.as_str(), &drift.what)).collect();
    drift.sort_by_key(|(repository, _)| *repository);
    assert_eq!(drift, [("team-0/repo-0", &over), ("team-1/repo-1", &forgotten)], "{}", world.story("team-0"));
    let is_over = |what: &DriftKind| report.drift.iter().any(|drift| drift.what == *what && drift.until.is_some());
    assert_eq!((is_over(&over), is_over(&forgotten)), (true, false));
    let scrape = Scrape::of(&shadow.watcher);
    let value = |series: &str, label: (&str, &str)| scrape.sum(&format!("pac_concurrency_shadow_{series}"), &[label]);
    assert_eq!(["forgotten", "over_limit"].map(|kind| value("drift_total", ("kind", kind))), [1.0, 1.0]);
    assert!(["idle", "over_limit"].iter().all(|slots| value("slot_seconds_total", ("slots", slots)) > 1.0));
    let said = said(&mut command(&world, &["shadow", "report", "--admin-url", &shadow.url]));
    for text in [
        "team-1/lost waited beside a free slot, and 1 behind it were started",
        "4 ran at a limit of 2, as after a restart of PAC's watcher; started on top: team-0/job-2, team-0/job-3",
    ] {
        assert!(said.out.contains(text), "{said:?}");
    }
    println!("{}", said.out);
    let explained = run(&world, &["explain", "team-1/lost", "--admin-url", &shadow.url]);
    assert!(explained.out.contains("the watcher is in shadow mode, and starts nothing"), "{explained:?}");
    shadow.stop(&world);
}

/// The pod that the Deployment of the manifests makes, with this admin port.
fn pod_of_the_manifests(admin_port: u16) -> Value {
    let deployment = serde_yaml::Deserializer::from_str(include_str!("../../../config/shadow/deployment.yaml"));
    let mut deployment = deployment.map(|document| Value::deserialize(document).unwrap()).next().unwrap();
    let mut pod = deployment["spec"]["template"].take();
    let arguments = pod["spec"]["containers"][0]["args"].as_array_mut().unwrap();
    let admin = arguments.iter_mut().find(|argument| argument.as_str().unwrap().starts_with("--admin-addr=")).unwrap();
    *admin = format!("--admin-addr=127.0.0.1:{admin_port}").into();
    pod
}

#[test]
fn its_pod_is_found_by_the_label_that_the_manifests_give_it() {
    let world = World::with_pacs_queue();
    let shadow = Shadow::of(&world);
    let report = || said(&mut command(&world, &["shadow", "report"]));
    let none = report();
    assert_eq!(none.code, 1, "{none:?}");
    assert!(
        none.err.contains("no pod that runs and has the label app.kubernetes.io/name=pac-concurrency-shadow"),
        "{none:?}"
    );
    // One that is over stays there for a while, and others have nothing to do with it.
    let gone = free_port().unwrap();
    let pods =
        [("a-former", gone, "Succeeded"), ("now", shadow.watcher.admin_port, "Running"), ("other", gone, "Running")];
    for (name, admin_port, phase) in pods {
        let mut pod = pod_of_the_manifests(admin_port);
        pod["metadata"]["name"] = name.into();
        if name == "other" {
            pod["metadata"]["labels"] = json!({"app.kubernetes.io/name": "pac-concurrency-watcher"});
        }
        let store = world.cluster.store();
        store.create("pods", "pipelines-as-code", pod).unwrap();
        store.patch_status("pods", "pipelines-as-code", name, &json!({"status": {"phase": phase}})).unwrap();
    }
    let found = report();
    assert_eq!(found.code, 0, "{found:?}");
    assert!(found.out.contains("as shadow saw it"), "{found:?}");
    shadow.stop(&world);
}

#[test]
fn a_watcher_of_another_mode_has_no_report() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    let mut watcher = world.watcher("one");
    watcher.becomes_ready(true);
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    let said = said(&mut command(&world, &["shadow", "report", "--admin-url", &url]));
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("not in shadow mode"), "{said:?}");
    watcher.stop();
}
