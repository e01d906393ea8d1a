//! Watchers of another version beside today's, on one store.
//!
//! The version before took any condition for a beginning, and Tekton writes one onto whatever is pending: one that was cancelled
//! while it waited counted until it was done. Nobody cancels a run that waits here.

use std::env;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::recorded::scene::told;
use crate::support::{Store, Watcher, World, eventually};

/// Names the program of the other version.
const OTHER: &str = "PAC_TEST_BESIDE";
const REPOSITORIES: usize = 10;
const LIMIT: u32 = 2;

/// A watcher of the other version.
pub(crate) fn other(world: &World, identity: &str, arguments: &[&str]) -> Watcher {
    let Some(program) = env::var_os(OTHER) else { panic!("{OTHER} names no program: cargo xtask beside REVISION") };
    world.watcher_of(Path::new(&program), identity, arguments)
}

/// A watcher of today's version, or of the other.
fn one(world: &World, of_today: bool, identity: &str, arguments: &[&str]) -> Watcher {
    if of_today { world.watcher_with(identity, arguments) } else { other(world, identity, arguments) }
}

fn admitted(watcher: &Watcher) -> usize {
    watcher.log().matches("acquired concurrency slot for").count()
}

fn both_at_work_at_once_break_no_promise(store: &Store) {
    let (world, runs, alone) = (World::new(&store.settings()), 40, ["--leader-elect", "false"]);
    world.work(REPOSITORIES, runs, LIMIT);
    let mut watchers = [false, true].map(|of_today| one(&world, of_today, &format!("today-{of_today}"), &alone));
    world.all_is_judged_well(REPOSITORIES * runs, world.verdict_options_of_several());
    let [by_the_other, by_today] = watchers.each_ref().map(admitted);
    println!("{} runs: the other version admitted {by_the_other}, today's {by_today}", REPOSITORIES * runs);
    assert!(by_the_other > 0 && by_today > 0, "one of them had nothing to do");
    watchers.iter_mut().for_each(Watcher::stop);
}

/// From the other version to today's and back, and once more: each leader is killed at work.
fn a_killed_leader_is_followed_by_one_of_the_other_version(store: &Store) {
    let (world, runs, lease) = (World::new(&store.settings()), 80, ["--leader-lease", "6"]);
    world.work(REPOSITORIES, runs, LIMIT);
    let mut leader = one(&world, false, "leader-0", &lease);
    for (kills, of_today) in [true, false, true].into_iter().enumerate() {
        world.until_done(kills * 100 + 1); // the one that is there leads
        let mut next = one(&world, of_today, &format!("leader-{}", kills + 1), &lease);
        next.becomes_ready(true);
        world.until_done((kills + 1) * 100);
        leader.kill();
        let took = world.next_start();
        println!("{} followed {took:.1?} after", if of_today { "today's" } else { "the other version" });
        eventually("it admits runs", || admitted(&next) > 0);
        leader = next;
    }
    assert!(world.unfinished() > 0, "the last one followed too late to matter");
    world.all_is_well(REPOSITORIES * runs, Duration::from_secs(30));
    leader.stop();
}

/// As a rolling upgrade does it, and what undoes it.
fn a_leader_that_is_stopped_hands_over_to_the_other_version_at_once(store: &Store) {
    let (world, runs) = (World::new(&store.settings()), 80);
    world.work(REPOSITORIES, runs, LIMIT);
    let mut leader = one(&world, false, "leader-0", &[]);
    for (stops, of_today) in [true, false, true].into_iter().enumerate() {
        world.until_done(stops * 100 + 1); // the one that is there leads
        let mut next = one(&world, of_today, &format!("leader-{}", stops + 1), &[]);
        next.becomes_ready(true);
        world.until_done((stops + 1) * 100);
        leader.stop();
        let took = world.next_start();
        println!("{} followed {took:.1?} after", if of_today { "today's" } else { "the other version" });
        assert!(took < Duration::from_secs(1), "{took:?}");
        leader = next;
    }
    assert!(world.unfinished() > 0, "the last one followed too late to matter");
    world.all_is_well(REPOSITORIES * runs, Duration::from_secs(5));
    leader.stop();
}

fn the_history_is_told_on_by_each(store: &Store) {
    let world = World::by_hand(&store.settings());
    world.repository(0, 1);
    world.pause(0, Some("the registry moves"));
    for (number, of_today) in [false, true, false, true].into_iter().enumerate() {
        let (watcher, run) = (&mut one(&world, of_today, &format!("watcher-{number}"), &[]), format!("run-{number}"));
        eventually("the pause is told", || told(watcher, 0)["paused"]["reason"] == "the registry moves");
        world.resume(0, "for a moment");
        world.queue_run(0, &run);
        world.is_started(0, &run);
        world.finish(0, &run, true);
        world.pause(0, Some("the registry moves"));
        eventually("all that happened is told", || {
            let told = told(watcher, 0);
            let records = told["history"].as_array().into_iter().flatten();
            let holders = records.filter(|record| record["what"] == "admitted").map(|record| &record["holder"]);
            let are_all =
                |(number, holder): (usize, &Value)| holder.as_str().unwrap().starts_with(&format!("watcher-{number}:"));
            holders.clone().count() == number + 1
                && holders.enumerate().all(are_all)
                && told["times_known"] == number + 1
        });
        watcher.stop();
    }
    world.all_is_well(4, Duration::ZERO);
}

/// The same for each kind of server, where there is another version's program.
macro_rules! of_both {
    ($($test:ident),*) => {
        mod postgresql {
            $(
                #[test]
                #[ignore = "needs another version's program: cargo xtask beside REVISION"]
                fn $test() { super::$test(&super::Store::postgresql()); }
            )*
        }
        mod etcd {
            $(
                #[test]
                #[ignore = "needs another version's program: cargo xtask beside REVISION"]
                fn $test() { super::$test(&super::Store::etcd()); }
            )*
        }
    };
}

of_both!(
    both_at_work_at_once_break_no_promise,
    a_killed_leader_is_followed_by_one_of_the_other_version,
    a_leader_that_is_stopped_hands_over_to_the_other_version_at_once,
    the_history_is_told_on_by_each
);
