//! What `/metrics` says of stores that are servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::thread::sleep;
use std::time::Duration;

use pac_devservers::proxy::{Passage, Proxy};
use serde_json::json;
use support::{Scrape, Store, Watcher, World, eventually};

fn value(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> f64 {
    scrape.value(&format!("pac_concurrency_{name}"), labels).unwrap_or_else(|| panic!("no {name} {labels:?}"))
}

fn calls(scrape: &Scrape, driver: &str, operation: &str, outcome: &str) -> f64 {
    let labels = [("driver", driver), ("operation", operation), ("outcome", outcome)];
    scrape.value("pac_concurrency_driver_call_seconds_count", &labels).unwrap_or_default()
}

fn settings(store: &Store, port: u16, more: &serde_json::Value) -> serde_json::Value {
    let mut settings = store.settings_through(port);
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

#[test]
fn connections_that_all_are_taken_are_told_with_who_waits_for_one() {
    let store = Store::postgresql();
    let way = Proxy::start(store.port()).unwrap();
    // One listens, so that one is left for calls.
    let world = World::new(&settings(&store, way.port(), &json!({"postgresql-max-connections": "2"})));
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    world.work(4, 4, 1);
    world.until_done(16);
    let scrape = Scrape::of(&watcher);
    assert_eq!(value(&scrape, "store_info", &[("driver", "postgresql")]), 1.0);
    assert_eq!(value(&scrape, "store_connections_max", &[]), 1.0);
    assert!(calls(&scrape, "postgresql", "commit", "ok") >= 16.0);
    assert_eq!(calls(&scrape, "postgresql", "load", "unavailable"), 0.0);
    assert_eq!(scrape.sum("pac_concurrency_wait_seconds_count", &[]), 16.0);
    let seen = scrape.checked();
    for name in ["store_connections", "store_connections_max", "store_waiting_calls"] {
        assert!(seen.contains(format!("pac_concurrency_{name}").as_str()), "{name}");
    }
    way.set(Passage::Held);
    (4..8).for_each(|number| {
        world.repository(number, 1);
        world.more_work(number, 0..1);
    });
    let taken = |scrape: &Scrape| {
        value(scrape, "store_connections", &[("state", "in_use")]) == 1.0
            && value(scrape, "store_waiting_calls", &[]) >= 2.0
    };
    eventually("one has the connection, and others wait", || taken(&Scrape::of(&watcher)));
    Scrape::until(&watcher, "pac_concurrency_trouble", &[("part", "store")], 1.0);
    // The watcher gave up waiting for one: nobody knows what became of it.
    eventually("a call without an answer", || {
        calls(&Scrape::of(&watcher), "postgresql", "check", "indeterminate") >= 1.0
    });
    way.set(Passage::Open);
    world.until_done(20);
    Scrape::until(&watcher, "pac_concurrency_store_waiting_calls", &[], 0.0);
    Scrape::until(&watcher, "pac_concurrency_trouble", &[("part", "store")], 0.0);
}

#[test]
fn without_a_connection_to_listen_on_changes_are_looked_for_and_it_is_told() {
    let store = Store::postgresql();
    let world = World::new(&settings(&store, store.port(), &json!({"postgresql-max-connections": "2"})));
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    Scrape::until(&watcher, "pac_concurrency_store_hears_changes", &[], 1.0);
    let age = || Scrape::of(&watcher).value("pac_concurrency_store_oldest_transaction_age_seconds", &[]);
    eventually("no transaction is old", || age().is_some_and(|age| age < 60.0));
    let ready = || Watcher::get(watcher.probe_port, "/ready");
    assert_eq!(ready(), "ok\n");
    store.leave_none_to_listen_on(true);
    Scrape::until(&watcher, "pac_concurrency_store_hears_changes", &[], 0.0);
    let told = "ok\nchanges by other watchers: looked for, because there is no connection to listen on: ";
    assert!(ready().starts_with(told), "{}", ready());
    eventually("it says why it got no other", || ready().starts_with(told) && ready().contains("too many connections"));
    assert!(watcher.log().contains("because there is no connection to listen on"), "{}", watcher.log());
    world.work(1, 2, 1);
    world.until_done(2);
    store.leave_none_to_listen_on(false);
    Scrape::until(&watcher, "pac_concurrency_store_hears_changes", &[], 1.0);
    assert_eq!(ready(), "ok\n");
}

#[test]
fn watchers_that_get_in_each_others_way_count_it() {
    let store = Store::etcd();
    let world = World::new(&settings(&store, store.port(), &json!({"etcd-lease-ttl": "10s"})));
    let mut watchers = ["one", "two"].map(|name| world.watcher_with(name, &["--leader-elect=false"]));
    watchers.iter_mut().for_each(|watcher| watcher.becomes_ready(true));
    let conflicts = |watchers: &[Watcher; 2]| -> f64 {
        watchers.iter().map(|watcher| value(&Scrape::of(watcher), "conflicts_total", &[])).sum()
    };
    let (mut runs, mut repositories) = (0, 0);
    eventually("both were at the same repository", || {
        world.repository(repositories, 2);
        world.more_work(repositories, 0..8);
        (runs, repositories) = (runs + 8, repositories + 1);
        world.until_done(runs);
        conflicts(&watchers) > 0.0
    });
    let scrapes = watchers.each_ref().map(Scrape::of);
    for scrape in &scrapes {
        assert_eq!(value(scrape, "store_info", &[("driver", "etcd")]), 1.0);
        assert_eq!(value(scrape, "store_connections", &[("state", "in_use")]), 1.0);
        assert_eq!(value(scrape, "leader", &[]), 1.0, "without election all do");
        assert_eq!(value(scrape, "lease_losses_total", &[]), 0.0);
    }
    let refused = scrapes.iter().map(|scrape| calls(scrape, "etcd", "commit", "conflict")).sum::<f64>();
    let counted = scrapes.iter().map(|scrape| value(scrape, "conflicts_total", &[])).sum::<f64>();
    assert_eq!(refused, counted);
    watchers[0].signal("STOP");
    // The lease has to run out, by the server's clock.
    sleep(Duration::from_secs(12));
    watchers[0].signal("CONT");
    Scrape::until(&watchers[0], "pac_concurrency_lease_losses_total", &[], 1.0);
}
