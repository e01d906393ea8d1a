//! `pac-watcher queue --server`: a tenant's own queues by the token of their kubeconfig, which goes nowhere else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use pac_devservers::free_port;
use serde_json::json;
use support::tenants::Shown;
use support::{Said, Watcher, World, eventually, queue, said};

/// The API server's own audience, which the kubeconfig's token is for.
const API: &str = "https://kubernetes.default.svc.cluster.local";

/// Two namespaces with runs, a tenant of the first, and a watcher that serves them over TLS.
struct Scene {
    world: World,
    watcher: Watcher,
    kubeconfig: PathBuf,
    authority: PathBuf,
    token: String,
    url: String,
}

// === impl Scene ===

impl Scene {
    fn set() -> Self {
        let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
        world.work(2, 4, 1);
        let token = world.tenant(None);
        let file = |name: &str| world.folder.path().join(name);
        let (authority, key, port) = (file("tls.crt"), file("tls.key"), free_port().unwrap());
        Shown::of(&["127.0.0.1"]).write(&authority, &key);
        let kubeconfig = file("tenant");
        let plugin = file("get-token");
        std::fs::write(&plugin, plugin_that_says(&token)).unwrap();
        std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
        let exec =
            json!({"apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never"});
        let users = [
            ("plugin", json!({ "exec": exec })),
            ("token", json!({ "token": token })),
            ("stranger", json!({"token": "made.up"})),
            (
                "certificate",
                json!({"client-certificate-data": "", "client-key-data": "", "username": "u", "password": "hunter2"}),
            ),
        ];
        let context =
            |name: &str| json!({"name": name, "context": {"cluster": "c", "user": name, "namespace": "team-0"}});
        let config = json!({
            "clusters": [{"name": "c", "cluster": {"server": world.cluster.url()}}],
            "contexts": users.iter().map(|(name, _)| context(name)).collect::<Vec<_>>(),
            "users": users.iter().map(|(name, user)| json!({"name": name, "user": user})).collect::<Vec<_>>(),
            "current-context": "plugin",
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let address = format!("127.0.0.1:{port}");
        let flags = [
            ["--tenants-addr", &address],
            ["--tenants-tls-cert", authority.to_str().unwrap()],
            ["--tenants-tls-key", key.to_str().unwrap()],
            ["--tenants-audience", API],
        ];
        let mut watcher = world.watcher_with("watcher", &flags.concat());
        watcher.becomes_ready(true);
        let scene = Self { world, watcher, kubeconfig, authority, token, url: format!("https://{address}") };
        eventually("somebody runs", || scene.asked("list").out.contains("team-0/repo-0"));
        scene
    }

    /// What is said by way of the port, and never the token.
    fn asked(&self, typed: &str) -> Said {
        let server = format!("--server={} --certificate-authority={}", self.url, self.authority.display());
        self.given(&format!("{typed} {server}"), &[])
    }

    fn given(&self, typed: &str, variables: &[(&str, &str)]) -> Said {
        let arguments: Vec<&str> = typed.split(' ').collect();
        let mut command = queue(&self.world, &arguments);
        let said = said(command.env("PAC_WATCHER_KUBECONFIG", &self.kubeconfig).envs(variables.iter().copied()));
        for secret in [&self.token, "hunter2"] {
            assert!(!said.out.contains(secret) && !said.err.contains(secret), "{typed}: {said:?}");
        }
        said
    }
}

/// A plugin as a cloud's, which prints a token for whoever runs it.
fn plugin_that_says(token: &str) -> String {
    let kind = r#""apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential""#;
    format!("#!/bin/sh\nprintf '%s' '{{{kind},\"status\":{{\"token\":\"{token}\"}}}}'\n")
}

#[test]
fn a_tenant_is_answered_about_their_own_and_told_what_else_takes() {
    let mut scene = Scene::set();
    for (typed, code, there, missing, errors) in [
        ("list", 0, "team-0/repo-0", "team-1", ""),
        ("list --context token", 0, "team-0/repo-0", "team-1", ""),
        ("list -n team-0 -o name", 0, "repository.pipelinesascode.tekton.dev/repo-0\n", "team-1", ""),
        ("show repo-0", 0, "team-0/repo-0: limit 1, 1 running, 3 waiting", "team-1", ""),
        ("explain run-002", 0, "run-002 of team-0/repo-0: waiting", "team-1", ""),
        ("explain run-002 -o jsonpath={.position}", 0, "2", "team-1", ""),
        ("wait run-000 --timeout 0s", 0, "team-0/run-000: started", "", ""),
        ("wait run-003 --timeout 1s", 5, "team-0/run-003: place 3", "", "is not started after 1s"),
        ("show none", 3, "", "", "there is no such Repository"),
        // Rights that are missing are named as Kubernetes calls them.
        ("list -A", 1, "", "team-", "`list pipelineruns` in all of them"),
        ("list -n team-1", 1, "", "repo-1", "`get pipelineruns` there, as ClusterRole pac-concurrency-viewer has it"),
        ("show team-1/repo-1", 1, "", "repo-1", "you may not see the queues of namespace team-1"),
        (
            "explain team-1/run-001 --watch",
            1,
            "",
            "repo-1",
            "auth can-i get pipelineruns.tekton.dev --namespace team-1",
        ),
        ("list --context stranger", 1, "", "team-0", "doesn't know who you are: this token is nobody's"),
        ("list --context certificate", 1, "", "team-0", "your kubeconfig's user has none"),
        // And what isn't possible, with what is.
        ("advise repo-0", 2, "", "", "there are list, show, explain and wait"),
        ("pause repo-0 --reason x", 2, "", "", "nothing can be changed by way of --server"),
        ("release run-000 --reason x --force", 2, "", "", "`patch pipelineruns`"),
        ("list --pod watcher", 2, "", "", "--admin-url, --pod and --admin-port are of a watcher"),
    ] {
        let said = scene.asked(typed);
        assert_eq!(said.code, code, "{typed}: {said:?}");
        assert!(said.out.contains(there), "{typed}: no {there:?} in {said:?}");
        assert!(missing.is_empty() || !said.out.contains(missing), "{typed}: {missing:?} in {said:?}");
        assert!(said.err.contains(errors), "{typed}: no {errors:?} in {said:?}");
    }

    // By the environment it is there for what has a use for it, and a watcher that is named wins.
    let authority = scene.authority.display().to_string();
    let variables = [("PAC_WATCHER_SERVER", scene.url.as_str()), ("PAC_WATCHER_CERTIFICATE_AUTHORITY", &authority)];
    let listed = scene.given("list", &variables);
    assert!(listed.code == 0 && listed.out.contains("team-0/repo-0"), "{listed:?}");
    let admin = format!("list -A --admin-url http://127.0.0.1:{}", scene.watcher.admin_port);
    assert!(scene.given(&admin, &variables).out.contains("team-1/repo-1"));
    let paused = scene.given("pause repo-0 --reason moves", &variables);
    assert_eq!(paused.code, 0, "{paused:?}");
    eventually("the reason is theirs to see", || scene.asked("explain run-002").out.contains("moves"));

    // Whose certificate nobody vouches for is shown no token.
    let unknown = scene.given(&format!("list --server={}", scene.url), &[]);
    assert!(unknown.code == 1 && unknown.err.contains("; see --certificate-authority"), "{unknown:?}");
    assert!(!scene.watcher.log().contains(&scene.token));
    scene.watcher.stop();
}

#[test]
fn a_redirect_takes_the_token_nowhere_else() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    let [here, elsewhere] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (url, location) = (address(&here), format!("{}/queue", address(&elsewhere)));
    let config = world.folder.path().join("tenant");
    let text = std::fs::read_to_string(world.kubeconfig()).unwrap();
    let mut text: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    text["users"][0]["user"] = json!({"token": "canary"});
    std::fs::write(&config, text.to_string()).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = here.accept().unwrap();
        let mut request = [0; 4096];
        let read = stream.read(&mut request).unwrap();
        let answer = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    let mut command = queue(&world, &["list", "-n", "team-0", "--server", &url]);
    let said = said(command.env("PAC_WATCHER_KUBECONFIG", &config));
    let request = answering.join().unwrap();
    assert!(request.contains("GET /queue/summary?namespace=team-0 ") && request.contains("Bearer canary"), "{request}");
    assert!(said.code == 1 && said.err.contains("sends everybody on to http://127.0.0.1:"), "{said:?}");
    elsewhere.set_nonblocking(true).unwrap();
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
