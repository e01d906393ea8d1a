//! What a change of settings needs in a watcher that runs.

#![allow(clippy::unwrap_used, reason = "a helper fails as its test does")]

mod support;

use pac_config::{Settings, SettingsImpact, keys, resolve};
use support::{Files, config_map};

fn settings(driver: &str, data: &[(&str, &str)]) -> Settings {
    let mut all = vec![("concurrency-enabled", "true"), ("concurrency-driver", driver)];
    all.extend_from_slice(data);
    let secrets = [("postgresql-password", "one")];
    resolve(&config_map(&all).with_secret("ns/s", secrets), &Files::default()).unwrap().settings
}

#[test]
fn the_same_settings_need_nothing() {
    for driver in ["postgresql", "etcd", "memory"] {
        let (old, new) = (settings(driver, &[]), settings(driver, &[]));
        assert_eq!((old.difference(&new), old.change_to(&new)), (vec![], SettingsImpact::None));
    }
}

#[test]
fn another_way_to_write_the_same_needs_nothing() {
    let old = settings("postgresql", &[("postgresql-lease-ttl", "90"), ("postgresql-ssl-mode", "require")]);
    let new = settings("PostgreSQL", &[("postgresql-lease-ttl", "1m30s"), ("postgresql-ssl-mode", "Require")]);
    assert_eq!(old.change_to(&new), SettingsImpact::None);
}

#[test]
fn each_key_is_seen_and_needs_what_the_table_says() {
    let changes: &[(&str, &[(&str, &str)])] = &[
        ("postgresql", &[("postgresql-host", "other")]),
        ("postgresql", &[("postgresql-port", "1")]),
        ("postgresql", &[("postgresql-database", "other")]),
        ("postgresql", &[("postgresql-username", "other")]),
        ("postgresql", &[("postgresql-password", "two")]),
        ("postgresql", &[("postgresql-ssl-mode", "verify-full")]),
        ("postgresql", &[("postgresql-ssl-ca-file", "/tls/ca.pem")]),
        ("postgresql", &[("postgresql-max-connections", "11")]),
        ("postgresql", &[("postgresql-connection-timeout", "1s")]),
        ("postgresql", &[("postgresql-lease-ttl", "2h")]),
        ("etcd", &[("etcd-endpoints", "other")]),
        ("etcd", &[("etcd-dial-timeout", "1s")]),
        ("etcd", &[("etcd-mode", "mock")]),
        ("etcd", &[("etcd-lease-ttl", "2h")]),
        ("memory", &[("memory-lease-ttl", "2h")]),
    ];
    for (driver, data) in changes {
        let (old, new) = (settings(driver, &[]), settings(driver, data));
        let name = data[0].0;
        let key = keys().find(|key| key.name == name).unwrap();
        assert_eq!((old.difference(&new), old.change_to(&new)), (vec![name], key.impact), "{name}");
    }
}

#[test]
fn a_postgresql_server_more_or_less_is_the_same_store() {
    let of = |hosts| settings("postgresql", &[("postgresql-host", hosts)]);
    let change = |old, new| of(old).change_to(&of(new));
    assert_eq!(change("db1", "db1,db2"), SettingsImpact::Connection);
    assert_eq!(change("db1,db2", "db2,db1"), SettingsImpact::Connection);
    assert_eq!(change("db1,db2", "db3"), SettingsImpact::Driver);
}

#[test]
fn credentials_and_tls_of_etcd_are_seen() {
    let old = settings("etcd", &[]);
    let user = settings("etcd", &[("etcd-username", "root"), ("etcd-password", "two")]);
    assert_eq!(old.difference(&user), ["etcd-username", "etcd-password"]);
    assert_eq!(old.change_to(&user), SettingsImpact::Connection);
    let tls = settings(
        "etcd",
        &[
            ("etcd-cert-file", "/tls/cert.pem"),
            ("etcd-key-file", "/tls/key.pem"),
            ("etcd-ca-file", "/tls/ca.pem"),
            ("etcd-server-name", "etcd"),
        ],
    );
    let expected = ["etcd-endpoints", "etcd-cert-file", "etcd-key-file", "etcd-ca-file", "etcd-server-name"];
    assert_eq!(old.difference(&tls), expected);
    // The endpoints differ by their scheme alone: the same server.
    assert_eq!(old.change_to(&tls), SettingsImpact::Connection);
}

#[test]
fn a_member_more_is_the_same_cluster() {
    let old = settings("etcd", &[("etcd-endpoints", "a,b")]);
    assert_eq!(old.change_to(&settings("etcd", &[("etcd-endpoints", "b,c")])), SettingsImpact::Connection);
    assert_eq!(old.change_to(&settings("etcd", &[("etcd-endpoints", "c,d")])), SettingsImpact::Driver);
}

#[test]
fn another_driver_is_a_move() {
    let (old, new) = (settings("postgresql", &[]), settings("etcd", &[]));
    assert_eq!((old.difference(&new), old.change_to(&new)), (vec!["concurrency-driver"], SettingsImpact::Driver));
}

#[test]
fn the_greatest_change_counts() {
    let new = settings("postgresql", &[("postgresql-lease-ttl", "2h"), ("postgresql-host", "other")]);
    assert_eq!(settings("postgresql", &[]).change_to(&new), SettingsImpact::Driver);
    let off = Settings { enabled: false, ..new };
    assert_eq!(settings("postgresql", &[]).change_to(&off), SettingsImpact::Switch);
    assert_eq!(off.change_to(&settings("postgresql", &[])), SettingsImpact::Switch);
}

#[test]
fn what_is_told_changes_without_touching_the_store() {
    let old = settings("etcd", &[]);
    for key in ["concurrency-repository-labels", "concurrency-annotations"] {
        let new = settings("etcd", &[(key, "no")]);
        assert_ne!(
            (old.repository_labels, old.annotations),
            (new.repository_labels, new.annotations),
            "both are true unless it is said otherwise"
        );
        assert_eq!((old.difference(&new), old.change_to(&new)), (vec![key], SettingsImpact::Telling));
    }
}

#[test]
fn who_gets_traces_changes_without_touching_the_store() {
    let with = |endpoint| settings("etcd", &[("concurrency-traces-endpoint", endpoint)]);
    let (none, old, new) = (settings("etcd", &[]), with("http://one"), with("http://other:4318/v1/traces"));
    for (before, after) in [(&none, &old), (&old, &new), (&new, &none)] {
        assert_eq!(before.difference(after), ["concurrency-traces-endpoint"]);
        assert_eq!(before.change_to(after), SettingsImpact::Telling);
    }
    assert_eq!(old.change_to(&with("http://one:4318/v1/traces")), SettingsImpact::None, "written otherwise");
}

#[test]
fn nothing_moves_while_the_system_is_off() {
    let off = |driver| Settings { enabled: false, ..settings(driver, &[]) };
    assert_eq!(off("postgresql").change_to(&off("etcd")), SettingsImpact::Tunables);
}
