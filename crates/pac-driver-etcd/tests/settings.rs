//! Every etcd-* setting does what it says, and a wrong one is named.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures::StreamExt;
use pac_concurrency::{
    Delta, Driver, Entry, Holder, OrderKey, RepositoryKey, RunKey, Schema, StoreEvent, Version, Window,
};
use pac_config::{Credentials, EtcdSettings, Secret};
use pac_driver_etcd::EtcdDriver;

use crate::support::{Authority, Cluster, Options, refused, settings};

fn repository() -> RepositoryKey {
    "ns/repo".parse().unwrap()
}

fn delta(number: i64) -> Delta {
    let run = RunKey::new("ns", &format!("run-{number}"), "uid").unwrap();
    let entry = Entry::new(run, OrderKey::alone(number));
    Delta { enqueue: vec![entry.clone()], hold: vec![entry], ..Delta::default() }
}

/// Everything a driver is asked for.
async fn works(driver: &EtcdDriver) {
    let (repository, holder) = (repository(), Holder::new("watcher"));
    driver.begin(&holder).await.unwrap();
    driver.renew(&holder).await.unwrap();
    let version = driver.load(&repository, Window::Whole).await.unwrap().version;
    let version = driver.commit(&repository, version, &holder, &delta(1)).await.unwrap();
    assert!(driver.repositories().await.unwrap().keys.contains(&repository));
    driver.forget(&repository, version).await.unwrap();
    driver.end(&holder).await.unwrap();
    driver.check().await.unwrap();
    assert_eq!(driver.changes().next().await, Some(StoreEvent::Resync));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_tells_its_version_and_address() {
    let server = Cluster::start(1);
    let checked = server.connect().await.check().await.unwrap();
    assert!(checked.server.starts_with("etcd 3."), "{checked:?}");
    assert_eq!(checked.address, server.endpoint(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_a_refused_connection() {
    let (one, other) = (free_port(), free_port());
    let endpoints = format!("127.0.0.1:{one},http://localhost:{other}");
    let (kind, text) = refused(&settings(&[("etcd-endpoints", &endpoints)])).await;
    assert_eq!(kind, "unavailable");
    for words in
        [&format!("connection refused by http://127.0.0.1:{one}"), &format!("localhost:{other}"), "etcd-endpoints"]
    {
        assert!(text.contains(words), "{words:?} is not in {text:?}");
    }
    let (kind, text) = refused(&settings(&[("etcd-endpoints", "no-such-host.invalid:2379")])).await;
    assert!(
        kind == "unavailable" && text.contains("no-such-host.invalid") && text.contains("etcd-endpoints"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_given_up_on_in_time() {
    // Takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for scheme in ["http", "https"] {
        let endpoint = format!("{scheme}://127.0.0.1:{}", silent.local_addr().unwrap().port());
        let entries = [("etcd-endpoints", endpoint.as_str()), ("etcd-dial-timeout", "300ms")];
        let began = Instant::now();
        let (kind, text) = refused(&settings(&entries)).await;
        assert_eq!(kind, "unavailable", "{text}");
        assert!(text.contains("etcd-dial-timeout") && text.contains(&endpoint), "{text}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        // Nor does it cost anything beside one that answers.
        let server = Cluster::start(1);
        if scheme == "http" {
            let endpoints = format!("{endpoint},{}", server.endpoint(0));
            let entries = [("etcd-endpoints", endpoints.as_str()), ("etcd-dial-timeout", "30s")];
            let began = Instant::now();
            works(&EtcdDriver::connect(&settings(&entries)).await.unwrap()).await;
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        }
    }
}

/// A server with users: root, one for the watcher, and one who may nothing.
fn with_users(arguments: &[&str]) -> Cluster {
    let arguments = arguments.iter().map(ToString::to_string).collect();
    let server = Cluster::start_with(1, Options { arguments, ..Options::default() });
    for command in [
        "user add root:rooted",
        "user grant-role root root",
        "user add pac_user:p@ss:w/rd?%40# 你好",
        "user add nobody:nothing",
        "role add pac",
        "role grant-permission pac --prefix=true readwrite /pac/concurrency/v2/",
        "user grant-role pac_user pac",
        "auth enable",
    ] {
        // The last word is the password's, white space and all.
        let mut words: Vec<&str> = command.splitn(3, ' ').collect();
        if words[1] != "add" {
            words = command.split(' ').collect();
        }
        server.etcdctl(&words).unwrap();
    }
    server
}

const PASSWORD: &str = "p@ss:w/rd?%40# 你好";

fn log_in(server: &Cluster, username: &str, password: &str) -> EtcdSettings {
    let credentials = Credentials { username: username.to_owned(), password: Secret::new(password) };
    EtcdSettings { credentials: Some(credentials), ..server.settings() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_role_is_enough() {
    let server = with_users(&[]);
    works(&EtcdDriver::connect(&log_in(&server, "pac_user", PASSWORD)).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_login_is_named_and_the_password_is_not() {
    let server = with_users(&[]);
    for (username, password) in [("pac_user", "hunter2"), ("hunter", PASSWORD)] {
        let (kind, text) = refused(&log_in(&server, username, password)).await;
        assert_eq!(kind, "rejected", "{text}");
        for words in ["authentication failed", username, "etcd-username", "etcd-password", &server.endpoint(0)] {
            assert!(text.contains(words), "{words:?} is not in {text:?}");
        }
        assert!(!text.contains(password), "{text}");
    }
    let (kind, text) = refused(&server.settings()).await;
    assert!(kind == "rejected" && text.contains("authentication failed") && text.contains("etcd-username"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_with_the_command_that_grants_it() {
    let server = with_users(&[]);
    let settings = log_in(&server, "nobody", "nothing");
    let root = ["--user", "root:rooted"];
    let grant = "role grant-permission ROLE --prefix=true readwrite /pac/concurrency/v2/";
    let told = async |settings: &EtcdSettings| {
        let (kind, text) = refused(settings).await;
        assert_eq!(kind, "rejected", "{text}");
        for words in ["permission denied", "nobody", grant] {
            assert!(text.contains(words), "{words:?} is not in {text:?}");
        }
    };
    told(&settings).await;
    // To read is not enough.
    let run = |command: &str| {
        let words: Vec<&str> = root.iter().copied().chain(command.split(' ')).collect();
        server.etcdctl(&words).unwrap()
    };
    run("role add reader");
    run("role grant-permission reader --prefix=true read /pac/concurrency/v2/");
    run("user grant-role nobody reader");
    told(&settings).await;
    // And that shows without a write, nor any trace of the look.
    let keys = || server.etcdctl(&["get", "--prefix", "", "--write-out=fields", root[0], root[1]]).unwrap();
    let before = keys();
    let (inspection, reader) = EtcdDriver::inspect(&settings).await.unwrap();
    assert!(inspection.cannot_write.is_some_and(|why| why.contains(grant)) && inspection.schema == Schema::Unneeded);
    assert_eq!(reader.repositories().await.unwrap().keys, []);
    run(&grant.replace("ROLE", "reader"));
    assert_eq!(EtcdDriver::inspect(&settings).await.unwrap().0.cannot_write, None);
    let unstamped =
        |text: String| text.lines().filter(|line| !line.contains("RaftTerm")).map(String::from).collect::<Vec<_>>();
    assert_eq!(unstamped(keys()), unstamped(before));
    let driver = EtcdDriver::connect(&settings).await.unwrap();
    works(&driver).await;
    // And taken away again while it runs.
    run("role revoke-permission reader --prefix=true /pac/concurrency/v2/");
    let failed = driver.load(&repository(), Window::Whole).await.unwrap_err();
    assert!(failed.kind() == "rejected" && failed.to_string().contains(grant), "{failed}");
    // With the right to read alone, reading works, and every check says what is missing, not only every other one.
    run("role grant-permission reader --prefix=true read /pac/concurrency/v2/");
    assert_eq!(driver.begin(&Holder::new("watcher")).await.unwrap_err().kind(), "rejected");
    for _ in 0..2 {
        let failed = driver.check().await.unwrap_err();
        assert!(failed.kind() == "rejected" && failed.to_string().contains(grant), "{failed}");
    }
    run(&grant.replace("ROLE", "reader"));
    works(&driver).await;
}

/// `--auto-tls` makes a certificate with a key on P-521.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_checked_is_named() {
    let server = Cluster::start_with(1, Options { arguments: vec!["--auto-tls".to_owned()], tls: true });
    let endpoint = server.endpoint(0);
    let (kind, text) = refused(&settings(&[("etcd-endpoints", &endpoint)])).await;
    assert_eq!(kind, "rejected", "{text}");
    assert!(text.contains("no TLS with") && text.contains("a key on the curve P-521"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_runs_out_is_renewed_unnoticed() {
    let server = with_users(&["--auth-token", "simple", "--auth-token-ttl", "1"]);
    let driver = EtcdDriver::connect(&log_in(&server, "pac_user", PASSWORD)).await.unwrap();
    let (repository, holder) = (repository(), Holder::new("watcher"));
    driver.begin(&holder).await.unwrap();
    let mut version = Version::NONE;
    for number in 1..=3 {
        // The one thing there is to wait for is that it runs out: unused, for longer than its time to live.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        version = driver.commit(&repository, version, &holder, &delta(number)).await.unwrap();
        // Once more, before a read.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert_eq!(driver.load(&repository, Window::Whole).await.unwrap().version, version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_begins_and_goes_on_with_a_login_that_ran_out() {
    let server = with_users(&["--auth-token", "simple", "--auth-token-ttl", "1"]);
    let settings = log_in(&server, "pac_user", PASSWORD);
    let (driver, writer) =
        (EtcdDriver::connect(&settings).await.unwrap(), EtcdDriver::connect(&settings).await.unwrap());
    // As above, there is nothing to see when it does.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let mut changes = driver.changes();
    assert_eq!(changes.next().await, Some(StoreEvent::Resync));
    // Once more, with a watch that goes on.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    writer.commit(&repository(), Version::NONE, &Holder::new("watcher"), &delta(1)).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(30), changes.next()).await.unwrap();
    assert_eq!(heard, Some(StoreEvent::Repository(repository())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_login_is_renewed_when_it_runs_out_and_when_rights_change() {
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "a secret of the server's").unwrap();
    // It ends with a second: with a time to live of one, it may be over before it is first used.
    let token = format!("jwt,priv-key={},sign-method=HS256,ttl=2s", key.display());
    let server = with_users(&["--auth-token", &token]);
    let driver = EtcdDriver::connect(&log_in(&server, "pac_user", PASSWORD)).await.unwrap();
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let mut version = Version::NONE;
    let began = Instant::now();
    let (mut number, mut roles) = (0, 0);
    // However much it is used, it runs out; and, later, it is void as soon as anything changes about users and roles.
    while began.elapsed() < Duration::from_secs(4) || roles < 3 {
        number += 1;
        version = driver.commit(&repository, version, &holder, &delta(number)).await.unwrap();
        if number % 20 == 0 && began.elapsed() > Duration::from_secs(3) {
            let role = format!("role-{number}");
            server.etcdctl(&["--user", "root:rooted", "role", "add", &role]).unwrap();
            roles += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_users_needs_no_login_until_it_has_some() {
    let server = Cluster::start(1);
    let driver = EtcdDriver::connect(&log_in(&server, "pac_user", PASSWORD)).await.unwrap();
    works(&driver).await;
    server.etcdctl(&["user", "add", "root:rooted"]).unwrap();
    server.etcdctl(&["user", "grant-role", "root", "root"]).unwrap();
    server.etcdctl(&["user", "add", &format!("pac_user:{PASSWORD}")]).unwrap();
    server.etcdctl(&["user", "grant-role", "pac_user", "root"]).unwrap();
    server.etcdctl(&["auth", "enable"]).unwrap();
    // The first call finds out, and the next one is logged in.
    let found_out = driver.load(&repository(), Window::Whole).await;
    assert!(found_out.is_ok() || found_out.is_err_and(|error| error.kind() == "rejected"));
    works(&driver).await;
}

/// A server called `name`, with a certificate of `authority`, that wants one of its clients if `mutual`.
fn with_tls(authority: &Authority, name: &str, mutual: bool) -> Cluster {
    let (certificate, key) = authority.sign(name);
    let mut arguments = vec!["--cert-file".to_owned(), certificate, "--key-file".to_owned(), key];
    if mutual {
        arguments.extend(["--client-cert-auth".to_owned(), "--trusted-ca-file".to_owned(), authority.ca_file()]);
    }
    Cluster::start_with(1, Options { arguments, tls: true })
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_checks_authority_and_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = with_tls(&authority, "etcd.example.com", false);
    let (own, other, endpoint) = (authority.ca_file(), stranger.ca_file(), server.endpoint(0));
    let with = |entries: &[(&str, &str)]| settings(&[&[("etcd-endpoints", endpoint.as_str())], entries].concat());
    let name = ("etcd-server-name", "etcd.example.com");
    works(&EtcdDriver::connect(&with(&[("etcd-ca-file", &own), name])).await.unwrap()).await;
    for (refusing, words) in [
        (with(&[("etcd-ca-file", &own)]), "etcd-server-name"),
        (with(&[("etcd-ca-file", &own), ("etcd-server-name", "etcd.example.org")]), "etcd-server-name"),
        (with(&[("etcd-ca-file", &other), name]), "etcd-ca-file"),
        (with(&[name]), "etcd-ca-file"),
    ] {
        let (kind, text) = refused(&refusing).await;
        assert_eq!(kind, "rejected", "{text}");
        assert!(text.contains("no TLS with") && text.contains(words) && text.contains(&endpoint), "{text}");
    }
    // Without TLS at all, from here or from there.
    let (_, text) = refused(&settings(&[("etcd-endpoints", &endpoint.replace("https", "http"))])).await;
    assert!(text.contains("etcd-endpoints"), "{text}");
    let plain = Cluster::start(1);
    let (_, text) =
        refused(&settings(&[("etcd-endpoints", &plain.endpoint(0).replace("http", "https")), ("etcd-ca-file", &own)]))
            .await;
    // Whether its answer, which is no TLS, is read before it hangs up, is a matter of luck.
    assert!(text.contains("TLS") && text.contains("etcd-endpoints"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_tls_shows_our_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = with_tls(&authority, "localhost", true);
    let endpoint = format!("https://localhost:{}", server.port(0));
    let (own, (certificate, key)) = (authority.ca_file(), authority.sign("pac-watcher"));
    let (other_certificate, other_key) = stranger.sign("pac-watcher");
    let with = |certificate: &str, key: &str| {
        let general = [("etcd-endpoints", endpoint.as_str()), ("etcd-ca-file", own.as_str())];
        let identity = [("etcd-cert-file", certificate), ("etcd-key-file", key)];
        settings(&[&general[..], &identity[..]].concat())
    };
    works(&EtcdDriver::connect(&with(&certificate, &key)).await.unwrap()).await;
    let without = settings(&[("etcd-endpoints", &endpoint), ("etcd-ca-file", &own)]);
    for refusing in [with(&other_certificate, &other_key), with(&certificate, &other_key), without] {
        let (kind, text) = refused(&refusing).await;
        assert_eq!(kind, "rejected", "{text}");
        assert!(text.contains("etcd-cert-file") && text.contains("etcd-key-file"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_are_used_from_the_next_connection_on() {
    let authority = Authority::new();
    let mut server = with_tls(&authority, "localhost", true);
    let (certificate, key) = authority.sign("pac-watcher");
    let endpoint = format!("https://localhost:{}", server.port(0));
    let entries = [
        ("etcd-endpoints", endpoint.as_str()),
        ("etcd-ca-file", &authority.ca_file()),
        ("etcd-cert-file", &certificate),
        ("etcd-key-file", &key),
    ];
    let driver = EtcdDriver::connect(&settings(&entries)).await.unwrap();
    fs::write(&certificate, "not a certificate").unwrap();
    driver.check().await.unwrap();
    server.kill(0);
    driver.check().await.unwrap_err();
    server.restart(0);
    let failed = driver.check().await.unwrap_err();
    assert_eq!(failed.kind(), "rejected", "{failed}");
    authority.sign("pac-watcher");
    driver.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_is_said_to_be_full_until_it_is_not() {
    let arguments = vec!["--quota-backend-bytes".to_owned(), "100000".to_owned()];
    let server = Cluster::start_with(1, Options { arguments, ..Options::default() });
    let driver = server.connect().await;
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let version = driver.commit(&repository, Version::NONE, &holder, &delta(1)).await.unwrap();
    let mut kv = server.kv().await;
    while kv.put("/filler", vec![0; 20_000], None).await.is_ok() {}
    for failed in
        [driver.commit(&repository, version, &holder, &delta(2)).await.unwrap_err(), driver.check().await.unwrap_err()]
    {
        assert!(failed.kind() == "unavailable" && failed.to_string().contains("alarm disarm"), "{failed}");
    }
    kv.delete("/filler", None).await.unwrap();
    let now = kv.get("/filler", None).await.unwrap().header().unwrap().revision();
    kv.compact(now, Some(etcd_client::CompactionOptions::new().with_physical())).await.unwrap();
    server.etcdctl(&["defrag"]).unwrap();
    server.etcdctl(&["alarm", "disarm"]).unwrap();
    driver.commit(&repository, version, &holder, &delta(2)).await.unwrap();
}
