//! Passwords, the rest of the Secret and the API server's token are in nothing that the system prints: no log at any level, no
//! page it serves, no report, no error of a connection that failed.
//!
//! That texts and Debug output of settings hide them, panics included, is shown in pac-config (`tests/secrecy.rs`); that
//! manifests never have them, by `cargo xtask deploy`'s tests, which refuse to take a password.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::{Store, Watcher, World, eventually};

/// With characters that are escaped in URLs, SQL and JSON.
const PASSWORD: &str = "canary'p@ss/word\"%41";
/// What else is in the Secret.
const BESIDE: &str = "canary-of-somebody-else";
const TOKEN: &str = "canary-token-of-the-service-account";
const RUNS: usize = 4;

/// A secret in every shape in which it might be written down.
fn shapes(secret: &str) -> Vec<String> {
    let json = json!(secret).to_string();
    let mut shapes = vec![secret.to_owned(), json[1..json.len() - 1].to_owned(), secret.replace('\'', "''")];
    // However often what follows is escaped.
    shapes.extend(secret.split('"').next().map(str::to_owned));
    shapes.extend([STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)]);
    // As bytes, of which the first few are enough.
    shapes.push(secret.bytes().take(8).map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "));
    shapes
}

fn assert_hidden(place: &str, text: &str) {
    assert!(!text.is_empty(), "{place} says nothing, which shows nothing");
    for shape in [PASSWORD, BESIDE, TOKEN].into_iter().flat_map(shapes) {
        let line = text.lines().find(|line| line.contains(&shape));
        assert!(line.is_none(), "{place} has {shape:?}: {}", line.unwrap_or_default());
    }
}

/// A cluster that wants a token, with the passwords in its Secret.
fn world(settings: &Value) -> World {
    let world = World::new(settings);
    let kubeconfig = fs::read_to_string(world.kubeconfig()).unwrap();
    let with_token = kubeconfig.replace("user: {}", &format!("user: {{token: {TOKEN}}}"));
    assert_ne!(kubeconfig, with_token);
    fs::write(world.kubeconfig(), with_token).unwrap();
    world.secret_with(&json!({"postgresql-password": PASSWORD, "etcd-password": PASSWORD, "beside": BESIDE}));
    world.work(1, RUNS, 2);
    world
}

fn report(world: &World, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pac-watcher"));
    command.args(["check-config", "--log-level", "trace", "--kubeconfig"]).arg(world.kubeconfig()).args(arguments);
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn assert_reports_hide(world: &World) {
    let shown = report(world, &[]);
    assert!(shown.contains("********"), "{shown}");
    assert_hidden("check-config", &shown);
    assert_hidden("check-config --connect", &report(world, &["--connect"]));
}

fn assert_pages_hide(watcher: &Watcher) {
    assert_hidden("/metrics", &Watcher::get(watcher.metrics_port, "/metrics"));
    assert_hidden("/debug/queue", &Watcher::get(watcher.admin_port, "/debug/queue"));
}

/// All works, and then the server takes the password no longer.
fn works_and_fails_in_secrecy(settings: &Value, change_password: impl FnOnce()) {
    let world = world(settings);
    let mut watcher = world.watcher_with("watcher", &["--log-level", "trace"]);
    world.all_is_well(RUNS, Duration::ZERO);
    assert_pages_hide(&watcher);
    assert_reports_hide(&world);
    watcher.stop();
    assert!(watcher.log().contains("\"TRACE\""), "it says all it can");
    assert_hidden("the log", &watcher.log());

    change_password();
    let mut refused = world.watcher_with("refused", &["--log-level", "trace"]);
    eventually("the log says that the password is wrong", || refused.log().contains("authentication failed"));
    assert_pages_hide(&refused);
    assert_reports_hide(&world);
    refused.stop();
    assert_hidden("the log of a refusal", &refused.log());
}

#[test]
fn postgresql_and_its_password() {
    let store = Store::postgresql();
    let Store::Postgres(server) = &store else { panic!("it is") };
    let set = |password: &str| {
        server.administer(&format!("ALTER USER pac_user PASSWORD '{}'", password.replace('\'', "''"))).unwrap();
    };
    set(PASSWORD);
    let mut settings = store.settings();
    settings["postgresql-password"] = "".into();
    works_and_fails_in_secrecy(&settings, || set("another"));
}

#[test]
fn etcd_and_its_password() {
    let store = Store::etcd();
    let Store::Etcd(server) = &store else { panic!("it is") };
    for arguments in [
        &["user", "add", &format!("root:{PASSWORD}")][..],
        &["user", "grant-role", "root", "root"],
        &["auth", "enable"],
    ] {
        server.control(arguments).unwrap();
    }
    let mut settings = store.settings();
    settings["etcd-username"] = "root".into();
    works_and_fails_in_secrecy(&settings, || {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints=127.0.0.1:{}", server.port()));
        command.arg(format!("--user=root:{PASSWORD}")).args(["user", "passwd", "root", "--interactive=false"]);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"another\n").unwrap();
        assert!(child.wait().unwrap().success());
    });
}

/// The test would notice: what goes over the wire to the API server is the Secret in base64.
#[test]
fn a_secret_is_recognized_in_each_of_its_shapes() {
    for text in [PASSWORD.to_owned(), STANDARD.encode(PASSWORD), json!({ "a": BESIDE }).to_string()] {
        let found = std::panic::catch_unwind(|| assert_hidden("here", &text));
        assert!(found.is_err(), "{text}");
    }
}
