//! The real kubectl applies our files and PAC's, in every order, and nobody's keys and no password are lost: on the development
//! cluster, or in a namespace of the one that `PAC_TEST_KUBECONFIG` names.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use support::cluster::{Cluster, PACS_NAME, PACS_SETTINGS, PACS_WATCHER};
use support::typed::documents;
use support::{error_of, workspace};

const SERVER_SIDE: [&str; 6] =
    ["apply", "--server-side", "--force-conflicts", "--field-manager=pac-watcher", "--validate=strict", "--filename"];
const PLAIN: [&str; 2] = ["apply", "--filename"];
/// Every ordered pair of four, one after the other: kubectl remembers one apply.
const EVERY_PAIR: [usize; 17] = [0, 0, 1, 0, 2, 0, 3, 1, 1, 2, 1, 3, 2, 2, 3, 3, 0];

/// A file and how it is applied.
type Step = (&'static [&'static str], PathBuf);

fn committed(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.file(name, &fs::read_to_string(workspace().join("config").join(name)).unwrap())
}

/// Our file as the guide has it edited.
fn edited(cluster: &Cluster) -> PathBuf {
    let text = fs::read_to_string(committed(cluster, "302-pac-configmap.yaml")).unwrap();
    let text = text.replace("concurrency-enabled: \"false\"", "concurrency-enabled: \"true\"");
    cluster.file("302-pac-configmap.yaml", &text.replace("driver: \"memory\"", "driver: \"postgresql\""))
}

fn apply(cluster: &Cluster, how: &[&str], file: &Path) {
    cluster.run(&[how, &[file.to_str().unwrap()]].concat());
}

/// Walks through `steps` so that each follows each; `check` sees how often which was applied.
fn in_every_order(cluster: &Cluster, steps: &[Step; 4], check: impl Fn(&[usize; 4], usize)) {
    let mut applied = [0; 4];
    for step in EVERY_PAIR {
        let (how, file) = &steps[step];
        apply(cluster, how, file);
        applied[step] += 1;
        check(&applied, step);
    }
}

fn data(text: &str) -> Value {
    documents(text)[0]["data"].clone()
}

/// PAC's release and its next one, ours as the guide and as `deploy` applies it.
fn config_map_steps(cluster: &Cluster) -> [Step; 4] {
    let next = PACS_SETTINGS.replace("My CI", "Our CI");
    [
        (&PLAIN, cluster.file("pac-1.yaml", PACS_SETTINGS)),
        (&PLAIN, cluster.file("pac-2.yaml", &next)),
        (&PLAIN, edited(cluster)),
        (&SERVER_SIDE, edited(cluster)),
    ]
}

#[test]
fn nobodys_keys_are_lost_in_any_order_of_applies() {
    for reversed in [false, true] {
        let cluster = Cluster::real_or_start();
        let mut steps = config_map_steps(&cluster);
        if reversed {
            steps.reverse();
        }
        let wanted = |step: usize| data(&fs::read_to_string(&steps[step].1).unwrap());
        in_every_order(&cluster, &steps, |applied, last| {
            let was_applied = |steps: [usize; 2]| steps.into_iter().any(|step| applied[step] > 0);
            let (pacs, ours) = if reversed { ([2, 3], [0, 1]) } else { ([0, 1], [2, 3]) };
            if was_applied(pacs) {
                let found = cluster.get("configmap", "pipelines-as-code");
                let keys = found["data"].as_object().unwrap().len();
                assert_eq!(keys, 9, "{applied:?}");
                if pacs.contains(&last) {
                    assert_eq!(found["data"], wanted(last));
                }
            }
            if was_applied(ours) {
                assert_eq!(cluster.get("configmap", "pac-concurrency")["data"], wanted(ours[0]), "{applied:?}");
            }
        });
    }
}

/// What the two files are for, and proof that the test above would notice: two files for one ConfigMap.
#[test]
fn two_files_for_one_config_map_delete_each_others_keys() {
    let cluster = Cluster::real_or_start();
    let mut steps = config_map_steps(&cluster);
    let theirs =
        fs::read_to_string(&steps[2].1).unwrap().replace("name: pac-concurrency\n", "name: pipelines-as-code\n");
    steps[2].1 = cluster.file("ours-in-pacs.yaml", &theirs);
    let keys = || {
        let found = cluster.get("configmap", "pipelines-as-code")["data"].clone();
        let is_ours = |key: &String| pac_config::find_key(key).is_some();
        let (ours, pacs): (Vec<_>, Vec<_>) = found.as_object().unwrap().keys().partition(|key| is_ours(key));
        [pacs.len(), ours.len()]
    };
    let all = pac_config::keys().filter(|key| theirs.contains(&format!("\n  {}: ", key.name))).count();
    assert!(all > 20);
    for (step, left) in [(0, [9, 0]), (2, [0, all]), (0, [9, 0])] {
        apply(&cluster, steps[step].0, &steps[step].1);
        assert_eq!(keys(), left, "if kubectl's rule has changed, the warnings about it can go");
    }
}

#[test]
fn no_order_of_the_guides_commands_loses_the_password() {
    const GUIDES: &str = "\
apiVersion: v1
kind: Secret
metadata:
  name: pac-concurrency-secret
  namespace: pipelines-as-code
type: Opaque
data:
  postgresql-password: eW91ci1zZWN1cmUtcGFzc3dvcmQ=
";
    let create = [
        "create",
        "secret",
        "generic",
        "pac-concurrency-secret",
        "--from-literal=postgresql-password=your-secure-password",
    ];
    for created_first in [true, false] {
        let cluster = Cluster::real_or_start();
        let guides = cluster.file("guides.yaml", GUIDES);
        let ours = committed(&cluster, "concurrency-secret.yaml");
        if created_first {
            cluster.run(&create);
        } else {
            apply(&cluster, &PLAIN, &ours);
        }
        let steps: [Step; 4] =
            [(&PLAIN, guides.clone()), (&PLAIN, ours.clone()), (&SERVER_SIDE, ours), (&SERVER_SIDE, guides)];
        in_every_order(&cluster, &steps, |applied, _| {
            let secret = cluster.get("secret", "pac-concurrency-secret");
            assert_eq!(secret["data"]["postgresql-password"], "eW91ci1zZWN1cmUtcGFzc3dvcmQ=", "{applied:?}");
        });
    }
}

#[test]
fn our_container_survives_pacs_next_release() {
    let cluster = Cluster::start();
    apply(&cluster, &PLAIN, &cluster.file("one.yaml", PACS_WATCHER));
    let (folder, _) = support::rendered(&["--mode=companion", "--driver=postgresql", "--placement=pod"]);
    let patch = folder.path().join("pipelines-as-code-watcher-patch.yaml");
    cluster.run(&["patch", "deployment", PACS_NAME, "--patch-file", patch.to_str().unwrap()]);
    apply(&cluster, &PLAIN, &cluster.file("two.yaml", &PACS_WATCHER.replace("pac:v1", "pac:v2")));
    let pod = &cluster.get("deployment", PACS_NAME)["spec"]["template"]["spec"];
    let containers = pod["containers"].as_array().unwrap();
    let images: Vec<&str> = containers.iter().map(|container| container["image"].as_str().unwrap()).collect();
    assert_eq!(images, ["pac:v2", concat!("pac-watcher:", env!("CARGO_PKG_VERSION"))]);
    assert_eq!(pod["volumes"].as_array().unwrap().len(), 2);
}

#[test]
fn nothing_is_applied_where_pacs_watcher_is_missing() {
    let cluster = Cluster::start();
    let mut command = support::deploy(&["--mode", "companion", "--driver", "etcd", "--apply"]);
    let output = command.env("KUBECONFIG", cluster.kubeconfig()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = error_of(&output);
    assert!(said.contains("nothing was applied, there is no Deployment pipelines-as-code-watcher"), "{said}");
    assert!(!cluster.kubectl(&["get", "configmap", "pac-concurrency"]).status.success());
}
