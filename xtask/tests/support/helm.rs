//! Helm itself, which a package of Python's has as a library.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::typed::documents;
use super::workspace;

const INSTALL: &str = "Helm is missing; `cargo xtask test` installs it";

/// What Helm makes of one set of values.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Each template's file, and what became of it.
    Rendered(BTreeMap<String, String>),
    /// What is wrong with the values.
    Refused(String),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    pub(crate) answers: Vec<Answer>,
    pub(crate) lint: Value,
}

// === impl Answer ===

impl Answer {
    /// The objects, by kind and name.
    pub(crate) fn objects(&self) -> BTreeMap<String, Value> {
        let Self::Rendered(files) = self else { panic!("{self:?}") };
        let manifests = files.iter().filter(|(file, _)| file.ends_with(".yaml"));
        let documents = manifests.flat_map(|(_, text)| documents(text)).filter(|document| !document.is_null());
        documents.map(|document| (name(&document), document)).collect()
    }
}

pub(crate) fn name(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    format!("{} {}", text(&document["kind"]), text(&document["metadata"]["name"]))
}

/// Renders the chart with each of these values, in these namespaces.
pub(crate) fn render(asked: &[(Value, &str)]) -> Said {
    let one = |(values, namespace): &(Value, &str)| json!({"values": values, "namespace": namespace});
    let said = helm("render", Path::new(""), &asked.iter().map(one).collect());
    serde_json::from_value(said).unwrap()
}

/// Installs, upgrades or uninstalls the chart in a cluster, and says what its release is then.
pub(crate) fn live(cluster: &Cluster, action: &str, values: &Value) -> String {
    let asked = json!({"action": action, "namespace": "pipelines-as-code", "values": values});
    let said = helm("live", &cluster.kubeconfig(), &asked);
    said.as_str().unwrap().to_owned()
}

fn helm(command: &str, kubeconfig: &Path, asked: &Value) -> Value {
    let root = workspace();
    let helm = root.join("target/helm");
    assert!(helm.join("helm_python").is_dir(), "{INSTALL}");
    let mut python = Command::new("python3");
    python.args(["-c", include_str!("helm.py"), command]).arg(root.join("charts/pac-concurrency-watcher"));
    python.arg(kubeconfig);
    python.env("PYTHONPATH", helm).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = python.spawn().expect(INSTALL);
    process.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}
