//! `pac-watcher migrate` as an administrator runs it, between watchers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Store, World};

const RUNS: usize = 24;

/// Runs it; both servers' settings are in the ConfigMap.
fn migrate(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pac-watcher"));
    command.arg("migrate").arg("--kubeconfig").arg(world.kubeconfig()).args(arguments);
    command.args(["--log-level", "error"]).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// The settings of both, with the driver of the first.
fn both(first: &Store, second: &Store) -> Value {
    let mut settings = second.settings();
    settings.as_object_mut().unwrap().extend(first.settings().as_object().unwrap().clone());
    settings
}

fn moves(from: &Store, to: &Store, arguments: &[&str]) {
    let world = World::new(&both(from, to));
    world.work(2, RUNS, 2);
    let mut watcher = world.watcher("before");
    world.until_done(6);
    let refused = migrate(&world, arguments);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("is at work on"), "{}", text(&refused));
    watcher.stop();
    let dry = migrate(&world, &[arguments, &["--dry-run"]].concat());
    assert!(dry.status.success() && text(&dry).contains("nothing was changed"), "{}", text(&dry));
    assert!(text(&dry).contains("team-0/repo-0") && to.is_untouched(), "{}", text(&dry));
    let creates = text(&dry).contains("postgresql (--to): a move would create the schema, at version ");
    assert_eq!(creates, matches!(to, Store::Postgres(_)), "{}", text(&dry));
    let moved = migrate(&world, arguments);
    assert!(moved.status.success() && text(&moved).contains("moved"), "{}", text(&moved));
    assert!(!to.is_empty() && !from.is_empty());
    world.settings(&to.settings());
    let mut watcher = world.watcher("after");
    world.all_is_well(2 * RUNS, Duration::from_secs(10));
    watcher.stop();
}

#[test]
fn from_postgresql_to_etcd() {
    moves(&Store::postgresql(), &Store::etcd(), &["--from", "postgresql", "--to", "etcd"]);
}

#[test]
fn from_etcd_to_postgresql() {
    moves(&Store::etcd(), &Store::postgresql(), &["--from", "etcd", "--to", "postgresql"]);
}

fn a_watcher_that_has_no_slot_is_at_work_all_the_same(from: &Store, to: &Store, arguments: &[&str]) {
    let world = World::new(&both(from, to));
    world.repository(0, 1);
    let mut watcher = world.watcher("idle");
    watcher.becomes_ready(true);
    let refused = migrate(&world, arguments);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("watcher idle:") && text(&refused).contains("is at work on"), "{}", text(&refused));
    watcher.stop();
    let moved = migrate(&world, arguments);
    assert!(moved.status.success(), "{}", text(&moved));
}

#[test]
fn an_idle_watcher_on_postgresql_is_noticed() {
    let arguments = ["--from", "postgresql", "--to", "etcd"];
    a_watcher_that_has_no_slot_is_at_work_all_the_same(&Store::postgresql(), &Store::etcd(), &arguments);
}

#[test]
fn an_idle_watcher_on_etcd_is_noticed() {
    let arguments = ["--from", "etcd", "--to", "postgresql"];
    a_watcher_that_has_no_slot_is_at_work_all_the_same(&Store::etcd(), &Store::postgresql(), &arguments);
}

#[test]
fn what_an_earlier_version_left_is_moved_too() {
    let (etcd, postgresql) = (Store::etcd(), Store::postgresql());
    let world = World::new(&both(&postgresql, &etcd));
    world.work(1, 4, 1);
    let Store::Etcd(server) = &etcd else { unreachable!() };
    for run in ["run-002", "gone", "run-003", "run-000", "run-001"] {
        let key = format!("/pac/concurrency/team-0/repo-0/queue/team-0/{run}");
        server.control(&["put", &key, run]).unwrap();
    }
    let moved = migrate(&world, &["--from", "etcd", "--to", "postgresql"]);
    assert!(moved.status.success() && text(&moved).contains("1 runs that an earlier version left"), "{}", text(&moved));
    let mut watcher = world.watcher("after");
    world.until_done(4);
    assert_eq!(world.starts(), ["run-002", "run-003", "run-000", "run-001"]);
    watcher.stop();
}

#[test]
fn wrong_words_and_servers_that_are_away_are_told() {
    let world = World::new(&json!({"etcd-endpoints": "127.0.0.1:1", "postgresql-ssl-mode": "disable"}));
    let same = migrate(&world, &["--from", "etcd", "--to", "etcd"]);
    assert_eq!(same.status.code(), Some(2), "{}", text(&same));
    let away = migrate(&world, &["--from", "etcd", "--to", "postgresql"]);
    assert_eq!(away.status.code(), Some(1));
    assert!(text(&away).contains("connection refused") && text(&away).contains("etcd-endpoints"), "{}", text(&away));
    let memory = migrate(&world, &["--from", "memory", "--to", "etcd"]);
    assert_eq!(memory.status.code(), Some(2), "{}", text(&memory));
}

#[test]
fn who_may_not_write_is_told_so_before_anything_is_moved() {
    let (etcd, postgresql) = (Store::etcd(), Store::postgresql());
    let Store::Postgres(server) = &postgresql else { unreachable!() };
    server.administer("CREATE USER reader WITH PASSWORD 'x'").unwrap();
    let world = World::new(&both(&etcd, &postgresql));
    world.settings(&json!({"postgresql-username": "reader", "postgresql-password": "x"}));
    let refused = migrate(&world, &["--from", "etcd", "--to", "postgresql", "--dry-run"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("postgresql (--to) can't be written to: permission denied"), "{}", text(&refused));
    assert!(text(&refused).contains("GRANT CREATE, CONNECT ON DATABASE") && postgresql.is_untouched());
}
