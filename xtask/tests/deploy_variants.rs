//! The real kubectl applies every variant to the development cluster, which checks built-in kinds strictly, and finds them
//! there as they were written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use serde_json::Value;

use support::cluster::{Cluster, PACS_NAME, PACS_WATCHER};
use support::typed::documents;
use support::{VARIANTS, error_of, variant};

const SERVER_SIDE: [&str; 5] =
    ["apply", "--server-side", "--force-conflicts", "--field-manager=pac-watcher", "--validate=strict"];

/// `--filename` for each file.
fn filenames(paths: &[String]) -> Vec<&str> {
    paths.iter().flat_map(|path| ["--filename", path]).collect()
}

/// What the cluster has now of the objects in these files, in their order.
fn current(cluster: &Cluster, paths: &[String]) -> Vec<Value> {
    let list = cluster.run(&[&["get", "--output=json"], &filenames(paths)[..]].concat());
    let mut list: Value = serde_json::from_str(&list).unwrap();
    serde_json::from_value(list["items"].take()).unwrap()
}

fn pacs_containers(cluster: &Cluster) -> Vec<String> {
    let deployment = cluster.get("deployment", PACS_NAME);
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let mut names: Vec<String> =
        containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect();
    names.sort_by_key(|name| name != "pac-watcher");
    names
}

/// What of `wanted` isn't there as it was written, if anything.
fn lost(path: &str, wanted: &Value, found: &Value) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let there = |key: &String| found.get(key).unwrap_or(&Value::Null);
            wanted.iter().find_map(|(key, value)| lost(&format!("{path}.{key}"), value, there(key)))
        }
        // A patch adds to a list.
        (Value::Array(wanted), Value::Array(found)) => {
            let is_there = |value: &Value| found.iter().any(|found| lost("", value, found).is_none());
            wanted.iter().find(|value| !is_there(value)).map(|value| format!("{path}: {value}"))
        }
        _ => (wanted != found).then(|| format!("{path}: {wanted} became {found}")),
    }
}

#[test]
fn every_variant_is_accepted_and_applied_again_changes_nothing() {
    for chosen in VARIANTS {
        let cluster = Cluster::start();
        cluster.run(&["create", "--filename", cluster.file("pac.yaml", PACS_WATCHER).to_str().unwrap()]);
        let (folder, files) = variant(chosen);
        let (patches, whole): (Vec<&String>, Vec<&String>) =
            files.keys().filter(|file| *file != "kustomization.yaml").partition(|file| file.ends_with("-patch.yaml"));
        let path = |file: &&String| folder.path().join(file).to_str().unwrap().to_owned();
        let (patches, whole): (Vec<String>, Vec<String>) =
            (patches.iter().map(path).collect(), whole.iter().map(path).collect());
        let mut found: Vec<Vec<Value>> = Vec::new();
        for _ in 0..2 {
            let said = cluster.run(&[&SERVER_SIDE[..], &filenames(&whole)].concat());
            assert!(said.lines().all(|line| line.ends_with("serverside-applied")), "{said}");
            for patch in &patches {
                cluster.run(&["patch", "deployment", PACS_NAME, "--patch-file", patch]);
            }
            found.push(current(&cluster, &[&whole[..], &patches].concat()));
        }
        // The resourceVersion is a part of it.
        assert_eq!(found[0], found[1], "{chosen:?}");
        let read = |path: &String| documents(&std::fs::read_to_string(path).unwrap());
        let wanted: Vec<Value> = whole.iter().chain(&patches).flat_map(read).collect();
        assert_eq!(wanted.len(), found[0].len());
        for (wanted, found) in wanted.iter().zip(&found[0]) {
            assert_eq!(lost("", wanted, found), None, "{chosen:?} {}", wanted["kind"]);
        }
        assert_eq!(pacs_containers(&cluster).len(), if chosen[0] == "companion" { 2 } else { 1 });
    }
}

#[test]
fn the_command_applies_every_variant_and_finds_no_difference_afterwards() {
    for [mode, driver] in VARIANTS {
        let cluster = Cluster::start();
        cluster.run(&["create", "--filename", cluster.file("pac.yaml", PACS_WATCHER).to_str().unwrap()]);
        let deploy = |action: &str| {
            let mut command = support::deploy(&["--mode", mode, "--driver", driver, action]);
            let output =
                command.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cluster.folder.path()).output().unwrap();
            assert!(output.status.success(), "{mode} {driver} {action}: {}", error_of(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        assert!(deploy("--diff").contains("+  name: pac-concurrency-watcher"));
        deploy("--apply");
        assert_eq!(deploy("--diff"), "", "{mode} {driver}");
        assert_eq!(pacs_containers(&cluster).first().unwrap(), "pac-watcher");
        assert!(
            !cluster.kubectl(&["get", "secret", "pac-concurrency-secret"]).status.success(),
            "the Secret is not ours to apply"
        );
    }
}

#[test]
fn a_field_that_nobody_knows_is_refused_by_the_cluster() {
    let cluster = Cluster::start();
    let (_folder, files) = variant(["standalone", "etcd"]);
    let misspelled = files["deployment.yaml"].replace("readOnlyRootFilesystem", "readOnlyRootFileSystem");
    let file = cluster.file("misspelled.yaml", &misspelled);
    let output = cluster.kubectl(&[&SERVER_SIDE[..], &["--filename", file.to_str().unwrap()]].concat());
    let said = error_of(&output);
    let path = "spec.template.spec.containers[0].securityContext.readOnlyRootFileSystem";
    assert!(said.contains(&format!("strict decoding error: unknown field \"{path}\"")), "{said}");
}
