//! The real kubectl does what people do with it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use pac_devcluster::{DevCluster, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

const INSTALL: &str = "kubectl is missing; install it with: curl -LO https://dl.k8s.io/release/v1.32.4/bin/linux/amd64/kubectl \
     && sudo install kubectl /usr/local/bin/";

struct Kubectl {
    cluster: DevCluster,
    folder: TempDir,
}

impl Kubectl {
    async fn new() -> Self {
        let namespaces = vec!["default".to_owned(), "ci".to_owned()];
        let cluster = DevCluster::start(Options { namespaces, ..Options::default() }).await.unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("kubeconfig"), cluster.kubeconfig()).unwrap();
        Self { cluster, folder }
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", self.folder.path().join("kubeconfig")).env("HOME", self.folder.path());
        command.arg("--namespace=ci").args(arguments.split(' '));
        command
    }

    fn output(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect(INSTALL)
    }

    /// Its output; it must succeed.
    fn run(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        let problems = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments}: {problems}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn file(&self, name: &str, content: &Value) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(content.to_string().as_bytes()).unwrap();
        path
    }
}

fn repository(limit: u64) -> Value {
    json!({
        "apiVersion": "pipelinesascode.tekton.dev/v1alpha1",
        "kind": "Repository",
        "metadata": { "name": "repo" },
        "spec": { "url": "https://example.dev/o/r", "concurrency_limit": limit },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_gets_describes_patches_and_deletes() {
    let kubectl = Kubectl::new().await;
    let file = kubectl.file("run.json", &support::pending_run_json("one"));
    assert_eq!(kubectl.run(&format!("create -f {}", file.display())), "pipelinerun.tekton.dev/one created\n");
    let table = kubectl.run("get pipelineruns");
    assert!(table.starts_with("NAME   SUCCEEDED   REASON   STARTTIME   COMPLETIONTIME\none "), "{table}");
    let event = json!({
        "metadata": { "name": "e1" },
        "involvedObject": { "kind": "PipelineRun", "namespace": "ci", "name": "one", "uid": uid(&kubectl) },
        "reason": "SlotAcquired",
        "message": "acquired concurrency slot",
        "type": "Normal",
    });
    kubectl.cluster.store().create("events", "ci", event).unwrap();
    let description = kubectl.run("describe pr one");
    assert!(description.contains("SlotAcquired") && description.contains("acquired concurrency slot"), "{description}");
    kubectl.run(r#"patch pr one --type=merge -p {"metadata":{"annotations":{"x":"y"}}}"#);
    kubectl.run(r#"patch pr one --type=json -p [{"op":"remove","path":"/spec/status"}]"#);
    kubectl.run("label pr one team=a");
    let one: Value = serde_json::from_str(&kubectl.run("get pr one -o json")).unwrap();
    assert_eq!(one.pointer("/metadata/annotations/x"), Some(&json!("y")));
    assert_eq!(one.pointer("/spec/status"), None);
    assert!(kubectl.run("get pr -l team=a -o name").contains("one"));
    assert!(kubectl.run("get pr --all-namespaces").contains("ci "));
    assert_eq!(kubectl.run("delete pr one"), "pipelinerun.tekton.dev \"one\" deleted\n");
    let missing = kubectl.output("get pr one");
    let text = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(text, "Error from server (NotFound): pipelineruns.tekton.dev \"one\" not found\n");
}

fn uid(kubectl: &Kubectl) -> Value {
    kubectl.cluster.store().get("pipelineruns", "ci", "one").unwrap()["metadata"]["uid"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn applies_on_the_server_and_keeps_what_others_set() {
    let kubectl = Kubectl::new().await;
    let run = kubectl.file("run.json", &support::pending_run_json("one"));
    let settings =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "data": { "a": "1" } });
    let settings = kubectl.file("c.json", &settings);
    let secret =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "p": "pw" } });
    let secret = kubectl.file("s.json", &secret);
    let repo = kubectl.file("repo.json", &repository(1));
    for file in [&run, &settings, &secret, &repo] {
        let applied = kubectl.run(&format!("apply --server-side -f {}", file.display()));
        assert!(applied.ends_with(" serverside-applied\n"), "{applied}");
    }
    kubectl.run(r#"patch cm c -p {"data":{"b":"2"}}"#);
    kubectl.run("annotate repo repo note=kept");
    kubectl.file("repo.json", &repository(2));
    for file in [&run, &settings, &secret, &repo] {
        kubectl.run(&format!("apply --server-side -f {}", file.display()));
    }
    assert_eq!(kubectl.run("get cm c -o jsonpath={.data}"), r#"{"a":"1","b":"2"}"#);
    assert_eq!(kubectl.run("get secret s -o jsonpath={.data}"), r#"{"p":"cHc="}"#);
    assert_eq!(kubectl.run("get repo repo -o jsonpath={.spec.concurrency_limit}"), "2");
    assert_eq!(kubectl.run("get repo repo -o jsonpath={.metadata.annotations.note}"), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn applies_and_creates_the_plain_way() {
    let kubectl = Kubectl::new().await;
    let file = kubectl.file("repo.json", &repository(1));
    let apply = format!("apply -f {}", file.display());
    assert!(kubectl.run(&apply).ends_with(" created\n"));
    assert!(kubectl.run(&apply).ends_with(" unchanged\n"));
    kubectl.file("repo.json", &repository(3));
    assert!(kubectl.run(&apply).ends_with(" configured\n"));
    kubectl.file("repo.json", &repository(0));
    let refused = kubectl.output(&apply);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("spec.concurrency_limit in body should be greater than or equal to 1"), "{text}");
    kubectl.run("create namespace other");
    kubectl.run("create configmap c --from-literal=a=b");
    kubectl.run("create secret generic s --from-literal=password=pw");
    assert_eq!(kubectl.run("get cm c -o jsonpath={.data}"), r#"{"a":"b"}"#);
    assert_eq!(kubectl.run("get secret s -o jsonpath={.data}"), r#"{"password":"cHc="}"#);
    assert!(kubectl.run("get ns").contains("other"));
    kubectl.run("delete namespace other");
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_changes_as_they_happen() {
    let kubectl = Kubectl::new().await;
    kubectl.cluster.store().create("pipelineruns", "ci", support::pending_run_json("one")).unwrap();
    let mut watch = kubectl.command("get pr --watch --no-headers").stdout(Stdio::piped()).spawn().expect(INSTALL);
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    assert_eq!(lines.next().unwrap().trim(), "one");
    let status = json!({ "status": { "conditions": [{ "type": "Succeeded", "status": "True", "reason": "Done" }] } });
    kubectl.cluster.store().patch_status("pipelineruns", "ci", "one", &status).unwrap();
    let line = lines.next().unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["one", "True", "Done"]);
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn applies_admission_policies_as_often_as_it_likes() {
    let kubectl = Kubectl::new().await;
    let rule = json!({
        "apiGroups": ["tekton.dev"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pipelineruns"],
        // A default in a list is a difference to kubectl each time.
        "scope": "*",
    });
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": "p" },
        "spec": {
            "matchConstraints": { "resourceRules": [rule] },
            "validations": [{ "expression": "false", "message": "nothing may change" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": "p" }, "spec": { "policyName": "p", "validationActions": ["Deny"] },
    });
    let files = [kubectl.file("policy.json", &policy), kubectl.file("binding.json", &binding)];
    for file in &files {
        let apply = format!("apply --validate=strict -f {}", file.display());
        assert!(kubectl.run(&apply).ends_with("/p created\n"));
        assert!(kubectl.run(&apply).ends_with("/p unchanged\n"));
    }
    let run = kubectl.file("run.json", &support::pending_run_json("one"));
    kubectl.run(&format!("create -f {}", run.display()));
    let refused = kubectl.output("annotate pipelinerun one a=b");
    let problem = String::from_utf8(refused.stderr).unwrap();
    let said = "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: nothing may change";
    assert!(!refused.status.success() && problem.contains(said), "{problem}");
    let table = kubectl.run("get validatingadmissionpolicies");
    assert!(table.starts_with("NAME   VALIDATIONS   PARAMKIND   AGE\np      1 "), "{table}");
    let kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy";
    assert_eq!(kubectl.run(&format!("delete {kinds} p")).lines().count(), 2);
    kubectl.run("annotate pipelinerun one a=b");
}
