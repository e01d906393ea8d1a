//! Tenants: service accounts with rights, their tokens, and what they get at the port for them, byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use pac_watcher::AUDIENCE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::World;

const RBAC: &str = "rbac.authorization.k8s.io";

/// An answer as it came.
pub struct Answered {
    pub status: u16,
    /// Status line, headers and body.
    pub raw: String,
}

// === impl World ===

impl World {
    /// A service account of `namespace` that may do `verb` on PipelineRuns there.
    pub fn tenant(&self, namespace: &str, name: &str, verb: &str) {
        let store = self.cluster.development().store();
        let rules = json!([{"apiGroups": ["tekton.dev"], "resources": ["pipelineruns"], "verbs": [verb]}]);
        let subjects = json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
        let role = json!({"apiGroup": RBAC, "kind": "Role", "name": name});
        store.create("serviceaccounts", namespace, json!({"metadata": {"name": name}})).unwrap();
        store.create("roles", namespace, json!({"metadata": {"name": name}, "rules": rules})).unwrap();
        let binding = json!({"metadata": {"name": name}, "subjects": subjects, "roleRef": role});
        store.create("rolebindings", namespace, binding).unwrap();
    }

    /// A service account that may see PipelineRuns everywhere.
    pub fn operator(&self, namespace: &str, name: &str) {
        let store = self.cluster.development().store();
        let rules = json!([{"apiGroups": ["tekton.dev"], "resources": ["*"], "verbs": ["get", "list"]}]);
        let subjects = json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
        let role = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": name});
        store.create("serviceaccounts", namespace, json!({"metadata": {"name": name}})).unwrap();
        store.create("clusterroles", "", json!({"metadata": {"name": name}, "rules": rules})).unwrap();
        let binding = json!({"metadata": {"name": name}, "subjects": subjects, "roleRef": role});
        store.create("clusterrolebindings", "", binding).unwrap();
    }

    /// A token of theirs that is for the port.
    pub fn token(&self, namespace: &str, name: &str) -> String {
        self.token_for(namespace, name, AUDIENCE, Duration::from_secs(3600))
    }

    pub fn token_for(&self, namespace: &str, name: &str, audience: &str, lasts: Duration) -> String {
        let access = self.cluster.development().access();
        access.token_of_account(namespace, name, &[audience.to_owned()], lasts).unwrap()
    }

    /// What whoever shows `token` gets at `path`.
    pub async fn tenant_gets(&self, token: &str, path: &str) -> Answered {
        let authorization = format!("Bearer {token}");
        ask(self.watcher().tenants_addr, &format!("GET {path} HTTP/1.1"), &[("Authorization", &authorization)]).await
    }

    /// Waits until somebody gets this status.
    pub async fn tenant_gets_status(&self, token: &str, path: &str, status: u16) -> Answered {
        let began = tokio::time::Instant::now();
        loop {
            let answered = self.tenant_gets(token, path).await;
            if answered.status == status {
                return answered;
            }
            assert!(began.elapsed() < super::PATIENCE, "{path} never got {status}: {}", answered.raw);
            tokio::time::sleep(Duration::from_millis(100)).await; // a person asks again, too
        }
    }
}

// === impl Answered ===

impl Answered {
    pub fn json(&self) -> Value {
        let (_, body) = self.raw.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {}", self.raw))
    }

    /// All of it but the time, which is another each second.
    pub fn timeless(&self) -> String {
        self.raw.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:")).collect::<Vec<_>>().join("\n")
    }
}

/// Sends a request, and reads what comes until the connection ends; status 0 if nothing does.
pub async fn ask(address: SocketAddr, line: &str, headers: &[(&str, &str)]) -> Answered {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return Answered { status: 0, raw: String::new() };
    };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{line}\r\nHost: queues.example.com\r\nConnection: close\r\n{headers}\r\n");
    // It may hang up before it has read it all.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let raw = String::from_utf8_lossy(&answer).into_owned();
    Answered { status: raw.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), raw }
}
