//! What `/metrics` says of a run of events whose every value is known.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use pac_devcluster::{FaultAction, FaultRule};
use serde_json::json;
use support::{Scrape, Watcher, World};

const NAMED: [(&str, &str); 2] = [("namespace", "team-0"), ("repository", "repo-0")];

/// The metric `name` of the first Repository, with one more label.
fn of_repo(scrape: &Scrape, name: &str, more: &[(&str, &str)]) -> f64 {
    let labels = [&NAMED[..], more].concat();
    scrape.value(&format!("pac_concurrency_{name}"), &labels).unwrap_or_else(|| panic!("no {name} {labels:?}"))
}

fn whole(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> f64 {
    scrape.value(&format!("pac_concurrency_{name}"), labels).unwrap_or_else(|| panic!("no {name} {labels:?}"))
}

fn until_repo(watcher: &Watcher, name: &str, more: &[(&str, &str)], value: f64) -> Scrape {
    Scrape::until(watcher, &format!("pac_concurrency_{name}"), &[&NAMED[..], more].concat(), value)
}

fn until_whole(watcher: &Watcher, name: &str, labels: &[(&str, &str)], value: f64) -> Scrape {
    Scrape::until(watcher, &format!("pac_concurrency_{name}"), labels, value)
}

/// Limit 2, and four runs of one event: two run, two wait.
fn begin() -> (World, Watcher) {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 4, 2);
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    until_repo(&watcher, "starts_total", &[], 2.0);
    (world, watcher)
}

#[test]
fn a_queue_in_numbers_from_its_first_run_to_its_last() {
    let (world, watcher) = begin();
    let mut seen = BTreeSet::new();
    let scrape = until_repo(&watcher, "held_slots", &[], 2.0);
    for (name, value) in [
        ("limit_runs", 2.0),
        ("running_runs", 2.0),
        ("waiting_runs", 2.0),
        ("startable_runs", 0.0),
        ("paused_repositories", 0.0),
        ("excess_runs", 0.0),
        ("draining_runs", 0.0),
        ("leaked_slots", 0.0),
        ("admissions_total", 2.0),
        ("limit_reached_total", 1.0),
        ("adoptions_total", 0.0),
        ("over_limit_drains_total", 0.0),
        ("wait_seconds_count", 2.0),
    ] {
        assert_eq!(of_repo(&scrape, name, &[]), value, "{name}");
    }
    // They were created at a whole second, which may have begun just now.
    let age = of_repo(&scrape, "oldest_waiting_age_seconds", &[]);
    assert!(age > 0.0 && age < 120.0, "{age}");
    for (name, labels, value) in [
        ("repositories", &[("limit", "limited")][..], 1.0),
        ("repositories", &[("limit", "unlimited")], 0.0),
        ("start_seconds_count", &[], 2.0),
        ("leader", &[], 1.0),
        ("enabled", &[], 1.0),
        ("trouble", &[("part", "store")], 0.0),
        ("store_info", &[("driver", "memory")], 1.0),
        ("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0),
        ("config_reloads_total", &[("outcome", "refused")], 0.0),
        ("events_total", &[("outcome", "failed")], 0.0),
        ("events_total", &[("outcome", "dropped")], 0.0),
        ("settings_not_in_force", &[("reason", "unusable")], 0.0),
        ("lease_losses_total", &[], 0.0),
        ("conflicts_total", &[], 0.0),
        ("given_back_total", &[], 0.0),
        ("driver_call_seconds_count", &[("driver", "memory"), ("operation", "begin"), ("outcome", "ok")], 1.0),
        ("work_queue_repositories", &[], 0.0),
    ] {
        assert_eq!(whole(&scrape, name, labels), value, "{name} {labels:?}");
    }
    seen.extend(scrape.checked());
    // What waits says so, once it has waited for a moment; nothing more is written as long as nothing moves.
    let scrape = until_whole(&watcher, "annotation_writes_total", &[("outcome", "written")], 2.0);
    for outcome in ["taken_away", "past", "failed", "put_off"] {
        assert_eq!(whole(&scrape, "annotation_writes_total", &[("outcome", outcome)]), 0.0, "{outcome}");
    }

    // One succeeds, one fails; their slots go to those who wait.
    world.finish(0, "run-000", true);
    world.is_started(0, "run-002");
    world.finish(0, "run-001", false);
    let scrape = until_repo(&watcher, "starts_total", &[], 4.0);
    assert_eq!(of_repo(&scrape, "releases_total", &[("reason", "completed")]), 1.0);
    assert_eq!(of_repo(&scrape, "releases_total", &[("reason", "failed")]), 1.0);
    assert_eq!(whole(&scrape, "hand_off_seconds_count", &[]), 2.0);
    assert!(whole(&scrape, "hand_off_seconds_sum", &[]) < 60.0);
    let scrape = until_whole(&watcher, "runs_done_total", &[("state", "failed"), ("outcome", "ok")], 1.0);
    assert_eq!(whole(&scrape, "runs_done_total", &[("state", "completed"), ("outcome", "ok")]), 1.0);
    assert!(whole(&scrape, "pass_seconds_count", &[("outcome", "ok")]) >= 3.0);
    assert!(whole(&scrape, "events_total", &[("outcome", "written")]) >= 1.0);

    // One gives up while it waits; then the limit is lowered below what runs.
    world.queue_run(0, "impatient");
    until_repo(&watcher, "waiting_runs", &[], 1.0);
    world.cancel(0, "impatient");
    until_repo(&watcher, "releases_total", &[("reason", "withdrawn")], 1.0);
    world.delete_run(0, "impatient");
    world.set_limit(0, Some(1));
    let scrape = until_repo(&watcher, "draining_runs", &[], 1.0);
    assert_eq!(of_repo(&scrape, "over_limit_drains_total", &[]), 1.0);
    assert_eq!((of_repo(&scrape, "limit_runs", &[]), of_repo(&scrape, "excess_runs", &[])), (1.0, 0.0));

    world.pause(0, Some("maintenance"));
    let scrape = until_repo(&watcher, "paused_repositories", &[], 1.0);
    assert_eq!(of_repo(&scrape, "paused_without_end_repositories", &[]), 1.0);
    seen.extend(scrape.checked());
    world.set_limit(0, Some(9));
    world.queue_run(0, "paused");
    let scrape = until_repo(&watcher, "waiting_runs", &[], 1.0);
    assert_eq!((of_repo(&scrape, "startable_runs", &[]), of_repo(&scrape, "limit_runs", &[])), (0.0, 9.0));
    world.delete_run(0, "paused");
    world.set_limit(0, Some(1));
    world.pause(0, None);
    let scrape = until_repo(&watcher, "paused_repositories", &[], 0.0);
    assert_eq!(of_repo(&scrape, "over_limit_drains_total", &[]), 2.0, "lowered once more");

    // Somebody else starts one on top of that.
    world.queue_run(0, "smuggled");
    until_repo(&watcher, "waiting_runs", &[], 1.0);
    world.start_behind_its_back(0, "smuggled");
    let scrape = until_repo(&watcher, "adoptions_total", &[], 1.0);
    assert_eq!((of_repo(&scrape, "excess_runs", &[]), of_repo(&scrape, "draining_runs", &[])), (1.0, 1.0));
    assert_eq!(of_repo(&scrape, "held_slots", &[]), 3.0);
    world.delete_run(0, "smuggled");
    until_repo(&watcher, "held_slots", &[], 2.0);
    let gone = |scrape: &Scrape| scrape.sum("pac_concurrency_releases_total", &[("reason", "gone")]);
    // The one that was paused counts, too, if it had been queued before it was deleted.
    support::eventually("it is gone", || [1.0, 2.0].contains(&gone(&Scrape::of(&watcher))));
    let scrape = Scrape::of(&watcher);
    seen.extend(scrape.checked());

    // What has no limit, and what has no Repository.
    world.set_limit(0, None);
    let scrape = until_whole(&watcher, "repositories", &[("limit", "unlimited")], 1.0);
    assert_eq!(scrape.value("pac_concurrency_limit_runs", &NAMED), None);
    for name in ["run-002", "run-003"] {
        world.finish(0, name, true);
    }
    until_repo(&watcher, "running_runs", &[], 0.0);
    world.queue_run(0, "orphan");
    world.is_started(0, "orphan");
    world.delete_repository(0);
    until_whole(&watcher, "repositories", &[("limit", "held")], 1.0);
    // With the last of it, all that was said of it goes.
    world.finish(0, "orphan", true);
    let scrape = until_whole(&watcher, "repositories", &[("limit", "held")], 0.0);
    assert!(!scrape.mentions("repository", "repo-0"));
    seen.extend(scrape.checked());
    everything_was_seen(&seen);
}

/// Every metric of the catalogue but those of which other tests tell.
fn everything_was_seen(seen: &BTreeSet<&'static str>) {
    const ELSEWHERE: &[&str] = &[
        // Memory has no connections, and nothing to listen to: metrics_of_stores.rs.
        "pac_concurrency_store_connections",
        "pac_concurrency_store_connections_max",
        "pac_concurrency_store_hears_changes",
        "pac_concurrency_store_oldest_transaction_age_seconds",
        "pac_concurrency_store_waiting_calls",
        // A switched-off system, and companion mode: below.
        "pac_concurrency_waiting_while_off_runs",
        "pac_concurrency_open_to_pacs_queue_runs",
        "pac_concurrency_gate_holds",
        "pac_concurrency_gate_loses_orders",
        // Take a gate that asks the watcher: webhook.rs.
        "pac_concurrency_webhook_certificate_remaining_seconds",
        "pac_concurrency_webhook_reviews_total",
        "pac_concurrency_webhook_seconds",
        // Takes a port for tenants: tenants.rs.
        "pac_concurrency_tenant_certificate_remaining_seconds",
        // Shadow mode: shadow.rs.
        "pac_concurrency_shadow_wait_seconds",
        "pac_concurrency_shadow_would_have_waited_seconds",
        "pac_concurrency_shadow_hand_off_seconds",
        "pac_concurrency_shadow_slot_seconds_total",
        "pac_concurrency_shadow_drift_total",
        // Take a failure: below, and prometheus.rs.
        "pac_concurrency_start_failures_total",
        "pac_concurrency_leaked_slot_info",
    ];
    let all = pac_metrics::metrics().map(|metric| metric.name).filter(|name| !ELSEWHERE.contains(name));
    let missing: Vec<&str> = all.filter(|name| !seen.contains(name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn starts_that_fail_are_told_apart() {
    let (world, watcher) = begin();
    let start = |name: &str, action| FaultRule::new(action).verb("patch").resource("pipelineruns").name(name);
    let faults = world.cluster.faults();
    let denied = FaultAction::Error { status: 403, reason: "Forbidden".to_owned(), message: "not today".to_owned() };
    faults.add(start("run-002", denied).times(1));
    faults.add(start("run-003", FaultAction::DropBefore).times(1));
    world.finish(0, "run-000", true);
    let scrape = until_repo(&watcher, "start_failures_total", &[("reason", "refused")], 1.0);
    assert!(scrape.checked().contains("pac_concurrency_start_failures_total"));
    let scrape = until_repo(&watcher, "start_failures_total", &[("reason", "unknown")], 1.0);
    assert_eq!(whole(&scrape, "given_back_total", &[]), 1.0);
    world.is_started(0, "run-003");
    // Cancelled while its start is on its way.
    world.queue_run(0, "hesitant");
    let slow = faults.add(start("hesitant", FaultAction::Latency(Duration::from_secs(2))));
    // Room for both of them, whichever is first.
    world.set_limit(0, Some(4));
    support::eventually("its start is on its way", || faults.strikes(slow) > 0);
    world.cancel(0, "hesitant");
    until_repo(&watcher, "start_failures_total", &[("reason", "withdrawn")], 1.0);
}

#[test]
fn settings_that_can_not_be_used_are_told_until_they_can() {
    let (world, watcher) = begin();
    let held = |reason| [("reason", reason)];
    world.settings(&json!({"memory-lease-ttl": "never"}));
    let scrape = until_whole(&watcher, "settings_not_in_force", &held("unusable"), 1.0);
    assert_eq!(whole(&scrape, "config_reloads_total", &[("outcome", "refused")]), 1.0);
    let nowhere = pac_devservers::free_port().unwrap();
    let mut settings = support::postgresql_settings(nowhere);
    settings["memory-lease-ttl"] = json!("30m");
    world.settings(&settings);
    let scrape = until_whole(&watcher, "settings_not_in_force", &held("unreachable"), 1.0);
    assert_eq!(whole(&scrape, "settings_not_in_force", &held("unusable")), 0.0);
    // With a lease of its own length the memory is made anew, and the slots in it are taken over.
    world.settings(&json!({"concurrency-driver": "memory", "memory-lease-ttl": "31m"}));
    let scrape = until_whole(&watcher, "claims_total", &[], 2.0);
    assert_eq!(whole(&scrape, "settings_not_in_force", &held("unreachable")), 0.0);
    assert_eq!(whole(&scrape, "config_reloads_total", &[("outcome", "applied")]), 2.0);

    world.settings(&json!({"concurrency-repository-labels": "false"}));
    let scrape = until_whole(&watcher, "running_runs", &[], 2.0);
    assert!(!scrape.mentions("repository", "repo-0"));
    assert_eq!((whole(&scrape, "starts_total", &[]), whole(&scrape, "wait_seconds_count", &[])), (2.0, 2.0));
    assert_eq!(whole(&scrape, "claims_total", &[]), 2.0, "the store was left alone");
    scrape.checked();
    world.settings(&json!({"concurrency-repository-labels": "true"}));
    until_repo(&watcher, "running_runs", &[], 2.0);
}

#[test]
fn switched_off_it_tells_how_many_wait_for_it() {
    let (world, watcher) = begin();
    world.settings(&json!({"concurrency-enabled": "false"}));
    let scrape = until_whole(&watcher, "waiting_while_off_runs", &[], 2.0);
    assert_eq!((whole(&scrape, "enabled", &[]), whole(&scrape, "leader", &[])), (0.0, 1.0));
    assert!(scrape.checked().contains("pac_concurrency_waiting_while_off_runs"));
    world.settings(&json!({"concurrency-enabled": "true"}));
    let scrape = until_repo(&watcher, "waiting_runs", &[], 2.0);
    assert_eq!(whole(&scrape, "enabled", &[]), 1.0);
    assert_eq!(scrape.value("pac_concurrency_waiting_while_off_runs", &[]), None);
}

#[test]
fn beside_pac_it_tells_what_pacs_queue_may_start() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 4, 2);
    world.put_gate();
    let watcher = world.watcher_with("watcher", &["--mode", "companion"]);
    // They had their order before the gate was there, and their Repository is held until PAC's queue has started them.
    until_repo(&watcher, "open_to_pacs_queue_runs", &[], 4.0);
    // The gate is tried in its own time, and tells nothing before.
    let scrape = until_whole(&watcher, "gate_holds", &[], 1.0);
    let checked = scrape.checked();
    assert!(
        checked.contains("pac_concurrency_open_to_pacs_queue_runs") && checked.contains("pac_concurrency_gate_holds")
    );
    assert_eq!(of_repo(&scrape, "starts_total", &[]), 0.0);
    (0..4).for_each(|number| world.hide_order(0, &format!("run-{number:03}")));
    let scrape = until_repo(&watcher, "starts_total", &[], 2.0);
    assert_eq!(scrape.value("pac_concurrency_open_to_pacs_queue_runs", &NAMED), None);
    assert_eq!(whole(&scrape, "gate_loses_orders", &[]), 0.0);
    world.break_gate();
    let scrape = until_whole(&watcher, "gate_loses_orders", &[], 1.0);
    assert!(scrape.checked().contains("pac_concurrency_gate_loses_orders"));
    assert_eq!(whole(&scrape, "gate_holds", &[]), 1.0);
}

#[test]
fn an_api_server_that_is_away_is_trouble() {
    let (world, watcher) = begin();
    let restarts = |scrape: &Scrape| scrape.sum("pac_concurrency_watch_restarts_total", &[]);
    assert_eq!(restarts(&Scrape::of(&watcher)), 0.0);
    world.cluster.faults().refuse_connections();
    until_whole(&watcher, "trouble", &[("part", "api_server")], 1.0);
    world.cluster.faults().accept_connections();
    let scrape = until_whole(&watcher, "trouble", &[("part", "api_server")], 0.0);
    assert!(restarts(&scrape) >= 2.0, "of each watch one at least");
}
