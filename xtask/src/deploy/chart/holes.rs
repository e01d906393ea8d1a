//! Where the chart's values go in a manifest: marks are put into it as a value, and what they stand for is put in their place as text.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_yaml::Value;

use crate::deploy::names::{SECRET, WATCHER, labels};

/// Stands for the release's namespace.
pub(super) const NAMESPACE: &str = "the-namespace-of-the-release";
/// Stands for the image, until a mark does.
pub(super) const IMAGE: &str = "the-image-of-the-values";
/// Stands for where the runbook of the alerts is.
pub(super) const RUNBOOK: &str = "https://the-runbook-of-the-values";

/// A mark, and what it stands for: an expression in its place, or a block below its key.
const EXPRESSIONS: [(&str, &str); 5] = [
    ("policies", r#"include "pac-concurrency.policies" ."#),
    ("image", ".Values.image | quote"),
    ("replicas", ".Values.replicas"),
    ("secret", ".Values.existingSecret.name | quote"),
    ("secretKey", r#".Values.existingSecret.key | default (printf "%s-password" .Values.driver) | quote"#),
];
/// A mark as the value of a key: its value is the block.
const BLOCKS: [(&str, &str); 3] = [
    ("resources", "toYaml .Values.resources"),
    ("namespaces", r#"include "pac-concurrency.namespaces" ."#),
    ("storePorts", r#"include "pac-concurrency.storePorts" ."#),
];
/// A mark as an item of a list, or as the key of a map: what is said goes beside the others, if anything is.
const MORE: [(&str, &str); 6] = [
    ("extraArgs", r#"include "pac-concurrency.extraArgs" . | fromYamlArray"#),
    ("extraEnv", r#"include "pac-concurrency.extraEnv" . | fromYamlArray"#),
    ("extraVolumeMounts", r#"include "pac-concurrency.extraVolumeMounts" . | fromYamlArray"#),
    ("extraVolumes", r#"include "pac-concurrency.extraVolumes" . | fromYamlArray"#),
    ("tracesRules", r#"include "pac-concurrency.tracesRules" . | fromYamlArray"#),
    ("monitoringLabels", ".Values.monitoring.labels"),
];
/// Fields of the pod that only the values have.
const OF_POD: [&str; 4] = ["affinity", "imagePullSecrets", "nodeSelector", "tolerations"];

/// A document with marks, and its kind and name.
pub(super) fn marked(text: &str) -> Result<(String, String)> {
    let mut document: Value = serde_yaml::from_str(text)?;
    let kind = document["kind"].as_str().context("no kind")?.to_owned();
    let name = format!("{kind} {}", document["metadata"]["name"].as_str().context("no name")?);
    match kind.as_str() {
        "Deployment" => mark_deployment(&mut document)?,
        "Role" => mark_role(&mut document),
        "NetworkPolicy" => mark_network_policy(&mut document),
        "MutatingAdmissionPolicyBinding" | "ValidatingAdmissionPolicyBinding" => {
            document["spec"]["matchResources"]["namespaceSelector"] = mark("namespaces");
        }
        "MutatingWebhookConfiguration" => document["webhooks"][0]["namespaceSelector"] = mark("namespaces"),
        "ServiceMonitor" | "PrometheusRule" => {
            let labels = document["metadata"]["labels"].as_mapping_mut().context("no labels")?;
            labels.insert(mark("monitoringLabels"), Value::Null);
        }
        _ => {}
    }
    if kind.starts_with("MutatingAdmissionPolicy") {
        document["apiVersion"] = mark("policies");
    }
    Ok((name, serde_yaml::to_string(&document)?))
}

fn mark(name: &str) -> Value {
    Value::String(format!("@@{name}@@"))
}

fn mark_deployment(document: &mut Value) -> Result<()> {
    let spec = &mut document["spec"];
    if spec["strategy"]["type"] == "RollingUpdate" {
        spec["replicas"] = mark("replicas");
    }
    let template = &mut spec["template"];
    template["metadata"]["annotations"] = mark("podAnnotations");
    let pod = &mut template["spec"];
    for field in OF_POD {
        pod[field] = mark(field);
    }
    for volume in pod["volumes"].as_sequence_mut().into_iter().flatten() {
        if volume["secret"]["secretName"] == SECRET {
            volume["secret"]["secretName"] = mark("secret");
            volume["secret"]["items"][0]["key"] = mark("secretKey");
        }
    }
    add(pod, "volumes", "extraVolumes");
    let container = &mut pod["containers"][0];
    container["image"] = mark("image");
    container["resources"] = mark("resources");
    add(container, "args", "extraArgs");
    add(container, "env", "extraEnv");
    add(container, "volumeMounts", "extraVolumeMounts");
    anyhow::ensure!(container["name"].is_string(), "no container");
    Ok(())
}

/// One more item of a list, which may not be there yet.
fn add(parent: &mut Value, list: &str, name: &str) {
    match parent.get_mut(list).and_then(Value::as_sequence_mut) {
        Some(items) => items.push(mark(name)),
        None => parent[list] = mark(&format!("only {name}")),
    }
}

fn mark_role(document: &mut Value) {
    for rule in document["rules"].as_sequence_mut().into_iter().flatten() {
        if rule["resourceNames"][0] == SECRET {
            rule["resourceNames"][0] = mark("secret");
        }
    }
}

/// The last rule is the store's, where there is one; another one, of who gets traces, comes after it.
fn mark_network_policy(document: &mut Value) {
    if let Some(rules) = document["spec"]["egress"].as_sequence_mut()
        && let [_, _, store] = &mut rules[..]
    {
        store["ports"] = mark("storePorts");
    }
    add(&mut document["spec"], "egress", "tracesRules");
}

/// A template with all that the marks stand for.
pub(super) fn filled(text: &str) -> String {
    let mut filled = String::new();
    for line in text.lines() {
        // An alert's own templates are Prometheus' to fill in; conditions, which are ours, are lines of their own.
        let line = match line.starts_with("{{-") {
            true => line.to_owned(),
            false => line.replace("{{", "\u{1}").replace("}}", r#"{{ "}}" }}"#).replace('\u{1}', r#"{{ "{{" }}"#),
        };
        filled += &line_filled(&line);
    }
    let managed = format!("managed-by: {}", labels(WATCHER)["app.kubernetes.io/managed-by"]);
    let filled = filled.replace(&managed, "managed-by: {{ .Release.Service }}");
    let filled = filled.replace(RUNBOOK, "{{ .Values.monitoring.runbookUrl }}");
    let namespace = format!("namespace: {NAMESPACE}\n");
    let filled = filled.replace(&namespace, "namespace: {{ .Release.Namespace | quote }}\n");
    filled.replace(NAMESPACE, "{{ .Release.Namespace }}")
}

fn line_filled(line: &str) -> String {
    let Some((before, rest)) = line.split_once("'@@") else { return format!("{line}\n") };
    let Some((name, _)) = rest.split_once("@@'") else { return format!("{line}\n") };
    let indent = before.len() - before.trim_start().len();
    let space = " ".repeat(indent);
    if let Some((_, expression)) = EXPRESSIONS.iter().find(|(known, _)| *known == name) {
        return format!("{before}{{{{ {expression} }}}}\n");
    }
    if let Some((_, expression)) = BLOCKS.iter().find(|(known, _)| *known == name) {
        return format!("{}\n{space}  {{{{- {expression} | nindent {} }}}}\n", before.trim_end(), indent + 2);
    }
    let of_values = |name: &str| MORE.iter().find(|(known, _)| *known == name).map(|(_, expression)| *expression);
    let mut text = String::new();
    // What can't be written to a string is nothing that happens.
    let written = if let Some(name) = name.strip_prefix("only ") {
        let (expression, below) = (of_values(name).unwrap_or_default(), indent);
        let key = before.trim_end();
        writeln!(
            text,
            "{{{{- with {expression} }}}}\n{key}\n{space}{{{{- toYaml . | nindent {below} }}}}\n{{{{- end }}}}"
        )
    } else if let Some(expression) = of_values(name) {
        writeln!(text, "{{{{- with {expression} }}}}\n{space}{{{{- toYaml . | nindent {indent} }}}}\n{{{{- end }}}}")
    } else {
        let key = before.trim_end();
        writeln!(
            text,
            "{{{{- with .Values.{name} }}}}\n{key}\n{space}  {{{{- toYaml . | nindent {} }}}}\n{{{{- end }}}}",
            indent + 2
        )
    };
    debug_assert!(written.is_ok(), "a string takes all");
    text
}
