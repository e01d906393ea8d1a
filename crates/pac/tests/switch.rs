//! `pac-watcher switch`, beside PAC at work with its own queue, while people push.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pac_devcluster::verdict::VerdictOptions;
use pac_devservers::process::Child;
use serde_json::json;

use support::{PATIENCE, Watcher, World, command, event, eventually, said};

const NAMESPACE: &str = "pipelines-as-code";
const REPOSITORIES: usize = 2;
const LIMIT: u32 = 2;

/// A watcher in a pod, which a kubelet starts again, and by which the command finds it.
struct Pod<'a> {
    world: &'a World,
    identity: &'static str,
    watcher: Watcher,
}

// === impl Pod ===

impl<'a> Pod<'a> {
    fn start(world: &'a World, identity: &'static str) -> Self {
        let watcher = world.watcher_with(identity, &["--mode", "companion", "--leader-lease", "5"]);
        let argument = format!("--admin-addr=127.0.0.1:{}", watcher.admin_port);
        let container = json!({"name": "watcher", "image": "x", "args": [argument]});
        let pod = json!({"metadata": {"name": identity}, "spec": {"containers": [container]}});
        // The one of the process before it, whose port was another.
        let _ = world.cluster.store().delete("pods", NAMESPACE, identity);
        world.cluster.store().create("pods", NAMESPACE, pod).unwrap();
        Self { world, identity, watcher }
    }

    fn kill(&mut self) {
        self.watcher.kill();
    }

    fn starts_again(&mut self) {
        *self = Self::start(self.world, self.identity);
    }

    fn leads(&self) -> bool {
        let lease = self.world.cluster.store().get("leases", NAMESPACE, "pac-concurrency-watcher");
        lease.is_some_and(|lease| lease["spec"]["holderIdentity"] == self.identity)
    }
}

/// Switches in this direction, and has `at_step` disturb the pods at each step that the command says it is at; it must come to its end
/// all the same.
fn completes_though(world: &World, direction: &str, pods: &mut [Pod<'_>], at_step: fn(&str, &mut [Pod<'_>])) {
    let mut command = command(world, &["switch", direction, "--step-timeout", "2m"]);
    command.stdout(Stdio::piped());
    let mut process = Child::spawn("pac-watcher switch", command).unwrap();
    let mut told = Vec::new();
    for line in BufReader::new(process.output().unwrap()).lines().map_while(Result::ok) {
        if let Some((step, _)) = line.split_once("/3 ") {
            at_step(step, pods);
        }
        told.push(line);
    }
    assert_eq!(told.last().map(|line| line.starts_with(&format!("switched {direction}"))), Some(true), "{told:#?}");
}

fn switch(world: &World, watcher: &Watcher, arguments: &[&str]) -> Command {
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    command(world, &[&["switch"], arguments, &["--admin-url", &url, "--step-timeout", "2m"]].concat())
}

fn completes(world: &World, watcher: &Watcher, direction: &str) {
    let said = said(&mut switch(world, watcher, &[direction]));
    assert_eq!(said.code, 0, "{said:?}\n{}", support::said(&mut switch(world, watcher, &["status"])).out);
    assert!(said.out.contains(&format!("switched {direction}")), "{said:?}");
}

/// Kills the command once it says that it is at `step`; not at all if it is done before.
fn is_broken_off(world: &World, watcher: &Watcher, direction: &str, step: &str) {
    let mut command = switch(world, watcher, &[direction]);
    command.stdout(Stdio::piped());
    let mut process = Child::spawn("pac-watcher switch", command).unwrap();
    let lines = BufReader::new(process.output().unwrap()).lines().map_while(Result::ok);
    let reached = lines.take_while(|line| !line.starts_with(step)).count();
    process.kill_group().unwrap();
    assert!(reached < 1000);
}

/// Somebody pushes, now to one Repository and now to another, until `stop`.
fn push(world: &World, stop: &AtomicBool, pushed: &AtomicUsize) {
    let pac = world.cluster.pac().unwrap();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let names: Vec<String> = (0..3).map(|job| format!("push-{number}-job-{job}")).collect();
        pac.push(event(number % REPOSITORIES, &names));
        pushed.fetch_add(names.len(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(600)); // more than the limits let run: there is always somebody who waits
    }
}

/// Sets it when dropped: a test that fails ends, too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whoever is at work starts runs, and they end.
fn goes_on(world: &World) {
    world.until_done(world.done() + 8);
}

#[test]
fn switched_on_and_off_under_pushes_and_broken_off_at_every_step_nothing_is_lost_or_beside_the_limit() {
    let world = World::with_pac(&json!({"concurrency-driver": "memory", "concurrency-enabled": "false"}));
    world.other_settings("pac-concurrency", &json!({"concurrency-enabled": "false"}));
    let mut watcher = world.watcher_with("one", &["--mode", "companion"]);
    watcher.becomes_ready(true);
    (0..REPOSITORIES).for_each(|repository| world.repository(repository, LIMIT));
    let (stop, pushed) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| push(&world, &stop, &pushed));
        let _until_here = Stop(&stop);
        goes_on(&world);
        for step in ["1/3", "2/3", "3/3"] {
            is_broken_off(&world, &watcher, "on", step);
            goes_on(&world);
        }
        completes(&world, &watcher, "on");
        goes_on(&world);
        for step in ["1/3", "2/3", "3/3"] {
            is_broken_off(&world, &watcher, "off", step);
            goes_on(&world);
        }
        // Back, and there again.
        completes(&world, &watcher, "on");
        goes_on(&world);
        let status = said(&mut switch(&world, &watcher, &["status"]));
        assert!(status.out.contains("gate        policy: closed"), "{status:?}");
        completes(&world, &watcher, "off");
    });
    nothing_is_lost_twice_or_over(&world, pushed.load(Ordering::Relaxed));
    watcher.stop();
}

#[test]
fn switched_on_and_off_under_pushes_while_the_leader_or_every_watcher_is_killed_at_every_step_nothing_is_lost() {
    let world = World::with_pac(&json!({"concurrency-driver": "memory", "concurrency-enabled": "false"}));
    world.other_settings("pac-concurrency", &json!({"concurrency-enabled": "false"}));
    let mut pods = ["one", "two"].map(|identity| Pod::start(&world, identity));
    pods.iter_mut().for_each(|pod| pod.watcher.becomes_ready(true));
    (0..REPOSITORIES).for_each(|repository| world.repository(repository, LIMIT));
    let (stop, pushed) = (AtomicBool::new(false), AtomicUsize::new(0));
    // By turns the one that leads, for the other one to follow it, and all of them at once.
    let disturb: fn(&str, &mut [Pod<'_>]) = |step, pods| {
        let is_alone = step != "2";
        let (killed, _): (Vec<_>, Vec<_>) = pods.iter_mut().partition(|pod| pod.leads() || !is_alone);
        let mut killed = killed;
        killed.iter_mut().for_each(|pod| pod.kill());
        killed.iter_mut().for_each(|pod| pod.starts_again());
    };
    std::thread::scope(|scope| {
        scope.spawn(|| push(&world, &stop, &pushed));
        let _until_here = Stop(&stop);
        goes_on(&world);
        completes_though(&world, "on", &mut pods, disturb);
        goes_on(&world);
        completes_though(&world, "off", &mut pods, disturb);
        goes_on(&world);
    });
    nothing_is_lost_twice_or_over(&world, pushed.load(Ordering::Relaxed));
    pods.iter_mut().for_each(|pod| pod.watcher.stop());
}

/// All that was pushed is done, and what the API server saw of everybody's starts kept the promises that don't depend on who is asked first.
fn nothing_is_lost_twice_or_over(world: &World, runs: usize) {
    let until = Instant::now() + PATIENCE;
    while world.done() < runs {
        assert!(Instant::now() < until, "{} of {runs} are done\n{}", world.done(), world.story("team-0"));
        std::thread::sleep(Duration::from_millis(50)); // PAC's own queue is at work
    }
    let verdict = world.cluster.verdict(&VerdictOptions { longest_gap: PATIENCE, ..world.verdict_options(PATIENCE) });
    for promise in verdict.promises.iter().filter(|promise| ["P1", "P2"].contains(&promise.id)) {
        assert!(promise.held, "{promise:#?}");
    }
    assert_eq!((verdict.started, verdict.done), (runs, runs), "{verdict:#?}");
}

#[test]
fn where_nothing_is_installed_it_says_so() {
    let world = World::new(&json!({"concurrency-driver": "memory"}));
    let mut watcher = world.watcher_with("one", &["--mode", "companion"]);
    eventually("its admin port answers", || !Watcher::get(watcher.admin_port, "/debug/queue/summary").is_empty());
    let said = said(&mut switch(&world, &watcher, &["on"]));
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("nothing is installed that keeps runs out of PAC's own queue"), "{said:?}");
    watcher.stop();
}
