//! What `cargo xtask deploy` says and does, with a stand-in for kubectl where a cluster would have to serve every kind.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use tempfile::TempDir;

use support::typed::documents;
use support::{deploy, error_of};

/// What a cluster lists, in kubectl's columns.
const KINDS: &str = "\
configmaps cm v1 true ConfigMap
secrets v1 true Secret
services svc v1 true Service
serviceaccounts sa v1 true ServiceAccount
deployments deploy apps/v1 true Deployment
networkpolicies netpol networking.k8s.io/v1 true NetworkPolicy
priorityclasses pc scheduling.k8s.io/v1 false PriorityClass
poddisruptionbudgets pdb policy/v1 true PodDisruptionBudget
clusterroles rbac.authorization.k8s.io/v1 false ClusterRole
clusterrolebindings rbac.authorization.k8s.io/v1 false ClusterRoleBinding
roles rbac.authorization.k8s.io/v1 true Role
rolebindings rbac.authorization.k8s.io/v1 true RoleBinding
mutatingwebhookconfigurations admissionregistration.k8s.io/v1 false MutatingWebhookConfiguration
validatingadmissionpolicies admissionregistration.k8s.io/v1 false ValidatingAdmissionPolicy
validatingadmissionpolicybindings admissionregistration.k8s.io/v1 false ValidatingAdmissionPolicyBinding
mutatingadmissionpolicies admissionregistration.k8s.io/v1 false MutatingAdmissionPolicy
mutatingadmissionpolicybindings admissionregistration.k8s.io/v1 false MutatingAdmissionPolicyBinding
";
const OPERATOR: &str = "\
servicemonitors smon monitoring.coreos.com/v1 true ServiceMonitor
prometheusrules promrule monitoring.coreos.com/v1 true PrometheusRule
";

const PACS: &str = r#"{"kind":"Deployment","metadata":{"name":"pipelines-as-code-watcher"},"spec":{"replicas":0,"selector":{},"template":{}}}"#;

/// A kubectl that lists `kinds`, takes everything, and keeps what it was told.
struct StandIn {
    folder: TempDir,
}

impl StandIn {
    fn new(kinds: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("kubectl");
        fs::write(folder.path().join("kinds"), kinds).unwrap();
        // PAC's watcher is there, and rests; nothing else is.
        let script = "#!/bin/sh\ncd \"$(dirname \"$0\")\" || exit 9\n\
                      [ \"$1\" = api-resources ] && exec cat kinds\n[ \"$2\" = --raw=/version ] && exec cat version\n\
                      [ \"$1\" = get ] && exec cat pacs\n\
                      echo \"$*\" >> told\ncat > \"$1.yaml\"\n[ \"$1\" != diff ]\n";
        fs::write(folder.path().join("pacs"), PACS).unwrap();
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let kubectl = Self { folder };
        kubectl.is_of_version("36");
        kubectl
    }

    fn deploy(&self, arguments: &[&str]) -> Output {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        deploy(arguments).env("PATH", path).output().unwrap()
    }

    fn is_of_version(&self, minor: &str) {
        let version = format!(r#"{{"major":"1","minor":"{minor}"}}"#);
        fs::write(self.folder.path().join("version"), version).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    /// The kinds of what it was given.
    fn kinds(&self, file: &str) -> Vec<String> {
        let documents = documents(&self.read(file));
        documents.iter().map(|document| document["kind"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn settings_that_cant_be_used_are_all_named_and_end_in_code_2() {
    let folder = TempDir::new().unwrap();
    let wrong =
        ["--set", "postgresql-port=54x32", "--set", "postgresql-ssl-mode=prefer", "--set", "postgresql-hots=db"];
    let output =
        deploy(&[&["--driver", "postgresql"], &wrong[..]].concat()).arg("--output").arg(folder.path()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = error_of(&output);
    for part in [
        "postgresql-port: \"54x32\" is not a port (allowed: 1 to 65535; from ConfigMap pipelines-as-code/pac-concurrency)",
        "postgresql-ssl-mode: \"prefer\" is not an SSL mode",
        "postgresql-hots: unknown setting; did you mean postgresql-host?",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn flags_that_cant_be_used_end_in_code_2() {
    for wrong in [
        &["--replicas", "2", "--driver", "memory"][..],
        &["--replicas", "0"],
        &["--mode", "companion", "--placement", "pod", "--driver", "etcd", "--replicas", "2"],
        &["--gate", "deny"],
        &["--mode", "shadow", "--driver", "etcd"],
        &["--mode", "shadow", "--set", "concurrency-enabled=true"],
        &["--mode", "shadow", "--replicas", "2"],
        &["--mode", "shadow", "--gate", "deny"],
        &["--mode", "standalone", "--placement", "pod"],
        &["--namespace", "Not_a_name"],
        &["--image", "two words"],
        &["--set", "concurrency-enabled"],
        &["--apply", "--diff"],
        &["--check", "--driver", "etcd"],
        &["--force"],
        &["--driver", "postgresql", "--password-file", "password"],
        &["--driver", "postgresql", "--secret-provider-class", "pac"],
        &["--driver", "memory", "--password-file", "/password"],
        &["--settings", "/missing.yaml"],
    ] {
        assert_eq!(deploy(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn settings_reach_the_config_map_and_names_reach_every_object() {
    let arguments =
        ["--namespace", "ci", "--image", "registry.example.com/w:1", "--driver", "postgresql", "--output", "-"];
    let output = deploy(&[&arguments[..], &["--set", "postgresql-host=db.example.com"]].concat()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("  postgresql-host: \"db.example.com\"\n") && text.contains("registry.example.com/w:1"));
    for document in documents(&text) {
        let namespace = document["metadata"]["namespace"].as_str();
        let everywhere =
            document["kind"].as_str().unwrap().starts_with("ClusterRole") || document["kind"] == "PriorityClass";
        assert_eq!(namespace, (!everywhere).then_some("ci"), "{}", document["kind"]);
    }
}

#[test]
fn what_would_do_harm_in_a_pipe_is_not_printed() {
    let output = deploy(&["--mode", "companion", "--placement", "pod", "--output", "-"]).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!text.contains("kind: Deployment") && !text.contains("kind: Secret"));
    let said = error_of(&output);
    assert!(said.contains("not printed: pipelines-as-code-watcher-patch.yaml"), "{said}");
}

#[test]
fn everything_is_applied_on_the_server_in_one_go() {
    let kubectl = StandIn::new(&format!("{KINDS}{OPERATOR}"));
    let output = kubectl.deploy(&["--driver", "postgresql", "--apply"]);
    assert!(output.status.success(), "{}", error_of(&output));
    let told = "apply --server-side --force-conflicts --field-manager pac-watcher --filename=-";
    assert_eq!(kubectl.read("told"), format!("{told} --dry-run=server\n{told}\n"), "it is asked first");
    let kinds = kubectl.kinds("apply.yaml");
    assert_eq!(kinds.first().map(String::as_str), Some("ConfigMap"));
    for kind in ["Deployment", "Role", "NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor", "PrometheusRule"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} is not in {kinds:?}");
    }
    assert!(!kinds.iter().any(|kind| kind == "Secret" || kind == "Kustomization"));
}

#[test]
fn pacs_deployment_is_patched_after_the_policy_is_there() {
    let kubectl = StandIn::new(KINDS);
    let output = kubectl.deploy(&["--mode", "companion", "--placement", "pod", "--driver", "etcd", "--apply"]);
    assert!(output.status.success(), "{}", error_of(&output));
    let told = kubectl.read("told");
    let told = told.lines().filter(|line| !line.ends_with("--dry-run=server"));
    let [applied, patched] = told.collect::<Vec<_>>()[..] else { panic!("not two") };
    assert!(applied.starts_with("apply --server-side"), "{applied}");
    let patch = "patch deployment pipelines-as-code-watcher --namespace pipelines-as-code --field-manager pac-watcher \
                 --patch-file=/dev/stdin";
    assert_eq!(patched, patch);
    assert_eq!(kubectl.kinds("patch.yaml"), ["Deployment"]);
    let kinds = kubectl.kinds("apply.yaml");
    assert!(kinds.iter().any(|kind| kind == "MutatingAdmissionPolicyBinding"), "{kinds:?}");
    assert!(!kinds.iter().any(|kind| kind == "Deployment" || kind == "ServiceMonitor"), "{kinds:?}");
    assert!(error_of(&output).contains("left out: ServiceMonitor"));
}

#[test]
fn a_difference_is_shown_and_is_no_failure() {
    let kubectl = StandIn::new(KINDS);
    let output = kubectl.deploy(&["--mode", "companion", "--diff"]);
    assert!(output.status.success(), "{}", error_of(&output));
    assert_eq!(kubectl.read("told"), "diff --server-side --force-conflicts --field-manager pac-watcher --filename=-\n");
    assert!(kubectl.kinds("diff.yaml").iter().any(|kind| kind == "Deployment"));
}

/// Without the kinds whose lines have `word`.
fn kinds_without(word: &str) -> String {
    KINDS.lines().filter(|line| !line.contains(word)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_gate_is_the_best_that_the_api_server_serves_and_it_is_said() {
    for (kinds, minor, gate, why) in [
        (KINDS.to_owned(), "36", "policy", "the API server serves MutatingAdmissionPolicy"),
        (kinds_without("MutatingAdmission"), "28+", "webhook", "the API server serves no MutatingAdmissionPolicy"),
    ] {
        let kubectl = StandIn::new(&kinds);
        kubectl.is_of_version(minor);
        let output = kubectl.deploy(&["--mode", "companion", "--driver", "etcd", "--apply"]);
        assert!(output.status.success(), "{}", error_of(&output));
        assert!(error_of(&output).contains(&format!("gate: {gate}, since {why}")), "{}", error_of(&output));
        let applied = documents(&kubectl.read("apply.yaml"));
        let deployment = applied.iter().find(|object| object["kind"] == "Deployment").unwrap();
        let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
        assert!(arguments.contains(&format!("--gate={gate}").into()), "{arguments:?}");
    }
}

#[test]
fn a_cluster_without_the_gates_kind_gets_nothing() {
    for (without, minor, gate, code) in
        [("Mutating", "36", "policy", 1), ("Validating", "29", "deny", 1), ("none", "27", "webhook", 2)]
    {
        let kubectl = StandIn::new(&kinds_without(without));
        kubectl.is_of_version(minor);
        let output = kubectl.deploy(&["--mode", "companion", "--gate", gate, "--apply"]);
        assert_eq!(output.status.code(), Some(code), "{}", error_of(&output));
        assert!(error_of(&output).contains("nothing was"), "{}", error_of(&output));
        assert_eq!(kubectl.read("told"), "");
    }
    let kubectl = StandIn::new(&kinds_without("MutatingAdmission"));
    kubectl.is_of_version("27");
    let output = kubectl.deploy(&["--mode", "companion", "--apply"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(error_of(&output).contains("companion mode needs Kubernetes 1.28"), "{}", error_of(&output));
}

#[test]
fn a_cluster_with_the_beta_of_the_policys_kind_gets_that() {
    let kubectl =
        StandIn::new(&KINDS.replace("admissionregistration.k8s.io/v1 ", "admissionregistration.k8s.io/v1beta1 "));
    let output = kubectl.deploy(&["--mode", "companion", "--apply"]);
    assert!(output.status.success(), "{}", error_of(&output));
    let applied = documents(&kubectl.read("apply.yaml"));
    let beta = applied.iter().filter(|object| object["apiVersion"] == "admissionregistration.k8s.io/v1beta1");
    assert_eq!(beta.count(), 2);
}

#[test]
fn what_is_committed_is_checked() {
    let output = deploy(&["--check"]).output().unwrap();
    assert!(output.status.success(), "{}", error_of(&output));
}
