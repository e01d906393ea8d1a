//! Commands when somebody doesn't answer: each ends, says whom it waited for, and tells what it knows all the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use pac_devservers::process::Child;
use pac_devservers::proxy::{Passage, Proxy};
use serde_json::{Value, json};
use support::{Store, World, command, eventually, json_of, queue, run, said};

/// A server that takes connections and never says a word; its address.
fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// A kubeconfig for an API server there.
fn kubeconfig(world: &World, address: &str) -> String {
    let file = world.folder.path().join("silent");
    let url = world.cluster.url();
    let own = url.trim_end_matches('/').trim_start_matches("http://");
    std::fs::write(&file, world.cluster.kubeconfig().replace(own, address)).unwrap();
    file.display().to_string()
}

#[test]
fn every_command_ends_and_names_the_server_that_never_answers() {
    let world = World::new(&json!({}));
    let (_listener, address) = silent_server();
    let kubeconfig = kubeconfig(&world, &address);
    let (admin, api) =
        (format!("the watcher at {address} "), format!("the API server at http://{address}, asked for "));
    let cases: [(&[&str], &str); 8] = [
        (&["queue", "list"], &format!("{api}Lease pipelines-as-code/pac-concurrency-watcher,")),
        (&["queue", "show", "ns/repo", "--pod", "w"], &format!("{api}Pod pipelines-as-code/w,")),
        (&["queue", "pause", "ns/repo", "--reason", "x"], &format!("{api}Repository ns/repo,")),
        (&["queue", "resume", "ns/repo"], &format!("{api}Repository ns/repo,")),
        (&["queue", "release", "ns/run", "--reason", "x"], &format!("{api}PipelineRun ns/run,")),
        (&["queue", "explain", "ns/run", "--admin-url", &address], &admin),
        (&["check-config"], "the API server "),
        (&["migrate", "--from", "etcd", "--to", "postgresql"], "the API server "),
    ];
    for (arguments, whom) in cases {
        let mut command = command(&world, arguments);
        command.env("PAC_WATCHER_KUBECONFIG", &kubeconfig).args(["--request-timeout", "200ms"]);
        let said = said(&mut command);
        let whom = format!("no answer from {whom}");
        assert!(said.code == 1 && said.err.contains(&whom), "{arguments:?}: {said:?}");
        assert!(said.err.contains("within 200ms"), "{arguments:?}: {said:?}");
        // Whoever can give it longer is told by which flag.
        let flag = said.err.contains("within 200ms (--request-timeout)");
        assert_eq!(flag, arguments[0] == "queue", "{arguments:?}: {said:?}");
    }
}

fn what_is_known_without_the_store_is_answered_while_it_is_silent(server: &Store) {
    let network = Proxy::start(server.port()).unwrap();
    let world = World::by_hand(&server.settings_through(network.port()));
    world.work(1, 3, 1);
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    let ask = |what: &str, name: &str| json_of(&world, &[what, name, "--admin-url", &url]);
    eventually("one is started", || {
        ask("show", "team-0/repo-0")["repositories"][0]["waiting"].as_array().unwrap().len() == 2
    });
    network.set(Passage::Held);
    for noticed in [false, true] {
        if noticed {
            watcher.becomes_ready(false);
        }
        let asked = Instant::now();
        assert_eq!(ask("explain", "team-0/run-001")["answer"], "store-unreachable");
        let shown = ask("show", "team-0/repo-0");
        let repository = &shown["repositories"][0];
        assert!(!repository["store_trouble"].as_str().unwrap().is_empty(), "{shown}");
        assert_eq!(repository["waiting"][0]["run"], "team-0/run-001");
        // Far less than the store itself is given: 30 s by default, with PostgreSQL.
        let patience = if noticed { 3 } else { 10 };
        assert!(asked.elapsed() < Duration::from_secs(patience), "{:?}, noticed: {noticed}", asked.elapsed());
    }
    network.set(Passage::Open);
    watcher.becomes_ready(true);
    watcher.stop();
}

#[test]
fn what_is_known_without_postgresql_is_answered_while_it_is_silent() {
    what_is_known_without_the_store_is_answered_while_it_is_silent(&Store::postgresql());
}

#[test]
fn what_is_known_without_etcd_is_answered_while_it_is_silent() {
    what_is_known_without_the_store_is_answered_while_it_is_silent(&Store::etcd());
}

#[test]
fn whoever_watches_hears_that_nobody_answers_and_then_goes_on_watching() {
    let world = World::new(&json!({"concurrency-driver": "memory"}));
    world.repository(0, 1);
    let mut watcher = world.watcher("watcher");
    let network = Proxy::start(watcher.admin_port).unwrap();
    let url = format!("http://127.0.0.1:{}", network.port());
    network.set(Passage::Closed);
    let mut watching = queue(&world, &["list", "-A", "--all", "--watch", "-o", "json", "--admin-url", &url]);
    watching.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = Child::spawn("queue list --watch", watching).unwrap();
    let mut lines = BufReader::new(watching.output().unwrap()).lines();
    let mut complaints = BufReader::new(watching.errors().unwrap()).lines();
    for _ in 0..2 {
        let complaint = complaints.next().unwrap().unwrap();
        assert!(complaint.contains(&url[7..]) && complaint.ends_with("; asked again every 2 s"), "{complaint}");
        network.set(Passage::Open);
        let told: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(told["watcher"]["identity"], "watcher");
        network.set(Passage::Closed);
    }
    drop(watching);
    watcher.stop();
}

#[test]
fn what_never_was_there_is_not_watched_for() {
    let world = World::new(&json!({"concurrency-driver": "memory"}));
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    let said = run(&world, &["show", "team-0/none", "--watch", "--admin-url", &url]);
    assert_eq!(said.code, 3, "{said:?}");
    watcher.stop();
}

#[test]
fn whoever_reads_a_table_may_stop_at_any_time() {
    let world = World::new(&json!({"concurrency-driver": "memory"}));
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    let mut watching = queue(&world, &["list", "-A", "--all", "--watch", "--admin-url", &url]);
    watching.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut watching = Child::spawn("queue list --watch", watching).unwrap();
    watching.output().unwrap().read_exact(&mut [0; 10]).unwrap();
    eventually("it ends when nobody reads", || watching.ended().unwrap().is_some_and(|status| status.success()));
    watcher.stop();
}
