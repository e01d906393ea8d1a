//! `cargo xtask deploy` against a cluster, by the real kubectl.

use std::process::Output;

use super::cluster::Cluster;
use super::error_of;

pub(crate) fn deploy(cluster: &Cluster, arguments: &[&str]) -> Output {
    let mut command = super::deploy(arguments);
    command.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cluster.folder.path()).output().unwrap()
}

/// What it says; it must succeed.
pub(crate) fn apply(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = deploy(cluster, &[arguments, &["--apply"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", error_of(&output));
    error_of(&output)
}

/// Nothing would be changed by applying again.
pub(crate) fn assert_settled(cluster: &Cluster) {
    let output = deploy(cluster, &["--diff"]);
    assert!(output.status.success(), "{}", error_of(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(!error_of(&output).contains("would remove"), "{}", error_of(&output));
}
