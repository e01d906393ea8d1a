//! What Helm's next upgrade makes of what others changed meanwhile, as docs/installation.md says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use support::cluster::Cluster;
use support::helm::live;

const OURS: &str = "pac-concurrency-watcher";
const GATE: &str = "pac-concurrency-execution-order";

/// Every object of ours, as it is now, but for what Helm keeps for itself.
fn objects(cluster: &Cluster) -> Vec<Value> {
    let list = cluster.run(&["get", support::EVERY_KIND, "--output=json"]);
    let mut list: Value = serde_json::from_str(&list).unwrap();
    let list: Vec<Value> = serde_json::from_value(list["items"].take()).unwrap();
    let is_ours = |object: &Value| object["metadata"]["name"].as_str().unwrap().starts_with("pac-concurrency");
    list.into_iter().filter(is_ours).collect()
}

fn versions(cluster: &Cluster) -> Vec<String> {
    let version = |object: &Value| {
        let metadata = &object["metadata"];
        format!("{} {} {}", object["kind"], metadata["name"], metadata["resourceVersion"])
    };
    objects(cluster).iter().map(version).collect()
}

#[test]
fn an_upgrade_again_changes_nothing_and_puts_back_what_is_the_charts() {
    let cluster = Cluster::start();
    let values = json!({"driver": "postgresql", "gate": "webhook", "settings": {"concurrency-enabled": true, "postgresql-host": "db"}});
    live(&cluster, "install", &values);
    let installed = versions(&cluster);
    for _ in 0..2 {
        live(&cluster, "upgrade", &values);
        assert_eq!(versions(&cluster), installed, "nothing was written");
    }

    // What our watcher writes there.
    let authority = rcgen::generate_simple_self_signed(vec!["authority".to_owned()]).unwrap();
    let authority = STANDARD.encode(authority.cert.pem());
    let bundle = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": authority}]).to_string();
    cluster.run(&["patch", "mutatingwebhookconfiguration", GATE, "--type=json", "--patch", &bundle]);
    cluster.run(&["patch", "secret", "pac-concurrency-webhook", "--patch", r#"{"data": {"tls.crt": "Y3J0"}}"#]);
    // What people do.
    cluster.run(&["scale", "deployment", OURS, "--replicas=5"]);
    cluster.run(&["set", "image", &format!("deployment/{OURS}"), "pac-concurrency-watcher=other:1"]);
    cluster.run(&["rollout", "restart", &format!("deployment/{OURS}")]);
    let settings = r#"{"data": {"concurrency-enabled": "false", "concurrency-paused": "true"}}"#;
    cluster.run(&["patch", "configmap", "pac-concurrency", "--patch", settings]);
    cluster.run(&["delete", "networkpolicy", OURS]);
    for _ in 0..2 {
        live(&cluster, "upgrade", &values);
        let spec = cluster.get("deployment", OURS)["spec"].clone();
        assert_eq!(spec["replicas"], 2);
        assert_eq!(spec["template"]["spec"]["containers"][0]["image"], "pac-watcher:0.1.0");
        let restarted = &spec["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
        assert!(restarted.is_string(), "a restart is nobody's to undo");
        let data = cluster.get("configmap", "pac-concurrency")["data"].clone();
        assert_eq!([&data["concurrency-enabled"], &data["concurrency-paused"]], ["true", "true"]);
        cluster.get("networkpolicy", OURS);
        let gate = cluster.get("mutatingwebhookconfiguration", GATE);
        assert_eq!(gate["webhooks"][0]["clientConfig"]["caBundle"], authority.as_str());
        assert_eq!(cluster.get("secret", "pac-concurrency-webhook")["data"]["tls.crt"], "Y3J0");
    }
}
