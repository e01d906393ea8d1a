//! Tables of `pac-watcher queue` at terminals of several widths, and in a pipe.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::process::Command;

use pac_devservers::find;
use serde_json::json;
use support::{Watcher, World, eventually, json_of, run};

const LONG: &str = "team-0/a-repository-whose-name-is-as-long-as-the-names-of-repositories-can-well-be-number-1";
const REASON: &str = "the registry moves to another data centre and will be back before noon";

/// Two Repositories, one with a long name, the other paused.
fn world() -> (World, Watcher, String) {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 3, 1);
    let object = json!({"metadata": {"name": &LONG["team-0/".len()..]}, "spec": {"concurrency_limit": 1}});
    world.cluster.store().create("repositories", "team-0", object).unwrap();
    let mut watcher = world.watcher("pac-concurrency-watcher-77f9d8c6b-abcde");
    watcher.becomes_ready(true);
    let url = format!("http://127.0.0.1:{}", watcher.admin_port);
    assert_eq!(run(&world, &["pause", "team-0/repo-0", "--reason", REASON]).code, 0);
    eventually("both are known, and the pause", || {
        let list = json_of(&world, &["list", "-A", "--all", "--admin-url", &url]);
        let all = list["repositories"].as_array().unwrap();
        all.len() == 2 && all[0]["paused"].is_object()
    });
    (world, watcher, url)
}

/// What is shown at a terminal so wide, line by line, without colours.
fn at_terminal(columns: usize, arguments: &[&str]) -> Vec<String> {
    let script = find("script").expect("script is missing; install it with: apt-get install bsdutils");
    let program = env!("CARGO_BIN_EXE_pac-watcher");
    let line = format!("stty rows 40 cols {columns} && NO_COLOR=1 {program} queue {}", arguments.join(" "));
    let output = Command::new(script).args(["--quiet", "--return", "--command", &line, "/dev/null"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    shown.lines().map(str::to_owned).collect()
}

#[test]
fn nothing_is_wider_than_the_terminal_and_what_tells_names_apart_is_there() {
    let (world, mut watcher, url) = world();
    for columns in [60, 80, 120] {
        for what in [&["list", "-A", "--all"][..], &["show", "team-0/repo-0"], &["explain", "team-0/run-002"]] {
            let lines = at_terminal(columns, &[what, &["--admin-url", &url]].concat());
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{columns}: {lines:#?}");
            // All of the reason, in however many lines.
            let words = lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(REASON), "{columns}, {what:?}: {words}");
        }
        let list = at_terminal(columns, &["list", "-A", "--all", "--admin-url", &url]);
        let long = list.iter().find(|line| line.contains("number-1")).unwrap();
        assert!(long.starts_with("team-0/"), "{columns}: {list:#?}");
    }
    drop(world);
    watcher.stop();
}

#[test]
fn a_pipe_has_all_of_a_row_in_one_line() {
    let (world, mut watcher, url) = world();
    let list = run(&world, &["list", "-A", "--all", "--admin-url", &url]).out;
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[1].ends_with(&format!("paused until it is resumed: {REASON}")), "{list}");
    assert!(lines[2].starts_with(&format!("{LONG}      1")), "{list}");
    assert_eq!(lines.len(), 3, "{list}");
    watcher.stop();
}
