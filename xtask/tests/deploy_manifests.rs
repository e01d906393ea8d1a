//! Every variant says what docs/security.md promises. That a cluster takes them is shown in `deploy_variants`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use support::cluster::{PACS_SETTINGS, PACS_WATCHER, kubectl};
use support::pod_security::violations;
use support::typed::{documents, object};
use support::{VARIANTS, error_of, gate, in_pacs_pod, rendered, variant};

fn pod(text: &str) -> PodTemplateSpec {
    let deployment: Value = object(text, "Deployment");
    serde_json::from_value(deployment["spec"]["template"].clone()).unwrap()
}

fn pod_of(chosen: &[&str]) -> PodSpec {
    let (_folder, files) = rendered(chosen);
    pod(&files[pods_file(chosen)]).spec.unwrap()
}

/// The file that our container is in.
fn pods_file(chosen: &[&str]) -> &'static str {
    if in_pacs_pod(chosen) { "pipelines-as-code-watcher-patch.yaml" } else { "deployment.yaml" }
}

#[test]
fn pods_keep_to_the_restricted_profile_and_to_openshifts_constraints() {
    let with_csi =
        ["--driver=postgresql", "--password-file=/etc/pac-concurrency/external/p", "--secret-provider-class=pac"];
    for chosen in VARIANTS.into_iter().chain([&with_csi[..]]) {
        let pod = pod_of(chosen);
        assert_eq!(violations(&serde_json::to_value(&pod).unwrap()), Vec::<String>::new(), "{chosen:?}");
        let [container] = &pod.containers[..] else { panic!("one container of ours") };
        // Nowhere to write to, and what is mounted is there for any user.
        assert_eq!(container.security_context.clone().unwrap().read_only_root_filesystem, Some(true));
        for volume in pod.volumes.unwrap_or_default() {
            let mode = volume.secret.as_ref().map(|secret| secret.default_mode);
            assert!(mode == Some(Some(0o444)) || volume.csi.is_some(), "{chosen:?}: {volume:?}");
        }
        // No password in a variable.
        let variables = container.env.clone().unwrap_or_default();
        let is_harmless = |name: &str| name.ends_with("_PASSWORD_FILE") || name.starts_with("PAC_WATCHER_TENANTS_");
        assert!(variables.iter().all(|variable| is_harmless(&variable.name)), "{variables:?}");
        // An address of IPv4 would be none of a pod that has IPv6 alone.
        let arguments = container.args.clone().unwrap();
        let addresses = arguments.iter().filter_map(|argument| argument.split_once("-addr="));
        let not_everywhere: Vec<_> = addresses.filter(|(_, address)| !address.starts_with("[::]:")).collect();
        assert!(matches!(not_everywhere[..], [("--admin", _)]), "{not_everywhere:?}");
    }
}

#[test]
fn what_a_cluster_would_refuse_is_found() {
    let pod = serde_json::to_value(pod_of(&["--driver=memory"])).unwrap();
    let with = |path: &str, value: Value| {
        let mut pod = pod.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[field] = value;
        violations(&pod)
    };
    for (path, value, violation) in [
        ("/hostNetwork", Value::from(true), "hostNetwork"),
        ("/securityContext", serde_json::json!({"fsGroup": 65532}), "fsGroup"),
        ("/volumes", serde_json::json!([{"name": "a", "hostPath": {"path": "/"}}]), "volume hostPath"),
        ("/containers/0/securityContext/runAsNonRoot", Value::Null, "runAsNonRoot"),
        ("/containers/0/securityContext/runAsUser", Value::from(65532), "runAsUser"),
        ("/containers/0/securityContext/capabilities/drop", Value::Null, "capabilities"),
        ("/containers/0/securityContext/seccompProfile", Value::Null, "seccompProfile"),
        ("/containers/0/livenessProbe/httpGet/host", Value::from("a"), "host"),
        ("/containers/0/ports/0/hostPort", Value::from(9090), "hostPort"),
    ] {
        assert_eq!(with(path, value), [violation], "{path}");
    }
}

#[test]
fn every_object_of_ours_has_the_recommended_labels_and_nothing_selects_by_what_changes() {
    const LABELS: [&str; 6] = ["component", "instance", "managed-by", "name", "part-of", "version"];
    for chosen in VARIANTS {
        let (_folder, files) = rendered(chosen);
        for document in files.values().flat_map(|text| documents(text)) {
            let labels = &document["metadata"]["labels"];
            if labels.is_null() {
                // What others own as well is theirs to label.
                let shared =
                    ["ConfigMap", "Secret", "Component", "Kustomization"].contains(&document["kind"].as_str().unwrap());
                assert!(shared || in_pacs_pod(chosen) && document["kind"] == "Deployment", "{document}");
                continue;
            }
            for name in LABELS {
                assert!(labels[format!("app.kubernetes.io/{name}")].is_string(), "no {name}: {document}");
            }
            assert_eq!(labels["app.kubernetes.io/version"], env!("CARGO_PKG_VERSION"));
        }
        // A Deployment's selector may not change, and the old pods of a rollout are to be found like the new ones.
        let selected: BTreeSet<String> =
            files.values().flat_map(|text| documents(text)).flat_map(|document| selected_labels(&document)).collect();
        let stable = ["app.kubernetes.io/name", "concurrency.pipelinesascode.tekton.dev/companion"].map(str::to_owned);
        assert!(!selected.is_empty() && selected.iter().all(|label| stable.contains(label)), "{selected:?}");
    }
}

/// The labels that anything in `value` selects by.
fn selected_labels(value: &Value) -> Vec<String> {
    let Value::Object(fields) = value else {
        return value.as_array().into_iter().flatten().flat_map(selected_labels).collect();
    };
    let found = fields.iter().flat_map(|(name, value)| match name.as_str() {
        "matchLabels" => value.as_object().unwrap().keys().cloned().collect(),
        // A Service's has no matchLabels between.
        "selector" if value.get("matchLabels").is_none() => value.as_object().unwrap().keys().cloned().collect(),
        _ => selected_labels(value),
    });
    found.collect()
}

#[test]
fn what_is_mounted_is_what_settings_name() {
    let folders = |container: &Container| {
        let mounts = container.volume_mounts.clone().unwrap_or_default();
        mounts.into_iter().map(|mount| mount.mount_path).collect::<Vec<_>>()
    };
    let with_user = ["--driver", "etcd", "--set", "etcd-username=pac", "--set"];
    let with_user = [&with_user[..], &["etcd-ca-file=/etc/pac-concurrency/tls/ca.crt"]].concat();
    let (_folder, files) = rendered(&with_user);
    let container = &pod(&files["deployment.yaml"]).spec.unwrap().containers[0];
    let variable = &container.env.as_ref().unwrap()[0];
    assert_eq!(variable.name, "PAC_ETCD_PASSWORD_FILE");
    assert_eq!(variable.value.as_deref(), Some("/etc/pac-concurrency/secret/etcd-password"));
    assert_eq!(folders(container), ["/etc/pac-concurrency/secret", "/etc/pac-concurrency/tls"]);
    let from_tool = ["--driver=postgresql", "--password-file=/etc/pac-concurrency/external/password"];
    let from_tool =
        [&from_tool[..], &["--secret-provider-class=pac", "--pod-annotation=vault.example.com/inject=true"]];
    for chosen in [&["--mode=standalone"][..], &["--mode=companion", "--placement=pod"]] {
        let (_folder, files) = rendered(&[&from_tool.concat()[..], chosen].concat());
        let template = pod(&files[pods_file(chosen)]);
        assert_eq!(template.metadata.unwrap().annotations.unwrap()["vault.example.com/inject"], "true");
        let spec = template.spec.unwrap();
        let variable = &spec.containers[0].env.as_ref().unwrap()[0];
        assert_eq!(variable.name, "PAC_POSTGRESQL_PASSWORD_FILE");
        assert_eq!(variable.value.as_deref(), Some("/etc/pac-concurrency/external/password"));
        assert_eq!(folders(&spec.containers[0]), ["/etc/pac-concurrency/tls", "/etc/pac-concurrency/external"]);
        let volume = spec.volumes.unwrap().into_iter().find_map(|volume| volume.csi).unwrap();
        assert_eq!(volume.driver, "secrets-store.csi.k8s.io");
        assert_eq!(volume.volume_attributes.unwrap()["secretProviderClass"], "pac");
    }
    // An etcd where nobody logs in has no password to miss.
    assert_eq!(folders(&pod_of(&["--driver=etcd"]).containers[0]), ["/etc/pac-concurrency/tls"]);
    assert_eq!(folders(&pod_of(&["--driver=memory"]).containers[0]), [""; 0]);
}

#[test]
fn one_watcher_at_a_time_has_its_memory_and_others_take_turns() {
    let strategy = |driver| {
        let (_folder, files) = variant(["standalone", driver]);
        let deployment: Deployment = object(&files["deployment.yaml"], "Deployment");
        let spec = deployment.spec.unwrap();
        let kind = spec.strategy.unwrap().type_.unwrap();
        (kind, spec.replicas.unwrap(), files.contains_key("disruption-budget.yaml"))
    };
    assert_eq!(strategy("memory"), ("Recreate".to_owned(), 1, false));
    assert_eq!(strategy("etcd"), ("RollingUpdate".to_owned(), 2, true));
    assert_eq!(strategy("postgresql"), ("RollingUpdate".to_owned(), 2, true));
}

#[test]
fn the_watcher_goes_before_the_runs_it_starts() {
    let (_folder, files) = variant(["standalone", "postgresql"]);
    let class: Value = object(&files["priority-class.yaml"], "PriorityClass");
    let pod = pod_of(&["--driver=postgresql"]);
    assert_eq!(pod.priority_class_name.as_deref(), class["metadata"]["name"].as_str());
    assert!(class["value"].as_i64().unwrap() > 0 && class.get("globalDefault").is_none());
    // PAC's pod is PAC's.
    assert_eq!(pod_of(&["--mode=companion", "--placement=pod"]).priority_class_name, None);
}

#[test]
fn services_and_policies_find_the_pods_and_their_ports() {
    for chosen in VARIANTS {
        let (_folder, files) = rendered(chosen);
        let pod = pod(&files[pods_file(chosen)]);
        let labels = pod.metadata.unwrap().labels.unwrap();
        let found = |selector: &std::collections::BTreeMap<String, String>| {
            selector.iter().all(|(label, value)| labels.get(label) == Some(value))
        };
        let service: Service = object(&files["service.yaml"], "Service");
        let service = service.spec.unwrap();
        assert!(found(&service.selector.unwrap()), "{chosen:?}");
        let metrics = service.ports.unwrap()[0].clone();
        let ports = pod.spec.unwrap().containers[0].ports.clone().unwrap();
        let named =
            ports.iter().find(|port| Some(IntOrString::String(port.name.clone().unwrap())) == metrics.target_port);
        assert_eq!(named.unwrap().container_port, metrics.port);
        let mut served = vec![metrics.port];
        if gate(chosen) == Some("webhook") {
            let webhook: Service = object(&files["execution-order-webhook.yaml"], "Service");
            let webhook = webhook.spec.unwrap();
            assert!(found(&webhook.selector.unwrap()), "{chosen:?}");
            let target = webhook.ports.unwrap()[0].target_port.clone();
            let named = ports.iter().find(|port| Some(IntOrString::String(port.name.clone().unwrap())) == target);
            served.push(named.unwrap().container_port);
        }
        if !in_pacs_pod(chosen) {
            let policy: NetworkPolicy = object(&files["network-policy.yaml"], "NetworkPolicy");
            let spec = policy.spec.unwrap();
            assert!(found(&spec.pod_selector.unwrap().match_labels.unwrap()));
            let allowed = spec.ingress.unwrap()[0].ports.clone().unwrap().into_iter().map(|port| port.port);
            assert_eq!(
                allowed.collect::<Vec<_>>(),
                served.into_iter().map(|port| Some(IntOrString::Int(port))).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn only_dns_the_api_server_and_the_store_are_reached() {
    let egress = |arguments: &[&str]| {
        let (_folder, files) = rendered(arguments);
        let policy: NetworkPolicy = object(&files["network-policy.yaml"], "NetworkPolicy");
        let rules = policy.spec.unwrap().egress.unwrap().into_iter();
        let ports = rules.flat_map(|rule| rule.ports.unwrap()).map(|port| match port.port {
            Some(IntOrString::Int(number)) => number,
            other => panic!("{other:?}"),
        });
        ports.collect::<BTreeSet<_>>()
    };
    let always = [53, 443, 5353, 6443];
    let and = |more: &[i32]| always.iter().chain(more).copied().collect::<BTreeSet<_>>();
    assert_eq!(egress(&["--driver", "memory"]), and(&[]));
    assert_eq!(egress(&["--driver", "postgresql"]), and(&[5432]));
    assert_eq!(egress(&["--driver", "postgresql", "--set", "postgresql-port=6432"]), and(&[6432]));
    assert_eq!(egress(&["--driver", "etcd", "--set", "etcd-endpoints=a:1,b:2,c:2"]), and(&[1, 2]));
    let traces = "concurrency-traces-endpoint=http://collector";
    assert_eq!(egress(&["--driver", "memory", "--set", traces]), and(&[4318]));
    assert_eq!(egress(&["--driver", "postgresql", "--set", &format!("{traces}:4000/x")]), and(&[4000, 5432]));
}

#[test]
fn kustomize_builds_every_variant_and_puts_our_container_beside_pacs() {
    for chosen in VARIANTS {
        let (folder, files) = rendered(chosen);
        let home = tempfile::tempdir().unwrap();
        let build = |path: &std::path::Path| {
            let output = kubectl(home.path()).arg("kustomize").arg(path).output().unwrap();
            assert!(output.status.success(), "{chosen:?}: {}", error_of(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        if !in_pacs_pod(chosen) {
            let built = documents(&build(folder.path()));
            let mut kinds: Vec<&str> = built.iter().map(|document| document["kind"].as_str().unwrap()).collect();
            kinds.sort_unstable();
            assert!(kinds.contains(&"Deployment") && !kinds.contains(&"ConfigMap"));
            continue;
        }
        // Beside PAC's own manifests, as a component of somebody's kustomization.
        let own = home.path().join("own");
        fs::create_dir_all(own.join("ours")).unwrap();
        for (name, text) in &files {
            fs::write(own.join("ours").join(name), text).unwrap();
        }
        fs::write(own.join("pac.yaml"), format!("{PACS_WATCHER}---\n{PACS_SETTINGS}")).unwrap();
        let kustomization = "resources: [pac.yaml]\ncomponents: [ours]\n";
        fs::write(own.join("kustomization.yaml"), kustomization).unwrap();
        let built = build(&own);
        let deployment: Deployment = object(&built, "Deployment");
        let pod = deployment.spec.unwrap().template;
        let annotations = pod.metadata.clone().unwrap().annotations.unwrap();
        assert_eq!(annotations["kubectl.kubernetes.io/default-container"], "pac-concurrency-watcher");
        assert_eq!(pod.metadata.unwrap().labels.unwrap()["app.kubernetes.io/version"], "v1");
        let spec = pod.spec.unwrap();
        assert_eq!(spec.service_account_name.as_deref(), Some("pipelines-as-code-watcher"));
        let mut names: Vec<&str> = spec.containers.iter().map(|container| container.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["pac-concurrency-watcher", "pac-watcher"]);
        let ports: Vec<_> = spec.containers.iter().flat_map(|container| container.ports.clone().unwrap()).collect();
        let numbers: BTreeSet<i32> = ports.iter().map(|port| port.container_port).collect();
        let port_names: BTreeSet<_> = ports.iter().map(|port| port.name.clone()).collect();
        let ours = if gate(chosen) == Some("webhook") { 3 } else { 2 };
        assert_eq!((numbers.len(), port_names.len()), (ours + 2, ours + 2), "one network, and PAC's two ports");
        // PAC's alone, as it was: ours is the administrator's to add.
        let settings: Value = object(&built, "ConfigMap");
        assert_eq!(settings["data"].as_object().unwrap().len(), 9);
    }
}
