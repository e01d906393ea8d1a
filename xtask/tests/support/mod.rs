//! What the tests share: the command itself, the programs of the workspace, kubectl, and a cluster of one's own.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

pub(crate) mod alert_cases;
pub(crate) mod api;
pub(crate) mod applied;
pub(crate) mod beside;
pub(crate) mod cluster;
pub(crate) mod guard;
pub(crate) mod helm;
pub(crate) mod monitoring;
pub(crate) mod node;
pub(crate) mod page;
pub(crate) mod pod_security;
pub(crate) mod rules;
pub(crate) mod typed;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Every mode with every driver, companion mode with every gate in every placement, and shadow mode; in each placement one with the port
/// for tenants.
pub(crate) const VARIANTS: [&[&str]; 13] = [
    &["--mode=standalone", "--driver=postgresql"],
    &["--mode=standalone", "--driver=etcd", "--tenants"],
    &["--mode=standalone", "--driver=memory"],
    &["--mode=companion", "--driver=postgresql"],
    &["--mode=companion", "--driver=etcd", "--gate=webhook"],
    &["--mode=companion", "--driver=postgresql", "--gate=deny"],
    &["--mode=companion", "--driver=memory"],
    &["--mode=companion", "--driver=postgresql", "--placement=pod", "--tenants"],
    &["--mode=companion", "--driver=etcd", "--placement=pod", "--gate=deny"],
    &["--mode=companion", "--driver=memory", "--placement=pod"],
    &["--mode=companion", "--driver=memory", "--placement=pod", "--gate=webhook"],
    &["--mode=companion", "--driver=etcd"],
    &["--mode=shadow"],
];

/// Whether nothing of ours starts anything.
pub(crate) fn is_shadow(chosen: &[&str]) -> bool {
    chosen.contains(&"--mode=shadow")
}

/// Every kind of which there are objects of ours.
pub(crate) const EVERY_KIND: &str = "deployments,services,serviceaccounts,networkpolicies,poddisruptionbudgets,roles,rolebindings,leases,secrets,\
                                     configmaps,clusterroles,clusterrolebindings,priorityclasses,mutatingadmissionpolicies,\
                                     mutatingadmissionpolicybindings,validatingadmissionpolicies,validatingadmissionpolicybindings,\
                                     mutatingwebhookconfigurations,servicemonitors,prometheusrules";

/// Whether our container is in the pod of PAC's watcher.
pub(crate) fn in_pacs_pod(chosen: &[&str]) -> bool {
    chosen.contains(&"--placement=pod")
}

/// The gate of companion mode.
pub(crate) fn gate<'a>(chosen: &[&'a str]) -> Option<&'a str> {
    let named = chosen.iter().find_map(|argument| argument.strip_prefix("--gate="));
    chosen.contains(&"--mode=companion").then(|| named.unwrap_or("policy"))
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// `cargo xtask deploy` with `arguments`, as a process of its own.
pub(crate) fn deploy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("deploy").args(arguments);
    command
}

/// A program of this workspace; tests of the whole workspace build it.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name(name);
    assert!(path.is_file(), "{name} is missing; build it with: cargo build -p pac -p pac-devcluster");
    path
}

/// The files that `arguments` make, by name.
pub(crate) fn rendered(arguments: &[&str]) -> (TempDir, BTreeMap<String, String>) {
    let folder = TempDir::new().unwrap();
    let output = deploy(arguments).arg("--output").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", error_of(&output));
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
    });
    let files = files.collect();
    (folder, files)
}

/// The files of a mode with a driver, and nothing else chosen.
pub(crate) fn variant([mode, driver]: [&str; 2]) -> (TempDir, BTreeMap<String, String>) {
    rendered(&["--mode", mode, "--driver", driver])
}

/// What a process wrote to its standard error.
pub(crate) fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
