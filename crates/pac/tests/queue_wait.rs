//! `pac-watcher queue wait`, as scripts use it: what it says, when it ends, and with which exit code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use pac_devservers::find;
use pac_devservers::process::Child;
use pac_devservers::proxy::{Passage, Proxy};
use serde_json::json;
use support::{World, eventually, json_of, queue, run};

/// A wait under way.
struct Waiting {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    errors: BufReader<std::process::ChildStderr>,
}

// === impl Waiting ===

impl Waiting {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Child::spawn("queue wait", command).unwrap();
        let lines = BufReader::new(process.output().unwrap()).lines();
        let errors = BufReader::new(process.errors().unwrap());
        Self { process, lines, errors }
    }

    /// The lines up to the first that has this in it.
    fn until(&mut self, part: &str) -> Vec<String> {
        let mut read = Vec::new();
        for line in self.lines.by_ref() {
            read.push(line.unwrap());
            if read.last().unwrap().contains(part) {
                return read;
            }
        }
        panic!("never {part:?}: {read:#?} {}", self.complaint());
    }

    fn complaint(&mut self) -> String {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.errors, &mut text).unwrap();
        text
    }

    fn code(&mut self) -> i32 {
        let mut code = None;
        eventually("it ends", || {
            code = self.process.ended().unwrap();
            code.is_some()
        });
        code.unwrap().code().unwrap()
    }
}

#[test]
fn a_wait_outlasts_its_leader_and_says_each_place_once() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 4, 1);
    let lease = ["--leader-lease", "5"];
    let mut first = world.watcher_with("first", &lease);
    first.becomes_ready(true);
    world.pod("first", &first);
    world.is_started(0, "run-000");
    let mut second = world.watcher_with("second", &lease);
    second.becomes_ready(true);
    world.pod("second", &second);
    let mut waiting = Waiting::start(queue(&world, &["wait", "run-003", "-n", "team-0", "--timeout", "2m"]));
    assert_eq!(waiting.until("place"), ["team-0/run-003: place 3"]);
    world.finish(0, "run-000", true);
    assert_eq!(waiting.until("place"), ["team-0/run-003: place 2"]);
    first.kill();
    world.finish(0, "run-001", true);
    // Whoever leads next knows the place again; meanwhile it is said that nobody does.
    let meanwhile = waiting.until("place 1");
    assert!(meanwhile.iter().any(|line| line.contains("waiting; its place isn't known: ")), "{meanwhile:#?}");
    world.finish(0, "run-002", true);
    let started = waiting.until("started after");
    assert!(started.last().unwrap().starts_with("team-0/run-003: started after "), "{started:?}");
    assert_eq!(waiting.code(), 0, "{}", waiting.complaint());
    second.stop();
}

#[test]
fn each_end_has_its_exit_code() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 8, 1);
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    world.pod("watcher", &watcher);
    world.is_started(0, "run-000");
    let ended = |arguments: &[&str]| {
        let said = run(&world, &[&["wait", "-n", "team-0"], arguments].concat());
        (said.code, said.out + &said.err)
    };
    let (code, said) = ended(&["run-000"]);
    assert!(code == 0 && said == "team-0/run-000: started\n", "{said}");
    let (code, said) = ended(&["run-000", "--for", "done", "--timeout", "0s"]);
    assert!(code == 5 && said.contains("run-000: running\n") && said.contains("is not done after 0ns"), "{said}");
    let (code, said) = ended(&["run-002", "--timeout", "1s"]);
    assert!(code == 5 && said.contains("error: team-0/run-002 is not started after 1s (--timeout)"), "{said}");
    let (code, said) = ended(&["nothing"]);
    assert!(code == 3 && said.contains("there is no PipelineRun team-0/nothing"), "{said}");
    let (code, said) = ended(&["run-002", "-o", "json"]);
    assert!(code == 2 && said.contains("--output is for list, show"), "{said}");
    let (code, said) = ended(&["run-002", "--for", "lunch"]);
    assert!(code == 2 && said.contains("started"), "{said}");

    // While somebody waits: cancelled, deleted, made anew, failed with and without tasks, and paused meanwhile.
    let begin = |run: &str, more: &[&str]| {
        let mut waiting = Waiting::start(queue(&world, &[&["wait", run, "-n", "team-0"], more].concat()));
        waiting.until(run);
        waiting
    };
    let (mut cancelled, mut deleted, mut again) = (begin("run-002", &[]), begin("run-003", &[]), begin("run-004", &[]));
    world.cancel(0, "run-002");
    world.delete_run(0, "run-003");
    world.delete_run(0, "run-004");
    world.queue_run(0, "run-004");
    for (waiting, part) in
        [(&mut cancelled, "run-002 was cancelled"), (&mut deleted, "is gone: it was deleted before it started")]
    {
        assert_eq!(waiting.code(), 4);
        let said = waiting.complaint();
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(again.code(), 4);
    assert!(again.complaint().contains("run-004 is gone"));
    world.pause(0, Some("the registry moves"));
    let mut paused = Waiting::start(queue(&world, &["wait", "run-005", "-n", "team-0", "--timeout", "1m"]));
    paused.until("is paused");
    world.pause(0, None);
    paused.until("place");
    drop(paused);

    let mut succeeds = begin("run-000", &["--for", "done"]);
    world.finish(0, "run-000", true);
    succeeds.until("run-000: done after");
    assert_eq!(succeeds.code(), 0);
    world.is_started(0, "run-001");
    let mut fails = begin("run-001", &["--for=done"]);
    world.finish(0, "run-001", false);
    assert_eq!(fails.code(), 4);
    assert!(fails.complaint().contains("run-001 failed or was cancelled"));
    // It had its slot, and began or not.
    assert_eq!(ended(&["run-001", "--for", "started"]).0, 4);
    let task = json!({"status": {"childReferences": [{"name": "run-001-build"}]}});
    world.cluster.store().patch_status("pipelineruns", "team-0", "run-001", &task).unwrap();
    assert_eq!(ended(&["run-001", "--for", "started"]).0, 0);
    watcher.stop();
}

/// The way to the API server breaks while somebody waits: it goes on. If it never was there, the wait ends.
#[test]
fn a_connection_that_breaks_ends_no_wait_and_one_that_never_was_does() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 2, 1);
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    world.pod("watcher", &watcher);
    world.is_started(0, "run-000");
    let port: u16 = world.cluster.url().rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let network = Proxy::start(port).unwrap();
    let kubeconfig = world.folder.path().join("through");
    let through = world.cluster.kubeconfig().replace(&format!(":{port}"), &format!(":{}", network.port()));
    std::fs::write(&kubeconfig, through).unwrap();
    let wait = |timeout: &str| {
        let mut command = queue(&world, &["wait", "team-0/run-001", "--timeout", timeout]);
        command.env("PAC_WATCHER_KUBECONFIG", &kubeconfig);
        command
    };
    let mut waiting = Waiting::start(wait("2m"));
    waiting.until("place 1");
    network.set(Passage::Closed);
    waiting.until("can't be reached");
    network.set(Passage::Open);
    waiting.until("place 1");
    world.finish(0, "run-000", true);
    waiting.until("started after");
    assert_eq!(waiting.code(), 0);

    network.set(Passage::Closed);
    let began = Instant::now();
    let mut nobody = Waiting::start(wait("2s"));
    assert_eq!(nobody.code(), 1);
    let said = nobody.complaint();
    assert!(said.contains("whether team-0/run-001 started isn't known after 2s (--timeout)"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20));
    watcher.stop();
}

#[test]
fn a_terminal_has_one_line_that_changes() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 2, 1);
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    eventually("it waits", || json_of(&world, &["explain", "team-0/run-001", "--admin-url", &url])["position"] == 1);
    let script = find("script").expect("script is missing; install it with: apt-get install bsdutils");
    let program = env!("CARGO_BIN_EXE_pac-watcher");
    let wait = format!("stty cols 30 && {program} queue wait team-0/run-001 --timeout 2s --admin-url {url}");
    let mut command = Command::new(script);
    command.args(["--quiet", "--return", "--command", &wait, "/dev/null"]);
    let output = command.env("PAC_WATCHER_KUBECONFIG", world.kubeconfig()).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5), "{shown}");
    let first = shown.lines().next().unwrap();
    assert!(first.matches("\r\u{1b}[Kteam-0/run-001: place 1").count() >= 2, "{shown:?}");
    assert_eq!(shown.lines().count(), 2, "and the error below: {shown:?}");
    watcher.stop();
}
