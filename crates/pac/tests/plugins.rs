//! `kubectl pac-queue` and `tkn queue`: the program by other file names, found and called by kubectl itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use pac_devservers::find;
use serde_json::json;
use support::{Said, World, eventually, said};
use tempfile::TempDir;

const NAMES: [&str; 3] = ["kubectl-pac_queue", "kubectl_complete-pac_queue", "tkn-queue"];

/// A folder with the program under each of its names.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in NAMES {
        symlink(env!("CARGO_BIN_EXE_pac-watcher"), folder.path().join(name)).unwrap();
    }
    folder
}

fn call(folder: &Path, world: &World, program: &str, arguments: &[&str]) -> Said {
    let program = find(program).unwrap_or_else(|| folder.join(program));
    let mut command = Command::new(program);
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("KUBECONFIG", world.kubeconfig()).env("HOME", folder);
    said(command.args(arguments))
}

#[test]
fn kubectl_and_tkn_find_it_by_its_file_name() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 3, 1);
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    world.pod("watcher", &watcher);
    let folder = folder();
    let kubectl = |arguments: &[&str]| call(folder.path(), &world, "kubectl", &[&["pac-queue"], arguments].concat());
    eventually("it waits", || kubectl(&["explain", "run-001", "-n", "team-0"]).out.contains("Place 1"));
    let list = kubectl(&["list", "-A"]);
    assert!(list.code == 0 && list.out.contains("team-0/repo-0"), "{list:?}");
    let wrong = kubectl(&["shwo"]);
    assert!(wrong.code == 2 && wrong.err.contains("Usage: kubectl pac-queue "), "{wrong:?}");
    let help = kubectl(&["show", "--help"]);
    assert!(help.code == 0 && help.out.contains("Usage: kubectl pac-queue show "), "{help:?}");
    assert!(kubectl(&["--version"]).out.starts_with("kubectl pac-queue "));
    assert_eq!(kubectl(&["wait", "run-002", "-n", "team-0", "--timeout", "0s"]).code, 5, "exit codes pass");
    let plugins = call(folder.path(), &world, "kubectl", &["plugin", "list"]);
    assert!(plugins.out.contains("kubectl-pac_queue") && !plugins.err.contains("warning"), "{plugins:?}");

    let tkn = call(folder.path(), &world, "tkn-queue", &["list", "-n", "team-0"]);
    assert!(tkn.code == 0 && tkn.out.contains("team-0/repo-0"), "{tkn:?}");
    let help = call(folder.path(), &world, "tkn-queue", &["--help"]);
    assert!(help.out.contains("Usage: tkn queue "), "{help:?}");
    watcher.stop();
}

#[test]
fn kubectl_completes_what_is_behind_it() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.repository(0, 1);
    world.queue_event(0, &["build-1", "test-1"]);
    let folder = folder();
    let offered = |words: &[&str]| {
        let said = call(folder.path(), &world, "kubectl", &[&["__complete", "pac-queue"], words].concat());
        assert_eq!(said.code, 0, "{said:?}");
        let mut names: Vec<String> = said.out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
        assert_eq!(names.pop().as_deref(), Some(":4"), "no files: {said:?}");
        names
    };
    assert_eq!(offered(&["exp"]), ["explain"]);
    assert_eq!(offered(&["explain", "-n", "team-0", ""]), ["build-1", "test-1"]);
    assert_eq!(offered(&["explain", "team-0/b"]), ["team-0/build-1"]);
    assert_eq!(offered(&["show", "-n", "team-0", ""]), ["repo-0"]);
    assert_eq!(offered(&["list", "-n", "team"]), ["team-0"]);
    assert_eq!(offered(&["list", "--context", ""]), ["devcluster"]);
    assert_eq!(offered(&["list", "--all-n"]), ["--all-namespaces"]);
    assert_eq!(offered(&["explain", "-n", "nowhere", ""]), Vec::<String>::new());
}
