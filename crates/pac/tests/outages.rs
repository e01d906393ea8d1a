//! What happens to the store, and to the way there, while 50 repositories are busy: nothing is lost, nothing is admitted
//! twice, the order is kept, the watcher is not restarted, and `/ready` tells the truth.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devservers::postgres::PASSWORD;
use pac_devservers::proxy::{Passage, Proxy};
use serde_json::Value;
use support::{Store, World, eventually};

const REPOSITORIES: usize = 50;
const RUNS: usize = 12;
const LIMIT: u32 = 3;
const ALL: usize = REPOSITORIES * RUNS;

const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'pac_user'";

fn at_work(settings: &Value) -> World {
    let world = World::new(settings);
    world.work(REPOSITORIES, RUNS, LIMIT);
    world
}

fn a_killed_server_that_comes_back_finds_nothing_lost(mut server: Store) {
    let world = at_work(&server.settings());
    let mut watcher = world.watcher("watcher");
    world.until_done(100);
    server.kill();
    watcher.becomes_ready(false);
    let done = world.done();
    server.restart();
    watcher.becomes_ready(true);
    world.all_is_well(ALL, Duration::from_secs(30));
    assert!(done < ALL, "the outage came too late to matter");
    assert_eq!(watcher.readiness(), [false, true, false, true]);
    watcher.stop();
}

fn a_network_cut_for_a_minute_is_waited_out(server: &Store) {
    let network = Proxy::start(server.port()).unwrap();
    let world = at_work(&server.settings_through(network.port()));
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

fn commits_whose_answer_is_lost_are_neither_lost_nor_done_twice(server: &Store) {
    let network = Proxy::start(server.port()).unwrap();
    let world = at_work(&server.settings_through(network.port()));
    let mut watcher = world.watcher("watcher");
    for done in (50..ALL - 100).step_by(50) {
        world.until_done(done);
        network.cut_answers(5);
    }
    world.all_is_well(ALL, Duration::from_secs(5));
    eventually("answers were cut", || network.answers_cut() > 20);
    watcher.becomes_ready(true);
    watcher.stop();
}

fn a_healthy_run_logs_no_warning_and_leaves_nothing_behind(server: &Store) {
    let world = at_work(&server.settings());
    let mut watcher = world.watcher("watcher");
    world.all_is_well(ALL, Duration::from_secs(5));
    eventually("all slots are released", || server.is_empty());
    watcher.stop();
    let log = watcher.log();
    let complaints: Vec<&str> = log
        .lines()
        .filter(|line| ["WARN", "ERROR"].iter().any(|level| line.contains(&format!("\"level\":\"{level}\""))))
        .collect();
    // The password stands in the ConfigMap here, and that is complained of.
    assert!(complaints.iter().all(|line| line.contains("postgresql-password")), "{complaints:#?}");
}

#[test]
fn terminated_backends_are_replaced() {
    let store = Store::postgresql();
    let world = at_work(&store.settings());
    let Store::Postgres(server) = &store else { unreachable!() };
    let mut watcher = world.watcher("watcher");
    for done in [50, 150, 250, 350, 450] {
        world.until_done(done);
        eventually("there are backends to terminate", || server.administer(TERMINATE).unwrap() != "0");
    }
    world.all_is_well(ALL, Duration::ZERO);
    watcher.becomes_ready(true);
    watcher.stop();
}

#[test]
fn a_password_changed_in_the_secret_is_taken_up() {
    let store = Store::postgresql();
    let Store::Postgres(server) = &store else { unreachable!() };
    let mut settings = store.settings();
    settings.as_object_mut().unwrap().remove("postgresql-password");
    let world = World::new(&settings);
    world.secret(PASSWORD);
    world.work(REPOSITORIES, RUNS, LIMIT);
    let mut watcher = world.watcher("watcher");
    world.until_done(50);
    server.administer("ALTER USER pac_user WITH PASSWORD 'another'").unwrap();
    // Again and again: one that was just being opened may have got in with the old password.
    eventually("no connection is left", || {
        server.administer(TERMINATE).unwrap();
        watcher.readiness().last() == Some(&false)
    });
    eventually("it says why", || watcher.log().contains("authentication failed for user"));
    world.secret("another");
    watcher.becomes_ready(true);
    world.all_is_well(ALL, Duration::from_secs(30));
    assert!(!watcher.log().contains(PASSWORD), "a password in the log");
    watcher.stop();
}

/// The same for each kind of server.
macro_rules! of_both {
    ($($test:ident($($reference:tt)?)),*) => {
        mod postgresql {
            $(#[test] fn $test() { super::$test($($reference)? super::Store::postgresql()); })*
        }
        mod etcd {
            $(#[test] fn $test() { super::$test($($reference)? super::Store::etcd()); })*
        }
    };
}

of_both!(
    a_killed_server_that_comes_back_finds_nothing_lost(),
    a_network_cut_for_a_minute_is_waited_out(&),
    commits_whose_answer_is_lost_are_neither_lost_nor_done_twice(&),
    a_healthy_run_logs_no_warning_and_leaves_nothing_behind(&)
);
