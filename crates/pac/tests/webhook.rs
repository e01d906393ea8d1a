//! The gate's webhook, served by watchers beside PAC and its queue: while they come and go, and while there is none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use pac_devcluster::verdict::VerdictOptions;
use pac_devservers::free_port;
use serde_json::{Value, json};

use support::{Scrape, Watcher, World, event, eventually};

const NAME: &str = "pac-concurrency-webhook";
const KEPT: &str = "concurrency.pipelinesascode.tekton.dev/execution-order";
const REMAINING: &str = "pac_concurrency_webhook_certificate_remaining_seconds";

/// A watcher, and where it serves the webhook.
struct Replica {
    watcher: Watcher,
    address: SocketAddr,
}

impl Replica {
    /// One that has a certificate and is ready.
    fn start(world: &World, identity: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let at = address.to_string();
        let arguments = ["--mode", "companion", "--gate", "webhook", "--webhook-addr", &at];
        let mut watcher = world.watcher_with(identity, &arguments);
        watcher.becomes_ready(true);
        eventually("it has a certificate", || {
            Scrape::of(&watcher).value(REMAINING, &[]).is_some_and(|remaining| remaining > 0.0)
        });
        Self { watcher, address }
    }
}

fn begin() -> World {
    let world = World::with_pac_and_webhook(&json!({"concurrency-driver": "memory"}));
    world.repository(0, 3);
    world
}

fn behind_service(world: &World, replicas: &[&Replica]) {
    let addresses: Vec<_> = replicas.iter().map(|replica| replica.address).collect();
    world.cluster.store().serve_service("pipelines-as-code", NAME, &addresses);
}

fn push(world: &World, names: impl Iterator<Item = usize>) {
    let names: Vec<String> = names.map(|number| format!("run-{number:03}")).collect();
    world.cluster.pac().unwrap().push(event(0, &names));
}

/// How many runs have their order under the name that PAC's queue doesn't know.
fn kept(world: &World) -> usize {
    world.count(|run| run["metadata"]["annotations"][KEPT].is_string())
}

fn options(world: &World) -> VerdictOptions {
    VerdictOptions { secret_wait: Some(Duration::from_secs(10)), ..world.verdict_options(Duration::from_secs(5)) }
}

#[test]
fn beside_pac_every_order_is_kept_while_watchers_come_and_go() {
    let world = begin();
    let mut replicas = vec![Replica::start(&world, "one"), Replica::start(&world, "two")];
    behind_service(&world, &replicas.iter().collect::<Vec<_>>());
    let mut pushed = 0;
    for identity in ["three", "four"] {
        push(&world, pushed..pushed + 6);
        let new = Replica::start(&world, identity);
        let mut old = replicas.remove(0);
        replicas.push(new);
        // A pod that ends is told so when its endpoint goes; both take their time.
        let ending = std::thread::spawn(move || old.watcher.stop());
        push(&world, pushed + 6..pushed + 12);
        behind_service(&world, &replicas.iter().collect::<Vec<_>>());
        push(&world, pushed + 12..pushed + 18);
        ending.join().unwrap();
        pushed += 18;
    }
    eventually("PAC has written every order", || kept(&world) == pushed);
    world.all_is_judged_well(pushed, options(&world));
    let reviewed = |replica: &Replica, result: &str| {
        Scrape::of(&replica.watcher).sum("pac_concurrency_webhook_reviews_total", &[("result", result)])
    };
    let renamed: f64 = replicas.iter().map(|replica| reviewed(replica, "renamed")).sum();
    assert!(renamed > 0.0 && replicas.iter().all(|replica| reviewed(replica, "refused") == 0.0));
    let scrape = Scrape::of(&replicas[0].watcher);
    let remaining = scrape.value(REMAINING, &[]).unwrap();
    assert!((89.0..90.1).contains(&(remaining / (24.0 * 60.0 * 60.0))), "{remaining}");
    let answered = scrape.value("pac_concurrency_webhook_seconds_count", &[]).unwrap();
    assert_eq!(answered, reviewed(&replicas[0], "renamed") + reviewed(&replicas[0], "passed"));
    let seen = scrape.checked();
    for name in ["webhook_reviews_total", "webhook_seconds", "webhook_certificate_remaining_seconds"] {
        assert!(seen.contains(format!("pac_concurrency_{name}").as_str()), "{name}");
    }
    replicas.iter_mut().for_each(|replica| replica.watcher.stop());
}

/// Status and body of `/ready`.
fn ready(replica: &Replica) -> (bool, String) {
    let body = Watcher::get(replica.watcher.probe_port, "/ready");
    (replica.watcher.readiness().last() == Some(&true), body)
}

#[test]
fn a_watcher_that_can_answer_is_ready_whatever_the_gate_says() {
    let world = begin();
    let mut replica = Replica::start(&world, "one");
    behind_service(&world, &[&replica]);
    // The Service leads to whom is ready, and nobody else could tell when the gate is there again.
    world.cluster.store().delete("mutatingwebhookconfigurations", "", "pac-concurrency-execution-order").unwrap();
    world.queue_event(0, &["waits"]);
    eventually("it says that there is no gate", || {
        let (is_ready, body) = ready(&replica);
        is_ready && body.starts_with("the webhook answers\n") && body.contains("MutatingWebhookConfiguration")
    });
    assert_eq!(replica.watcher.readiness(), [false, true], "it was ready from when it could answer");
    replica.watcher.stop();
}

#[test]
fn while_no_watcher_is_there_pacs_queue_gets_nothing_and_afterwards_all_is_well() {
    let world = begin();
    let mut first = Replica::start(&world, "one");
    behind_service(&world, &[&first]);
    push(&world, 0..6);
    eventually("PAC has written every order", || kept(&world) == 6);
    first.watcher.kill();
    push(&world, 6..18);
    let refused = |event: &Value| event["message"].as_str().is_some_and(|text| text.contains("failed calling webhook"));
    eventually("PAC has told of every order that was refused", || {
        let events = world.cluster.store().list("events", None, "").unwrap();
        events.iter().filter(|event| refused(event)).count() == 12
    });
    assert_eq!(kept(&world), 6);
    let mut second = Replica::start(&world, "one");
    behind_service(&world, &[&second]);
    push(&world, 18..24);
    world.all_is_judged_well(24, options(&world));
    assert_eq!(kept(&world), 12);
    second.watcher.stop();
}
