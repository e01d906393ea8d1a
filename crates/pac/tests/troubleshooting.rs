//! docs/troubleshooting.md quotes what the watcher really says: each problem is made, and its lines are looked for in the log.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::Path;
use std::process::Command;

use pac_devservers::etcd::Etcd;
use pac_devservers::free_port;
use pac_devservers::postgres::{PASSWORD, Postgres};
use serde_json::{Value, json};
use support::{Store, World, eventually, postgresql_settings};

/// The page's example servers.
const DATABASE: &str = "db.example.com:5432";
const ETCD: &str = "etcd.example.com:2379";

/// The lines that the page quotes.
fn quoted() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/troubleshooting.md");
    let text = std::fs::read_to_string(page).unwrap();
    let blocks = text.split("```").skip(1).step_by(2);
    let lines = blocks.filter_map(|block| block.strip_prefix("text\n")).flat_map(str::lines);
    lines.map(str::to_owned).collect()
}

/// What a watcher with these settings logs until it has said `problem`, with the server's address as the page has it.
fn log_of(settings: &Value, problem: &str, port: u16, example: &str) -> String {
    let world = World::new(settings);
    world.work(1, 1, 1);
    let watcher = world.watcher_with("watcher", &["--log-format", "text", "--mode", "companion"]);
    eventually(problem, || watcher.log().contains(problem));
    watcher.log().replace(&format!("127.0.0.1:{port}"), example)
}

fn etcd_settings(port: u16, password: &str) -> Value {
    json!({
        "concurrency-driver": "etcd", "etcd-endpoints": format!("http://127.0.0.1:{port}"),
        "etcd-username": "pac_user", "etcd-password": password,
    })
}

/// An etcd where users count, and ours has no role.
fn guarded_etcd() -> Etcd {
    let etcd = Etcd::start().unwrap();
    for arguments in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "pac_user:right"],
        &["auth", "enable"],
    ] {
        etcd.control(arguments).unwrap();
    }
    etcd
}

#[test]
fn an_etcd_user_with_the_least_rights_is_told_what_reading_the_old_keys_takes() {
    let etcd = guarded_etcd();
    let root = "--user=root:root";
    for arguments in [
        &["role", "add", "pac", root][..],
        &["role", "grant-permission", "pac", "--prefix=true", "readwrite", "/pac/concurrency/v2/", root],
        &["user", "grant-role", "pac_user", "pac", root],
    ] {
        etcd.control(arguments).unwrap();
    }
    let log = log_of(&etcd_settings(etcd.port(), "right"), "start: done", etcd.port(), ETCD);
    for prefix in ["/pac/leases/", "/pac/concurrency/"] {
        assert!(log.contains(&format!("etcdctl role grant-permission ROLE --prefix=true read {prefix}")), "{log}");
    }
}

fn refused_settings() -> String {
    let world = World::new(&json!({"concurrency-driver": "postgres"}));
    let mut command = Command::new(env!("CARGO_BIN_EXE_pac-watcher"));
    command.args(["check-config", "--kubeconfig"]).arg(world.kubeconfig());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn every_line_of_the_page_is_what_is_logged() {
    let mut logs = refused_settings();
    let nobody = free_port().unwrap();
    logs += &log_of(&postgresql_settings(nobody), "connection refused", nobody, DATABASE);
    logs += &log_of(&etcd_settings(nobody, "x"), "connection refused", nobody, ETCD);

    let postgres = Postgres::start_empty(&[]).unwrap();
    postgres.administer("CREATE DATABASE pac_concurrency").unwrap();
    postgres.administer(&format!("CREATE USER pac_user WITH PASSWORD '{PASSWORD}'")).unwrap();
    let mut settings = postgresql_settings(postgres.port());
    logs += &log_of(&settings, "permission denied", postgres.port(), DATABASE);
    settings["postgresql-password"] = "wrong".into();
    logs += &log_of(&settings, "authentication failed", postgres.port(), DATABASE);

    let etcd = guarded_etcd();
    logs += &log_of(&etcd_settings(etcd.port(), "wrong"), "authentication failed", etcd.port(), ETCD);
    logs += &log_of(&etcd_settings(etcd.port(), "right"), "permission denied", etcd.port(), ETCD);

    let store = Store::postgresql();
    logs += &log_of(&store.settings(), "PAC's own queue", store.port(), DATABASE);

    let quoted = quoted();
    assert!(quoted.len() >= 8, "{quoted:?}");
    for line in quoted {
        assert!(logs.contains(&line), "nobody says {line:?}; what is said is\n{logs}");
    }
}
