//! The install files of a release: plain `kubectl apply -f` is enough, doing it again sets nothing back, and they say what the manifests say.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use support::cluster::Cluster;
use support::typed::documents;
use support::{VARIANTS, error_of, in_pacs_pod, rendered};

/// The file for what was chosen, in `folder`.
fn install_file(folder: &Path, chosen: &[&str]) -> PathBuf {
    let file = folder.join("install.yaml");
    let output = support::deploy(chosen).arg("--install").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", error_of(&output));
    file
}

fn of_their_own() -> impl Iterator<Item = &'static [&'static str]> {
    VARIANTS.into_iter().filter(|chosen| !in_pacs_pod(chosen))
}

#[test]
fn they_have_every_object_but_settings_secret_and_monitoring() {
    for chosen in of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(install_file(folder.path(), chosen)).unwrap();
        let (_rendered, mut files) = rendered(chosen);
        for others in ["302-pac-configmap.yaml", "monitoring.yaml", "kustomization.yaml"] {
            // Shadow mode has no settings.
            assert!(files.remove(others).is_some() || support::is_shadow(chosen));
        }
        let by_kind = |mut documents: Vec<Value>| {
            documents.sort_by_key(|document| format!("{} {}", document["kind"], document["metadata"]["name"]));
            documents
        };
        let wanted = by_kind(files.values().flat_map(|text| documents(text)).collect());
        let found = documents(&text).into_iter().filter(|document| !document.is_null()).collect();
        assert_eq!(by_kind(found), wanted, "{chosen:?}");
    }
}

#[test]
fn a_plain_apply_is_enough_and_another_one_changes_nothing_but_what_is_its_own() {
    let authority = rcgen::generate_simple_self_signed(vec!["authority".to_owned()]).unwrap();
    let bundle = STANDARD.encode(authority.cert.pem());
    for chosen in of_their_own() {
        let cluster = Cluster::start();
        let file = install_file(cluster.folder.path(), chosen);
        let apply = ["apply", "--validate=strict", "--filename", file.to_str().unwrap()];
        cluster.run(&apply);
        cluster.run(&["create", "configmap", "pac-concurrency", "--from-literal=concurrency-enabled=true"]);
        if support::gate(chosen) == Some("webhook") {
            // What the watcher puts there.
            let path =
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/pac-concurrency-execution-order";
            let path_of_bundle = "/webhooks/0/clientConfig/caBundle";
            let operations = json!([{"op": "add", "path": path_of_bundle, "value": bundle}]).to_string();
            let request = ureq::patch(format!("{}{path}", cluster.url)).content_type("application/json-patch+json");
            request.send(operations).unwrap();
            let secret = "/api/v1/namespaces/pipelines-as-code/secrets/pac-concurrency-webhook";
            cluster.api().patch(secret, &json!({"data": {"tls.crt": "Y3J0"}}));
        }
        let again = cluster.run(&apply);
        // kubectl replaces a budget's selector whole each time, and what the watcher wrote was never applied.
        let differs = |line: &&str| !line.ends_with(" unchanged") && !line.starts_with("poddisruptionbudget");
        let configured: Vec<&str> = again.lines().filter(differs).collect();
        assert!(configured.iter().all(|line| line.contains("webhook")), "{again}");
        assert_eq!(cluster.get("configmap", "pac-concurrency")["data"]["concurrency-enabled"], "true");
        if support::gate(chosen) == Some("webhook") {
            let gate = cluster.get("mutatingwebhookconfiguration", "pac-concurrency-execution-order");
            assert_eq!(gate["webhooks"][0]["clientConfig"]["caBundle"], bundle.as_str());
            assert_eq!(cluster.get("secret", "pac-concurrency-webhook")["data"]["tls.crt"], "Y3J0");
        }
    }
}

#[test]
fn a_patch_is_nothing_to_apply() {
    let output =
        support::deploy(&["--mode=companion", "--placement=pod", "--install", "install.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error_of(&output).contains("is a patch, which nobody may apply"), "{}", error_of(&output));
}
