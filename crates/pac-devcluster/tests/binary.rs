//! The program as the demo runs it.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use kube::{Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;

async fn dev(client: &Client, path: &str) -> Value {
    client.request(http::Request::get(path).body(Vec::new()).unwrap_or_default()).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_until_it_is_told_to_stop() {
    let folder = TempDir::new().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let mut program = Command::new(env!("CARGO_BIN_EXE_pac-devcluster"))
        .args(["serve", "--run-duration", "10ms", "--kubeconfig"])
        .arg(&kubeconfig)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let url = BufReader::new(program.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(std::fs::read_to_string(&kubeconfig).unwrap().contains(&url));
    let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
    assert_eq!(dev(&client, "/_dev/summary").await, json!([]));
    let repository = json!({
        "apiVersion": "pipelinesascode.tekton.dev/v1alpha1",
        "kind": "Repository",
        "metadata": { "name": "repo" },
        "spec": { "url": "https://example.dev/o/r" },
    });
    let create = http::Request::post("/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/default/repositories")
        .header("content-type", "application/json")
        .body(repository.to_string().into_bytes())
        .unwrap();
    client.request::<Value>(create).await.unwrap();
    let row = json!({ "namespace": "default", "name": "repo", "limit": null, "running": 0, "waiting": 0, "done": 0, "next": [] });
    assert_eq!(dev(&client, "/_dev/summary").await, json!([row]));
    assert_eq!(dev(&client, "/_dev/verdict").await["promises"].as_array().map(Vec::len), Some(4));
    let fault = http::Request::post("/_dev/faults").body(br#""expire_versions""#.to_vec()).unwrap();
    assert_eq!(client.request::<Value>(fault).await.unwrap(), json!({ "ok": true }));
    let killed = Command::new("kill").arg(program.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert!(program.wait().unwrap().success());
}

#[test]
fn refuses_to_listen_beyond_this_machine() {
    let output = Command::new(env!("CARGO_BIN_EXE_pac-devcluster")).args(["serve", "--address", "0.0.0.0:0"]).output();
    let output = output.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("isn't on loopback"));
}
