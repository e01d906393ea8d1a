//! Several watchers on one store: killed, stopped, frozen, and all at work at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::verdict::VerdictOptions;
use pac_devcluster::{FaultAction, FaultRule};
use pac_devservers::proxy::{Passage, Proxy};
use support::{Store, Watcher, World, eventually};

const REPOSITORIES: usize = 10;
const LIMIT: u32 = 2;

/// Waits until one of `watchers` leads, and says which.
fn leader(watchers: &[Watcher]) -> usize {
    let mut leader = None;
    eventually("one leads", || {
        leader = watchers.iter().position(|watcher| {
            Watcher::get(watcher.metrics_port, "/metrics").lines().any(|line| line == "pac_concurrency_leader 1")
        });
        leader.is_some()
    });
    leader.unwrap()
}

fn three_at_work_at_once_break_no_promise(store: &Store) {
    let world = World::new(&store.settings());
    world.work(REPOSITORIES, 40, LIMIT);
    let mut watchers =
        ["one", "two", "three"].map(|identity| world.watcher_with(identity, &["--leader-elect", "false"]));
    world.all_is_judged_well(REPOSITORIES * 40, world.verdict_options_of_several());
    let busy = watchers.iter().filter(|watcher| watcher.log().contains("acquired concurrency slot for")).count();
    assert!(busy >= 2, "{busy} of three admitted runs");
    let begun = watchers.each_ref().map(|watcher| watcher.log().matches("admitting PipelineRuns").count());
    assert_eq!(begun, [1; 3], "who leads without an election leads for good");
    watchers.iter_mut().for_each(Watcher::stop);
}

/// What the store says of a run comes to this watcher before the run itself does, and while it is being started.
fn one_that_sees_everything_late_breaks_no_promise(store: &Store) {
    let (world, waves, alone) = (World::new(&store.settings()), 6, ["--leader-elect", "false"]);
    world.work(REPOSITORIES, 0, LIMIT);
    let slowly = FaultRule::new(FaultAction::Latency(Duration::from_millis(150))).verb("patch");
    world.cluster.faults().add(slowly.resource("pipelineruns"));
    let mut prompt = ["one", "two"].map(|identity| world.watcher_with(identity, &alone));
    let (mut late, way) = world.remote_watcher("late", &alone);
    prompt.iter_mut().chain([&mut late]).for_each(|watcher| watcher.becomes_ready(true));
    for wave in 0..waves {
        way.set(Passage::Held);
        (0..REPOSITORIES).for_each(|repository| world.more_work(repository, wave * 4..(wave + 1) * 4));
        std::thread::sleep(Duration::from_millis(1_100)); // pushes of one second have no order
        way.set(Passage::Open);
        std::thread::sleep(Duration::from_millis(500)); // it catches up, and takes part
    }
    // The late one's starts are overtaken by those of the others.
    world.all_is_judged_well(REPOSITORIES * waves * 4, world.verdict_options_of_several());
    assert!(late.log().contains("read a run live"), "the late one never missed a run");
    prompt.iter_mut().chain([&mut late]).for_each(Watcher::stop);
}

/// What they decide is always out of date, and a webhook has each pass over runs that another may then admit.
fn those_whose_store_is_slow_break_no_promise(store: &Store) {
    let (world, runs) = (World::new(&store.settings()), 24);
    world.work(REPOSITORIES, runs, LIMIT);
    let refusal = || FaultAction::Error { status: 403, reason: "Forbidden".into(), message: "not yet".into() };
    let refused: Vec<String> = (0..runs).step_by(2).map(|run| format!("run-{run:03}")).collect();
    for name in &refused {
        let starts = FaultRule::new(refusal()).verb("patch").resource("pipelineruns").name(name);
        world.cluster.faults().add(starts.times(REPOSITORIES as u32));
    }
    let slow = [5, 20, 50].map(|delay| {
        let (way, name) = (Proxy::start(store.port()).unwrap(), format!("slow-{delay}"));
        way.slow_down(Duration::from_millis(delay));
        world.other_settings(&name, &store.settings_through(way.port()));
        (world.watcher_with(&name, &["--leader-elect", "false", "--configmap", &name]), way)
    });
    let name = |repository: usize| refused.iter().map(move |run| format!("team-{repository}/{run}"));
    let options = VerdictOptions {
        excused: (0..REPOSITORIES).flat_map(name).collect(),
        ..world.verdict_options(Duration::from_secs(30))
    };
    world.all_is_judged_well(REPOSITORIES * runs, options);
    let out_of_date = slow.iter().filter(|(watcher, _)| watcher.log().contains("planning again")).count();
    assert!(out_of_date > 0, "none was ever out of date");
    for (mut watcher, _way) in slow {
        watcher.stop();
    }
}

fn a_killed_leader_is_replaced(store: &Store) {
    let world = World::new(&store.settings());
    world.work(REPOSITORIES, 60, LIMIT);
    let mut watchers = ["one", "two", "three"].map(|identity| world.watcher_with(identity, &["--leader-lease", "6"]));
    world.until_done(50);
    watchers[leader(&watchers)].kill();
    let took = world.next_start();
    assert!(took < Duration::from_secs(8), "{took:?}, and its Lease lasts 6 s");
    world.all_is_well(REPOSITORIES * 60, Duration::from_secs(30));
}

/// And no event but the leader's end has anybody look at them.
fn what_a_killed_leader_granted_is_started_by_the_next(store: &Store) {
    let world = World::new(&store.settings());
    let lost = FaultRule::new(FaultAction::DropBefore).verb("patch").resource("pipelineruns");
    world.cluster.faults().add(lost);
    world.work(REPOSITORIES, LIMIT as usize, LIMIT);
    let all = REPOSITORIES * LIMIT as usize;
    let lease = ["--leader-lease", "5"];
    let mut first = world.watcher_with("first", &lease);
    eventually("all are granted", || first.log().matches("acquired concurrency slot for").count() == all);
    let mut second = world.watcher_with("second", &lease);
    second.becomes_ready(true);
    first.kill();
    world.cluster.faults().clear();
    world.all_is_well(all, Duration::from_secs(60));
    second.stop();
}

/// It is alive by its lease, and nobody tells when it has had time enough.
fn what_a_frozen_watcher_granted_is_started_by_another(store: &Store) {
    let (world, alone) = (World::new(&store.settings()), ["--leader-elect", "false"]);
    let lost = FaultRule::new(FaultAction::DropBefore).verb("patch").resource("pipelineruns");
    world.cluster.faults().add(lost);
    world.work(1, LIMIT as usize, LIMIT);
    let frozen = world.watcher_with("frozen", &alone);
    let granted = || frozen.log().matches("acquired concurrency slot for").count();
    eventually("all are granted", || granted() == LIMIT as usize);
    frozen.signal("STOP");
    world.cluster.faults().clear();
    let mut other = world.watcher_with("other", &alone);
    other.becomes_ready(true);
    // The time that another has for a start, until the next look, and until the look after that, which proves the slot.
    let patience = Duration::from_secs(30);
    // A start that was on its way when its sender froze may arrive, and the one before it have been lost.
    let options = VerdictOptions { side_by_side: patience, ..world.verdict_options(patience) };
    world.all_is_judged_well(LIMIT as usize, options);
    frozen.signal("CONT");
    [frozen, other].iter_mut().for_each(Watcher::stop);
}

fn a_leader_that_is_stopped_hands_over_at_once(store: &Store) {
    let world = World::new(&store.settings());
    world.work(REPOSITORIES, 60, LIMIT);
    let mut watchers = ["one", "two"].map(|identity| world.watcher(identity));
    watchers.iter_mut().for_each(|watcher| watcher.becomes_ready(true));
    world.until_done(50);
    watchers[leader(&watchers)].stop();
    let took = world.next_start();
    // Who doesn't watch the Lease looks every 2 s.
    assert!(took < Duration::from_secs(1), "{took:?}");
    world.all_is_well(REPOSITORIES * 60, Duration::from_secs(5));
}

fn a_leader_that_is_cut_off_from_its_store_gives_way(store: &Store) {
    let world = World::new(&store.settings());
    let way = Proxy::start(store.port()).unwrap();
    world.other_settings("cut-off", &store.settings_through(way.port()));
    world.work(REPOSITORIES, 60, LIMIT);
    let lease = ["--leader-lease", "5"];
    let mut cut_off = world.watcher_with("cut-off", &[&lease[..], &["--configmap", "cut-off"]].concat());
    world.until_done(20);
    let mut other = world.watcher_with("other", &lease);
    other.becomes_ready(true);
    way.set(Passage::Held);
    world.all_is_well(REPOSITORIES * 60, Duration::from_secs(30));
    assert!(other.log().contains("acquired concurrency slot for"));
    way.set(Passage::Open);
    cut_off.becomes_ready(true);
    [cut_off, other].iter_mut().for_each(Watcher::stop);
}

fn a_leader_frozen_beyond_its_lease_does_no_harm_when_it_goes_on(store: &Store) {
    let mut settings = store.settings();
    settings["postgresql-lease-ttl"] = "10s".into();
    settings["etcd-lease-ttl"] = "10s".into();
    let world = World::new(&settings);
    let runs = 150;
    world.work(REPOSITORIES, runs, LIMIT);
    let mut watchers = ["one", "two"].map(|identity| world.watcher(identity));
    world.until_done(100);
    let frozen = leader(&watchers);
    watchers[frozen].signal("STOP");
    // Both its Lease and the one behind its slots run out.
    std::thread::sleep(Duration::from_secs(20));
    let done = world.done();
    watchers[frozen].signal("CONT");
    assert!(done > 100, "the other took over");
    world.all_is_well(REPOSITORIES * runs, Duration::from_secs(30));
    assert!(done < REPOSITORIES * runs, "it went on too late to matter");
    watchers.iter_mut().for_each(Watcher::stop);
}

/// The same for each kind of server.
macro_rules! of_both {
    ($($test:ident),*) => {
        mod postgresql {
            $(#[test] fn $test() { super::$test(&super::Store::postgresql()); })*
        }
        mod etcd {
            $(#[test] fn $test() { super::$test(&super::Store::etcd()); })*
        }
    };
}

of_both!(
    three_at_work_at_once_break_no_promise,
    one_that_sees_everything_late_breaks_no_promise,
    those_whose_store_is_slow_break_no_promise,
    a_killed_leader_is_replaced,
    what_a_killed_leader_granted_is_started_by_the_next,
    what_a_frozen_watcher_granted_is_started_by_another,
    a_leader_that_is_stopped_hands_over_at_once,
    a_leader_that_is_cut_off_from_its_store_gives_way,
    a_leader_frozen_beyond_its_lease_does_no_harm_when_it_goes_on
);
