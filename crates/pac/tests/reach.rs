//! What a real cluster may have between the watcher and its API server and store: an authority of its own, IPv6 and nothing else, a proxy,
//! and tokens that are replaced.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use pac_devcluster::{FaultAction, FaultRule};
use pac_devservers::process::Child;
use serde_json::{Value, json};

use support::way::{ConnectProxy, TlsFront};
use support::{Store, Watcher, World, command, eventually, said};

/// `user:secret` in base64.
const CREDENTIALS: &str = "dXNlcjpzZWNyZXQ=";
const RUNS: usize = 6;

fn world(settings: &Value) -> World {
    let world = World::played_by(support::short_runs(), settings);
    world.work(1, RUNS, 2);
    world
}

fn port(world: &World) -> u16 {
    world.cluster.url().rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap()
}

/// A kubeconfig for this server, whose certificate that authority vouches for; `more` is said of the cluster, too.
fn kubeconfig(world: &World, file: &str, server: &str, authority: &str, more: &str) -> PathBuf {
    let tls = format!("server: {server}\n    certificate-authority-data: {authority}\n{more}");
    let text = world.cluster.kubeconfig().replace(&format!("server: {}\n", world.cluster.url()), &tls);
    let path = world.folder.path().join(file);
    fs::write(&path, text).unwrap();
    path
}

fn until_all_ran(world: &World, kubeconfig: &Path) -> Watcher {
    let mut watcher = Watcher::start("one", kubeconfig, world.folder.path(), &[]);
    watcher.becomes_ready(true);
    world.all_is_well(RUNS, Duration::ZERO);
    watcher
}

/// `pac-watcher check-config` by this kubeconfig, with nothing of a proxy in the environment but `variables`.
fn check(world: &World, kubeconfig: &Path, variables: &[(&str, &str)]) -> support::Said {
    let mut command = command(world, &["check-config", "--request-timeout", "3s"]);
    said(with(&mut command, variables).env("PAC_WATCHER_KUBECONFIG", kubeconfig))
}

fn with<'a>(command: &'a mut Command, variables: &[(&str, &str)]) -> &'a mut Command {
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.envs(variables.iter().copied())
}

/// From [::1] to 127.0.0.1, where servers of tests listen.
fn ipv6_only(server: u16) -> u16 {
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)) else { continue };
            for (mut from, mut to) in [(client.try_clone().unwrap(), upstream.try_clone().unwrap()), (upstream, client)]
            {
                // Whichever side ends, the other does.
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    port
}

/// Status of a GET of `path`.
fn get(address: SocketAddr, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: pod\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn over_ipv6_alone_with_tls_by_a_private_authority() {
    for store in [Store::postgresql(), Store::etcd()] {
        let mut chosen = store.settings();
        let port_of_store = ipv6_only(store.port());
        chosen["postgresql-host"] = "::1".into();
        chosen["postgresql-port"] = port_of_store.to_string().into();
        chosen["etcd-endpoints"] = format!("[::1]:{port_of_store}").into();
        let world = world(&chosen);
        let front = TlsFront::start("[::1]:0", "::1", port(&world));
        let by = kubeconfig(&world, "ipv6", &format!("https://{}", front.address), &front.authority, "");
        until_all_ran(&world, &by).stop();

        let stranger = TlsFront::start("[::1]:0", "::1", port(&world));
        let by = kubeconfig(&world, "stranger", &format!("https://{}", front.address), &stranger.authority, "");
        let said = check(&world, &by, &[]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("no connection to the API server: invalid peer certificate"), "{said:?}");
    }
}

/// As the manifests have it: a pod may have addresses of IPv6 alone, of IPv4 alone, or of both.
#[test]
fn it_serves_at_every_address_of_its_pod() {
    let world = world(&json!({"concurrency-driver": "memory"}));
    let ports = [(); 3].map(|()| pac_devservers::free_port().unwrap());
    let [metrics, probes, admin] = ports;
    let mut command = command(&world, &["run", "--mode", "shadow", "--admin-addr", &format!("[::1]:{admin}")]);
    for (flag, port) in [("--metrics-addr", metrics), ("--probe-addr", probes)] {
        command.arg(flag).arg(format!("[::]:{port}"));
    }
    let mut watcher = Child::spawn("the watcher", command).unwrap();
    for host in ["[::1]", "127.0.0.1"] {
        let at = |port: u16| -> SocketAddr { format!("{host}:{port}").parse().unwrap() };
        eventually("it serves", || TcpStream::connect(at(probes)).is_ok());
        assert_eq!([get(at(metrics), "/metrics"), get(at(probes), "/live")], [200, 200], "{host}");
    }
    let url = format!("http://[::1]:{admin}");
    eventually("the report is there", || {
        said(&mut support::command(&world, &["shadow", "report", "--admin-url", &url])).code == 0
    });
    assert!(watcher.stop().unwrap().success());
}

#[test]
fn by_way_of_a_proxy_that_the_environment_names() {
    const SERVER: &str = "https://api.cluster.example:6443";
    let world = world(&json!({"concurrency-driver": "memory"}));
    let front = TlsFront::start("127.0.0.1:0", "api.cluster.example", port(&world));
    let by = kubeconfig(&world, "proxied", SERVER, &front.authority, "");
    let proxy = ConnectProxy::start(front.address, CREDENTIALS);
    let url = |who: &str| format!("http://{who}127.0.0.1:{}", proxy.port);

    let through = url("user:secret@");
    let reached = check(&world, &by, &[("HTTPS_PROXY", &through), ("NO_PROXY", "127.0.0.1,localhost,.other.example")]);
    assert_eq!(reached.code, 0, "{reached:?}");
    assert!(
        proxy.asked().iter().all(|line| line == "CONNECT api.cluster.example:6443 HTTP/1.1"),
        "{:?}",
        proxy.asked()
    );
    assert!(!proxy.asked().is_empty());
    // What NO_PROXY names is looked for without it, and so not found.
    let before = proxy.asked().len();
    let missed = check(&world, &by, &[("https_proxy", &through), ("no_proxy", "other.example,.cluster.example")]);
    assert_eq!((missed.code, proxy.asked().len()), (1, before), "{missed:?}");
    assert!(!missed.err.contains("proxy"), "{missed:?}");
    // A proxy that wants to know who asks, and one that isn't there, are named.
    let stranger = check(&world, &by, &[("HTTPS_PROXY", &url(""))]);
    assert_eq!(stranger.code, 1, "{stranger:?}");
    assert!(
        stranger.err.contains(&format!("by way of the proxy {}/: tunnel error: proxy authorization", url(""))),
        "{stranger:?}"
    );
    let away = check(&world, &by, &[("HTTPS_PROXY", "http://user:secret@127.0.0.1:1")]);
    assert!(away.err.contains("by way of the proxy http://127.0.0.1:1/"), "{away:?}");
    assert!(!away.err.contains("secret@") && !stranger.err.contains("secret@"));
    let socks = check(&world, &by, &[("HTTPS_PROXY", "socks5://127.0.0.1:1")]);
    assert!(socks.err.contains("only http:// proxies can"), "{socks:?}");

    // The same in the kubeconfig, for a watcher at work; and `queue` over port-forward.
    let by = kubeconfig(&world, "proxy-url", SERVER, &front.authority, &format!("    proxy-url: {through}\n"));
    let mut watcher = until_all_ran(&world, &by);
    let pod = json!({"metadata": {"name": "one"}, "spec": {"containers": [
        {"name": "watcher", "args": [format!("--admin-addr=127.0.0.1:{}", watcher.admin_port)]},
    ]}});
    world.cluster.store().create("pods", "pipelines-as-code", pod).unwrap();
    let mut list = command(&world, &["queue", "list", "--all-namespaces", "--all"]);
    let listed = said(list.env("PAC_WATCHER_KUBECONFIG", &by));
    assert!(listed.code == 0 && listed.out.contains("team-0/repo-0"), "{listed:?}");
    watcher.stop();
}

/// As the kubelet does with a service account's, an hour before it ends.
#[test]
#[ignore = "takes the minute in which a token is read again"]
fn a_token_that_is_replaced_is_taken_up_within_a_minute() {
    let world = world(&json!({"concurrency-driver": "memory"}));
    let token = world.folder.path().join("token");
    fs::write(&token, "before").unwrap();
    let harmless = |token: &str| {
        let rule = FaultRule::new(FaultAction::Latency(Duration::ZERO)).caller(token);
        world.cluster.faults().add(rule)
    };
    let [before, after] = ["before", "after"].map(harmless);
    let strikes = |id| world.cluster.faults().strikes(id);
    let user = format!("user: {{tokenFile: {}}}", token.display());
    let by = world.folder.path().join("with-token");
    fs::write(&by, world.cluster.kubeconfig().replace("user: {}", &user)).unwrap();
    let mut watcher = until_all_ran(&world, &by);
    assert!(strikes(before) > 0 && strikes(after) == 0);
    fs::write(world.folder.path().join("new"), "after").unwrap();
    fs::rename(world.folder.path().join("new"), &token).unwrap();
    eventually("it comes with the new one", || strikes(after) > 0);
    // And with no other from then on.
    let old = strikes(before);
    thread::sleep(Duration::from_secs(12)); // the Lease is renewed in that time, and the gate tried
    assert_eq!(strikes(before), old);
    watcher.stop();
}
