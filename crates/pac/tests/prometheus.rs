//! Debian's Prometheus scrapes watchers at work: every query of the dashboard and of the alerts is answered, nothing rings
//! while all is well, and each alert rings when the thing itself happens.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use pac_devcluster::{FaultAction, FaultRule};
use pac_devservers::proxy::{Passage, Proxy};
use serde_json::json;
use support::prometheus::{Scraper, dashboard_queries};
use support::{Store, Watcher, World, eventually};

/// Metrics that are there only while something is wrong.
const OF_WHAT_IS_WRONG: [&str; 9] = [
    "pac_concurrency_leaked_slot_info",
    "pac_concurrency_waiting_while_off_runs",
    "pac_concurrency_paused_without_end_repositories",
    "pac_concurrency_open_to_pacs_queue_runs",
    // And in companion mode, the last two with the webhook as its gate; tests/webhook.rs has them.
    "pac_concurrency_gate_holds",
    "pac_concurrency_gate_loses_orders",
    "pac_concurrency_webhook_seconds",
    "pac_concurrency_webhook_certificate_remaining_seconds",
    // Nor is there a port for tenants.
    "pac_concurrency_tenant_certificate_remaining_seconds",
];
/// Panels that show something only when something is wrong.
const OF_FAILURES: [&str; 2] = ["Starts that failed, by reason", "Calls that failed"];

#[test]
fn every_query_is_answered_and_nothing_rings_under_load() {
    let store = Store::postgresql();
    let world = World::new(&store.settings());
    let mut watchers = ["one", "two"].map(|name| world.watcher(name));
    watchers.iter_mut().for_each(|watcher| watcher.becomes_ready(true));
    let scraper = Scraper::start(&[&watchers[0], &watchers[1]]);
    let (repositories, runs) = (8, 24);
    world.work(repositories, runs, 2);
    world.until_done(repositories * runs);
    let started = "sum(max by (namespace, repository) (pac_concurrency_starts_total))";
    eventually("the last start was scraped", || scraper.values(started) == [(repositories * runs) as f64]);

    let silent: Vec<(String, String)> = dashboard_queries()
        .into_iter()
        .filter(|(_, query)| scraper.history(query).iter().all(|value| value.is_nan()))
        .collect();
    let expected = |(title, query): &&(String, String)| {
        let of_failures = OF_WHAT_IS_WRONG.iter().any(|metric| query.contains(metric));
        !(of_failures || OF_FAILURES.contains(&title.as_str()) && !query.contains("given_back"))
    };
    let silent: Vec<_> = silent.iter().filter(expected).collect();
    assert!(silent.is_empty(), "no data: {silent:#?}");
    assert!(scraper.history("sum(pac_concurrency_leader)").contains(&1.0));
    let waiting = scraper.history("sum(max by (namespace, repository) (pac_concurrency_waiting_runs))");
    assert!(waiting.iter().any(|waiting| *waiting > 10.0), "{waiting:?}");
    let running = scraper.history("max(max by (namespace, repository) (pac_concurrency_running_runs))");
    assert!(running.contains(&2.0) && running.iter().all(|running| *running <= 2.0), "P1: {running:?}");

    every_exemplar_is_a_run(&scraper, "pac_concurrency_wait_seconds_bucket", 30.0);
    every_exemplar_is_a_run(&scraper, "pac_concurrency_hand_off_seconds_bucket", 1.0);

    let rules = scraper.judged_rules();
    assert_eq!(rules.len(), 17);
    for rule in rules {
        assert_eq!((&rule["health"], rule.get("lastError")), (&json!("ok"), None), "{rule}");
    }
    assert_eq!(scraper.ringing(), "[]");
}

/// There are some, and each names one of the runs, with a value that it may have.
fn every_exemplar_is_a_run(scraper: &Scraper, query: &str, most: f64) {
    let exemplars = scraper.exemplars(query);
    assert!(!exemplars.is_empty(), "{query}");
    for (run, value) in exemplars {
        assert!(run.starts_with("team-") && run.contains("/run-") && (0.0..most).contains(&value), "{run} {value}");
    }
}

#[test]
fn alerts_on_how_it_is_run_ring_when_the_thing_itself_happens() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 3, 1);
    let watcher = world.watcher_with("watcher", &["--mode", "companion"]);
    let scraper = Scraper::impatient(&[&watcher]);
    // Nothing keeps PAC's own queue out, and the Repository is held.
    scraper.rings("GateDoesNotHold", true);
    world.put_gate();
    scraper.rings("GateDoesNotHold", false);
    world.break_gate();
    scraper.rings("GateLosesOrders", true);
    scraper.rings("GateDoesNotHold", false);
    world.mend_gate();
    scraper.rings("GateLosesOrders", false);
}

#[test]
fn a_port_without_a_certificate_rings_until_it_has_one() {
    let world = World::with_pac_and_webhook(&json!({"concurrency-driver": "memory"}));
    let (store, name) = (world.cluster.store(), "pac-concurrency-webhook");
    store.delete("secrets", "pipelines-as-code", name).unwrap();
    let at = format!("127.0.0.1:{}", pac_devservers::free_port().unwrap());
    let for_tenants = format!("127.0.0.1:{}", pac_devservers::free_port().unwrap());
    let files = ["tls.crt", "tls.key"].map(|name| world.folder.path().join(name));
    let [certificate, key] = files.each_ref().map(|file| file.to_str().unwrap());
    let flags = [
        ["--mode", "companion"],
        ["--gate", "webhook"],
        ["--webhook-addr", &at],
        ["--tenants-addr", &for_tenants],
        ["--tenants-tls-cert", certificate],
        ["--tenants-tls-key", key],
    ];
    let watcher = world.watcher_with("watcher", &flags.concat());
    let scraper = Scraper::impatient(&[&watcher]);
    scraper.rings("WebhookCertificateExpires", true);
    scraper.rings("TenantsCertificateExpires", true);
    // That of the port for tenants is somebody else's to make.
    let made = rcgen::KeyPair::generate().unwrap();
    let shown = rcgen::CertificateParams::default().self_signed(&made).unwrap();
    for (file, text) in files.iter().zip([shown.pem(), made.serialize_pem()]) {
        std::fs::write(file, text).unwrap();
    }
    scraper.rings("TenantsCertificateExpires", false);
    // The watcher that leads makes one where it may write it.
    store.create("secrets", "pipelines-as-code", json!({"metadata": {"name": name}})).unwrap();
    scraper.rings("WebhookCertificateExpires", false);
}

/// A watcher whose alerts ring soon, and none does.
fn watched(world: &World) -> (Watcher, Scraper) {
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    let scraper = Scraper::impatient(&[&watcher]);
    // Before the first scrape nobody was seen to lead.
    scraper.rings("NobodyLeads", false);
    assert_eq!(scraper.ringing(), "[]");
    (watcher, scraper)
}

#[test]
fn each_alert_on_runs_and_settings_rings_when_the_thing_itself_happens() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    let (watcher, scraper) = watched(&world);
    let faults = world.cluster.faults();

    // Limit 2, and four runs: two wait for longer than is good.
    world.work(2, 4, 2);
    world.is_started(0, "run-001");
    scraper.rings("WaitOverTarget", true);
    // A run vanishes, and no read tells whether it is over: its slot stays taken. In 30 s that is a leak.
    let unreadable = FaultAction::Error { status: 500, reason: "InternalError".to_owned(), message: String::new() };
    faults.add(FaultRule::new(unreadable).verb("get").resource("pipelineruns").name("run-000"));
    world.delete_run(0, "run-000");
    // Meanwhile one waits, and another has no slot.
    scraper.rings("SlotsIdle", true);

    // Somebody else starts a run.
    world.start_behind_its_back(1, "run-003");
    scraper.rings("OverLimit", true);
    world.finish(1, "run-000", true);
    world.finish(1, "run-001", true);
    scraper.rings("OverLimit", false);

    world.pause(1, Some("maintenance"));
    scraper.rings("PauseForgotten", true);
    world.pause(1, None);
    scraper.rings("PauseForgotten", false);

    world.settings(&json!({"memory-lease-ttl": "none"}));
    scraper.rings("SettingsNotInForce", true);
    world.settings(&json!({"memory-lease-ttl": "30m"}));
    scraper.rings("SettingsNotInForce", false);

    scraper.rings("SlotsLeaked", true);
    let leaked = "pac_concurrency_leaked_slot_info{namespace=\"team-0\",repository=\"repo-0\",run=\"run-000\"}";
    assert_eq!(scraper.values(leaked), [1.0]);
    assert!(watcher.log().contains("the slot of team-0/run-000 is still taken"));
    faults.clear();
    scraper.rings("SlotsLeaked", false);
    scraper.rings("SlotsIdle", false);

    world.repository(2, 1);
    world.more_work(2, 0..2);
    scraper.rings("OffWhileRunsWait", false);
    world.settings(&json!({"concurrency-enabled": "false"}));
    scraper.rings("OffWhileRunsWait", true);
    world.settings(&json!({"concurrency-enabled": "true"}));
    scraper.rings("OffWhileRunsWait", false);
}

#[test]
fn each_alert_on_servers_rings_when_the_thing_itself_happens() {
    let store = Store::postgresql();
    let way = Proxy::start(store.port()).unwrap();
    let mut settings = store.settings_through(way.port());
    settings["postgresql-max-connections"] = json!("2");
    let world = World::by_hand(&settings);
    let (mut watcher, scraper) = watched(&world);

    // The network to the store stands still: calls wait for the one connection there is. Then it is gone.
    way.set(Passage::Held);
    (0..4).for_each(|number| world.repository(number, 1));
    scraper.rings("PoolExhausted", true);
    way.set(Passage::Closed);
    scraper.rings("StoreUnreachable", true);
    way.set(Passage::Open);
    scraper.rings("StoreUnreachable", false);
    scraper.rings("PoolExhausted", false);

    world.cluster.faults().refuse_connections();
    scraper.rings("ApiServerUnreachable", true);
    world.cluster.faults().accept_connections();
    scraper.rings("ApiServerUnreachable", false);

    watcher.stop();
    scraper.rings("NobodyLeads", true);
}

#[test]
fn each_alert_on_postgresql_rings_when_the_thing_itself_happens() {
    let store = Store::postgresql();
    let world = World::by_hand(&store.settings());
    let (_watcher, scraper) = watched(&world);
    // A user who may not know since when it is open sees it all the same, if not at once.
    let open = store.open_transaction();
    store.leave_none_to_listen_on(true);
    scraper.rings("ChangesUnheard", true);
    scraper.rings("OldTransaction", true);
    drop(open);
    store.leave_none_to_listen_on(false);
    scraper.rings("ChangesUnheard", false);
    scraper.rings("OldTransaction", false);
}
