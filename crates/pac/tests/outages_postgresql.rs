//! What happens to PostgreSQL, and to the way there, while 50 repositories are busy: nothing is lost, nothing is admitted
//! twice, the order is kept, the watcher is not restarted, and `/ready` tells the truth.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devservers::postgres::{PASSWORD, Postgres};
use pac_devservers::proxy::{Passage, Proxy};
use serde_json::{Value, json};
use support::{World, eventually};

const REPOSITORIES: usize = 50;
const RUNS: usize = 12;
const LIMIT: u32 = 3;
const ALL: usize = REPOSITORIES * RUNS;

fn settings(port: u16) -> Value {
    json!({
        "concurrency-driver": "postgresql",
        "postgresql-host": "127.0.0.1",
        "postgresql-port": port.to_string(),
        "postgresql-ssl-mode": "disable",
        "postgresql-password": PASSWORD,
    })
}

fn at_work(settings: &Value) -> World {
    let world = World::new(settings);
    world.work(REPOSITORIES, RUNS, LIMIT);
    world
}

#[test]
fn a_killed_server_that_comes_back_finds_nothing_lost() {
    let mut server = Postgres::start().unwrap();
    let world = at_work(&settings(server.port()));
    let mut watcher = world.watcher("watcher");
    world.until_done(100);
    server.kill().unwrap();
    watcher.becomes_ready(false);
    let done = world.done();
    server.restart().unwrap();
    watcher.becomes_ready(true);
    world.all_is_well(ALL, Duration::from_secs(30));
    assert!(done < ALL, "the outage came too late to matter");
    assert_eq!(watcher.readiness(), [false, true, false, true]);
    watcher.stop();
}

#[test]
fn terminated_backends_are_replaced() {
    let server = Postgres::start().unwrap();
    let world = at_work(&settings(server.port()));
    let mut watcher = world.watcher("watcher");
    for done in [50, 150, 250, 350, 450] {
        world.until_done(done);
        let ended = server
            .administer("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'pac_user'");
        assert_ne!(ended.unwrap(), "0");
    }
    world.all_is_well(ALL, Duration::ZERO);
    watcher.becomes_ready(true);
    watcher.stop();
}

#[test]
fn a_network_cut_for_a_minute_is_waited_out() {
    let server = Postgres::start().unwrap();
    let network = Proxy::start(server.port()).unwrap();
    let world = at_work(&settings(network.port()));
    let mut watcher = world.watcher("watcher");
    world.until_done(100);
    network.set(Passage::Held);
    watcher.becomes_ready(false);
    std::thread::sleep(Duration::from_secs(60)); // the outage itself
    assert!(world.done() < ALL, "nobody is admitted while the store is away");
    network.set(Passage::Open);
    watcher.becomes_ready(true);
    world.all_is_well(ALL, Duration::from_secs(90));
    assert_eq!(watcher.readiness(), [false, true, false, true]);
    watcher.stop();
}

#[test]
fn commits_whose_answer_is_lost_are_neither_lost_nor_done_twice() {
    let server = Postgres::start().unwrap();
    let network = Proxy::start(server.port()).unwrap();
    let world = at_work(&settings(network.port()));
    let mut watcher = world.watcher("watcher");
    for done in (50..ALL - 100).step_by(50) {
        world.until_done(done);
        network.cut_answers(5);
    }
    world.all_is_well(ALL, Duration::ZERO);
    eventually("answers were cut", || network.answers_cut() > 20);
    watcher.becomes_ready(true);
    watcher.stop();
}

#[test]
fn a_healthy_run_logs_no_warning_and_leaves_no_rows() {
    let server = Postgres::start().unwrap();
    let world = at_work(&settings(server.port()));
    let mut watcher = world.watcher("watcher");
    world.all_is_well(ALL, Duration::ZERO);
    let rows = "SELECT (SELECT count(*) FROM pac_concurrency.slots) + (SELECT count(*) FROM pac_concurrency.waiting)";
    eventually("all slots are released", || server.administer_in("pac_concurrency", rows).unwrap() == "0");
    watcher.stop();
    let log = watcher.log();
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| ["WARN", "ERROR"].iter().any(|level| line.contains(&format!("\"level\":\"{level}\""))))
        .collect();
    // The password stands in the ConfigMap here, and that is complained of.
    assert!(complaints.iter().all(|line| line.contains("postgresql-password")), "{complaints:#?}");
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
