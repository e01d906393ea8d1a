//! The Helm chart, rendered by Helm itself: for every choice it has the very objects that `cargo xtask deploy` makes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use support::cluster::Cluster;
use support::helm::{Answer, live, name, render};
use support::rendered;
use support::typed::documents;

const DRIVERS: [&str; 3] = ["postgresql", "etcd", "memory"];

/// What was chosen, as values of the chart and as arguments of `deploy`.
struct Choice {
    values: Value,
    namespace: &'static str,
    arguments: Vec<String>,
}

// === impl Choice ===

impl Choice {
    fn new(mode: &str, driver: &str, gate: Option<&str>) -> Self {
        let mut arguments = vec![format!("--mode={mode}"), format!("--driver={driver}")];
        arguments.extend(gate.map(|gate| format!("--gate={gate}")));
        // Of a standalone watcher it is all the same what is said of the gate.
        let gate = gate.unwrap_or("deny");
        let values = json!({"mode": mode, "driver": driver, "gate": gate, "monitoring": {"enabled": true}});
        Self { values, namespace: "pipelines-as-code", arguments }
    }

    /// Of which it is all the same what is said of the store and the gate.
    fn shadow() -> Self {
        let values = json!({"mode": "shadow", "driver": "etcd", "gate": "webhook", "monitoring": {"enabled": true}});
        Self { values, namespace: "pipelines-as-code", arguments: vec!["--mode=shadow".to_owned()] }
    }

    fn set(mut self, settings: &[(&str, Value)]) -> Self {
        for (key, value) in settings {
            self.values["settings"][*key] = value.clone();
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.arguments.push(format!("--set={key}={text}"));
        }
        self
    }

    fn with(mut self, value: &str, of_values: Value, argument: String) -> Self {
        self.values[value] = of_values;
        self.arguments.push(argument);
        self
    }

    /// What `deploy` makes, as Helm labels it.
    fn manifests(&self) -> BTreeMap<String, Value> {
        let mut arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let namespace = format!("--namespace={}", self.namespace);
        arguments.push(&namespace);
        let (_folder, mut files) = rendered(&arguments);
        files.remove("kustomization.yaml");
        let texts = files.values().map(|text| text.replace("managed-by: cargo-xtask-deploy", "managed-by: Helm"));
        texts.flat_map(|text| documents(&text)).map(|document| (name(&document), document)).collect()
    }
}

fn compare(choices: &[Choice]) {
    let asked: Vec<(Value, &str)> = choices.iter().map(|choice| (choice.values.clone(), choice.namespace)).collect();
    let said = render(&asked);
    assert_eq!(said.answers.len(), choices.len());
    for (answer, choice) in said.answers.iter().zip(choices) {
        let (found, wanted) = (answer.objects(), choice.manifests());
        assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{}", choice.values);
        for (name, wanted) in &wanted {
            assert_eq!(&found[name], wanted, "{name}: {}", choice.values);
        }
    }
}

#[test]
fn in_every_mode_with_every_driver_and_gate_it_is_what_deploy_makes() {
    let mut choices: Vec<Choice> = DRIVERS.map(|driver| Choice::new("standalone", driver, None)).into();
    for driver in DRIVERS {
        choices.extend(["policy", "webhook", "deny"].map(|gate| Choice::new("companion", driver, Some(gate))));
    }
    choices.push(Choice::shadow());
    assert_eq!(choices.len(), 13);
    compare(&choices);
}

#[test]
fn settings_namespace_image_and_replicas_go_where_deploy_puts_them() {
    let companion = |driver, gate| Choice::new("companion", driver, Some(gate));
    let on = ("concurrency-enabled", json!(true));
    let mut elsewhere = Choice::new("standalone", "postgresql", None)
        .with("image", json!("registry.example.com/w:1"), "--image=registry.example.com/w:1".to_owned())
        .with("replicas", json!(3), "--replicas=3".to_owned());
    elsewhere.namespace = "openshift-pipelines";
    elsewhere.values["monitoring"]["runbookUrl"] = json!("https://wiki.example.com/runbook");
    elsewhere.arguments.push("--runbook-url=https://wiki.example.com/runbook".to_owned());
    compare(&[
        elsewhere,
        companion("postgresql", "policy").set(&[on.clone(), ("postgresql-port", json!(6432))]),
        companion("postgresql", "deny").set(&[
            ("concurrency-enabled", json!("yes")),
            ("postgresql-host", json!("a,b")),
            ("postgresql-port", json!("5432,6432")),
        ]),
        companion("etcd", "webhook").set(&[on, ("etcd-endpoints", json!("https://a:2390,[::1]:2391,b,c:2390/"))]),
        companion("etcd", "policy").set(&[("etcd-username", json!("pac")), ("concurrency-enabled", json!("no"))]),
        companion("etcd", "policy")
            .set(&[("etcd-mode", json!("mock")), ("concurrency-traces-endpoint", json!("http://[::1]/otlp:1/"))]),
        companion("postgresql", "policy")
            .set(&[("concurrency-traces-endpoint", json!("https://collector.ns.svc:4000/x"))]),
    ]);
}

/// What only a chart has.
#[test]
fn values_of_its_own_reach_the_pod() {
    let more = json!({
        "driver": "postgresql",
        "gate": "policy",
        "existingSecret": {"name": "db", "key": "password"},
        "resources": {"limits": {"memory": "1Gi"}},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "ci", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "imagePullSecrets": [{"name": "registry"}],
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "extraVolumes": [{"name": "authority", "configMap": {"name": "authority"}}],
        "extraVolumeMounts": [{"name": "authority", "mountPath": "/authority"}],
        "storePorts": [5432, 2379],
        "monitoring": {"enabled": true, "labels": {"release": "prometheus"}},
    });
    let mut in_memory = more.clone();
    in_memory["driver"] = json!("memory");
    let said = render(&[(more, "ns"), (in_memory, "ns")]);
    for (answer, extra_from) in said.answers.iter().zip([1, 0]) {
        let objects = answer.objects();
        let template = &objects["Deployment pac-concurrency-watcher"]["spec"]["template"];
        assert_eq!(template["metadata"]["annotations"], json!({"a": "b"}));
        let pod = &template["spec"];
        assert_eq!(pod["nodeSelector"], json!({"disk": "ssd"}));
        assert_eq!(pod["tolerations"][0]["key"], "ci");
        assert_eq!(pod["affinity"], json!({"nodeAffinity": {}}));
        assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
        let container = &pod["containers"][0];
        assert_eq!(container["resources"]["limits"]["memory"], "1Gi");
        assert_eq!(container["env"][extra_from]["name"], "HTTPS_PROXY");
        let last = |list: &Value| list.as_array().unwrap().last().unwrap().clone();
        assert_eq!(last(&pod["volumes"])["name"], "authority");
        assert_eq!(last(&container["volumeMounts"])["mountPath"], "/authority");
        assert_eq!(last(&container["args"]), "--secret=db");
        for kind in ["ServiceMonitor", "PrometheusRule"] {
            assert_eq!(
                objects[&format!("{kind} pac-concurrency-watcher")]["metadata"]["labels"]["release"],
                "prometheus"
            );
        }
    }
    let objects = said.answers[0].objects();
    let pod = &objects["Deployment pac-concurrency-watcher"]["spec"]["template"]["spec"];
    let secret = &pod["volumes"][0]["secret"];
    assert_eq!(secret["secretName"], "db");
    assert_eq!(secret["items"], json!([{"key": "password", "path": "postgresql-password"}]));
    let role = objects["Role pac-concurrency-watcher"]["rules"].as_array().unwrap();
    assert_eq!(role[1]["resourceNames"], json!(["db"]));
    let ports = &objects["NetworkPolicy pac-concurrency-watcher"]["spec"]["egress"][2]["ports"];
    assert_eq!([&ports[0]["port"], &ports[1]["port"]], [&json!(2379), &json!(5432)]);
}

#[test]
fn values_that_make_no_sense_are_refused_and_the_chart_itself_is_sound() {
    let wrong = [
        json!({"mode": "beside"}),
        json!({"driver": "sqlite"}),
        json!({"gate": "none"}),
        json!({"placement": "pod"}),
        json!({"settings": {"postgresql-hots": "db"}}),
        json!({"settings": {"postgresql-password": "hunter2"}}),
        json!({"replicas": 0}),
    ];
    let asked: Vec<(Value, &str)> = [json!({})].into_iter().chain(wrong).map(|values| (values, "ns")).collect();
    let said = render(&asked);
    let (first, others) = said.answers.split_first().unwrap();
    // By itself it takes one gate, which the API server has.
    let gates = ["MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicyBinding"];
    let objects = first.objects();
    let there = gates.iter().filter(|kind| objects.contains_key(&format!("{kind} pac-concurrency-execution-order")));
    assert_eq!(there.count(), 1);
    for (answer, (values, _)) in others.iter().zip(&asked[1..]) {
        assert!(matches!(answer, Answer::Refused(why) if !why.contains("hunter2")), "{values}: {answer:?}");
    }
    let messages = said.lint["messages"].as_array().unwrap();
    assert!(messages.iter().all(|message| message["severity"].as_i64().unwrap() < 2), "{messages:#?}");
}

/// As an administrator does it, on each Kubernetes there is a gate for.
#[test]
fn helm_installs_it_upgrades_it_and_leaves_nothing_behind() {
    let policy = ("mutatingadmissionpolicybinding", "{.spec.matchResources.namespaceSelector}");
    let webhook = ("mutatingwebhookconfiguration", "{.webhooks[0].namespaceSelector}");
    for (version, (kind, selector)) in [
        (&["--kubernetes=1.36"][..], policy),
        (&["--kubernetes=1.34", "--beta-apis"], policy),
        (&["--kubernetes=1.35"], webhook),
        (&["--kubernetes=1.28"], webhook),
    ] {
        let cluster = Cluster::of_version(version);
        let values = |enabled: bool| json!({"driver": "postgresql", "settings": {"concurrency-enabled": enabled}});
        let selector = format!("--output=jsonpath={selector}");
        let gate = || cluster.run(&["get", kind, "pac-concurrency-execution-order", &selector]);
        assert_eq!(live(&cluster, "install", &values(false)), "deployed");
        assert!(gate().contains("DoesNotExist"), "{version:?}: open");
        assert_eq!(live(&cluster, "upgrade", &values(true)), "deployed");
        assert_eq!(gate(), "{}", "{version:?}: closed");
        assert_eq!(cluster.get("configmap", "pac-concurrency")["data"]["concurrency-enabled"], "true");
        assert_eq!(live(&cluster, "uninstall", &Value::Null), "uninstalled");
        let kinds = "deployments,services,serviceaccounts,networkpolicies,poddisruptionbudgets,roles,rolebindings,secrets,\
                     configmaps,clusterroles,clusterrolebindings,priorityclasses";
        let left = cluster.run(&["get", &format!("{kinds},{kind}"), "--output=name"]);
        assert!(!left.contains("pac"), "{version:?}: {left}");
    }
}

#[test]
fn an_upgrade_leads_from_shadow_to_companion_mode() {
    let cluster = Cluster::start();
    let there = |name: &str| cluster.kubectl(&["get", "deployment", name]).status.success();
    assert_eq!(live(&cluster, "install", &json!({"mode": "shadow"})), "deployed");
    assert!(there("pac-concurrency-shadow") && !there("pac-concurrency-watcher"));
    assert_eq!(live(&cluster, "upgrade", &json!({"mode": "companion"})), "deployed");
    assert!(!there("pac-concurrency-shadow") && there("pac-concurrency-watcher"));
    let roles = cluster.run(&["get", "clusterroles,clusterrolebindings", "--output=name"]);
    assert!(!roles.contains("shadow"), "{roles}");
}
