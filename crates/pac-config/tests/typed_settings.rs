//! Good settings: what each driver gets, the defaults, and the configuration that the deployment guide shows.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a helper fails as its test does")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use pac_config::{
    ClientIdentity, Credentials, DriverSettings, EtcdMode, EtcdSettings, MemorySettings, PostgreSqlServer,
    PostgreSqlSettings, Secret, Settings, SslMode, keys,
};
use support::{config_map, effective, from_config_map, warnings};

const HOUR: Duration = Duration::from_hours(1);

fn etcd(data: &[(&str, &str)]) -> EtcdSettings {
    let mut data = data.to_vec();
    data.push(("concurrency-driver", "etcd"));
    match from_config_map(&data).unwrap().settings.driver {
        DriverSettings::Etcd(settings) => settings,
        other => panic!("not etcd: {other:?}"),
    }
}

fn urls(settings: &EtcdSettings) -> Vec<String> {
    settings.endpoints.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_set_is_off_and_memory() {
    let resolved = from_config_map(&[]).unwrap();
    let memory = MemorySettings { lease_ttl: Duration::from_mins(30) };
    assert_eq!(
        resolved.settings,
        Settings {
            enabled: false,
            paused: false,
            draining: false,
            repository_labels: true,
            traces: None,
            annotations: true,
            pac_makes_secrets: true,
            driver: DriverSettings::Memory(memory)
        }
    );
    assert!(resolved.warnings.is_empty());
    assert!(resolved.effective.iter().all(|row| row.origin.to_string() == "default"));
}

#[test]
fn every_default_is_what_its_key_allows() {
    for driver in ["postgresql", "etcd", "memory"] {
        let mut data: Vec<_> = keys().map(|key| (key.name, key.default)).collect();
        data.push(("concurrency-driver", driver));
        assert!(from_config_map(&data).is_ok(), "{driver}");
    }
}

#[test]
fn the_guides_postgresql_settings() {
    let resolved = from_config_map(&[
        ("concurrency-enabled", "true"),
        ("concurrency-driver", "postgresql"),
        ("postgresql-host", "your-postgresql-host"),
        ("postgresql-port", "5432"),
        ("postgresql-database", "pac_concurrency"),
        ("postgresql-username", "pac_user"),
        ("postgresql-ssl-mode", "require"),
        ("postgresql-max-connections", "10"),
        ("postgresql-connection-timeout", "30s"),
        ("postgresql-lease-ttl", "1h"),
        ("postgresql-password", ""),
    ])
    .unwrap();
    let expected = PostgreSqlSettings {
        servers: vec![PostgreSqlServer { host: "your-postgresql-host".to_owned(), port: 5432 }],
        database: "pac_concurrency".to_owned(),
        username: "pac_user".to_owned(),
        password: None,
        ssl_mode: SslMode::Require,
        ssl_ca_file: None,
        client_identity: None,
        max_connections: 10,
        connection_timeout: Duration::from_secs(30),
        lease_ttl: HOUR,
    };
    assert_eq!(
        resolved.settings,
        Settings {
            enabled: true,
            paused: false,
            draining: false,
            repository_labels: true,
            traces: None,
            annotations: true,
            pac_makes_secrets: true,
            driver: DriverSettings::PostgreSql(expected)
        }
    );
    assert_eq!(resolved.settings.driver.name(), "postgresql");
}

#[test]
fn the_guides_etcd_settings() {
    let settings = etcd(&[
        ("etcd-endpoints", "etcd.example.com:2379"),
        ("etcd-dial-timeout", "5s"),
        ("etcd-mode", "etcd"),
        ("etcd-username", "etcd_user"),
        ("etcd-password", "etcd_password"),
        ("etcd-cert-file", "/tls/cert.pem"),
        ("etcd-key-file", "/tls/key.pem"),
        ("etcd-ca-file", "/tls/ca.pem"),
        ("etcd-server-name", "etcd.example.com"),
    ]);
    assert_eq!(urls(&settings), ["https://etcd.example.com:2379"]);
    let password = Secret::new("etcd_password");
    let credentials = Credentials { username: "etcd_user".to_owned(), password };
    let identity =
        ClientIdentity { cert_file: PathBuf::from("/tls/cert.pem"), key_file: PathBuf::from("/tls/key.pem") };
    assert_eq!(settings.credentials, Some(credentials));
    assert_eq!(settings.client_identity, Some(identity));
    assert_eq!(settings.ca_file, Some(PathBuf::from("/tls/ca.pem")));
    assert_eq!(settings.server_name.as_deref(), Some("etcd.example.com"));
    assert_eq!((settings.dial_timeout, settings.lease_ttl), (Duration::from_secs(5), HOUR));
}

#[test]
fn the_guides_memory_settings() {
    let resolved = from_config_map(&[("concurrency-driver", "memory"), ("memory-lease-ttl", "30m")]).unwrap();
    assert_eq!(resolved.settings.driver.lease_ttl(), Duration::from_mins(30));
}

#[test]
fn other_keys_of_pac_are_none_of_our_business() {
    let resolved = from_config_map(&[
        ("application-name", "Pipelines as Code CI"),
        ("hub-url", "https://artifacthub.io"),
        ("remote-tasks", "maybe"),
        ("max-keep-run-upper-limit", "x"),
        ("default-max-keep-runs", ""),
        ("auto-configure-new-github-repo", "false"),
        ("secret-auto-create", "true"),
        ("tekton-dashboard-url", ""),
        ("error-log-snippet", "true"),
        ("custom-console-url", ""),
    ]);
    assert!(resolved.unwrap().warnings.is_empty());
}

#[test]
fn the_older_etcd_enabled_chooses_etcd() {
    let resolved = from_config_map(&[("concurrency-enabled", "true"), ("etcd-enabled", "true")]).unwrap();
    assert_eq!(resolved.settings.driver.name(), "etcd");
    let origin = "ConfigMap pipelines-as-code/pipelines-as-code";
    assert_eq!(effective(&resolved, "concurrency-driver"), ("etcd".to_owned(), origin.to_owned()));
    let expected = ["concurrency-driver: is not set; it is etcd because the older etcd-enabled is true"];
    assert_eq!(warnings(&resolved), expected);
}

#[test]
fn the_driver_wins_over_the_older_key() {
    let data = [("concurrency-enabled", "1"), ("concurrency-driver", "memory"), ("etcd-enabled", "yes")];
    let resolved = from_config_map(&data).unwrap();
    assert_eq!(resolved.settings.driver.name(), "memory");
    let expected = ["etcd-enabled: is true but has no effect: concurrency-driver is memory"];
    assert_eq!(warnings(&resolved), expected);
}

#[test]
fn the_older_key_alone_does_not_turn_the_system_on() {
    let resolved = from_config_map(&[("etcd-enabled", "true")]).unwrap();
    assert!(!resolved.settings.enabled);
    let line = "etcd-enabled: is true, but the system is off until concurrency-enabled is true".to_owned();
    assert!(warnings(&resolved).contains(&line));
}

#[test]
fn on_without_a_driver_is_memory_with_a_warning() {
    let resolved = from_config_map(&[("concurrency-enabled", "true")]).unwrap();
    assert_eq!(resolved.settings.driver.name(), "memory");
    let expected =
        ["concurrency-driver: is not set; it is memory, which is for tests: set postgresql or etcd to keep the queues"];
    assert_eq!(warnings(&resolved), expected);
}

#[test]
fn etcd_without_a_server_uses_the_lease_of_memory() {
    for (mode, expected) in [("memory", EtcdMode::Memory), ("Mock", EtcdMode::Mock)] {
        let settings = etcd(&[("etcd-mode", mode), ("memory-lease-ttl", "20s"), ("etcd-lease-ttl", "2h")]);
        assert_eq!(settings.mode, expected);
        assert_eq!(settings.effective_lease_ttl(), Duration::from_secs(20));
        assert_eq!(settings.memory_lease_ttl, Duration::from_secs(20));
    }
    assert_eq!(etcd(&[("etcd-lease-ttl", "2h")]).effective_lease_ttl(), 2 * HOUR);
}

#[test]
fn a_bad_lease_of_memory_does_not_stop_a_real_etcd() {
    let data = [("concurrency-driver", "etcd"), ("memory-lease-ttl", "1s")];
    let resolved = from_config_map(&data).unwrap();
    assert_eq!(resolved.warnings.len(), 1);
    assert_eq!(resolved.warnings[0].key, "memory-lease-ttl");
}

#[test]
fn endpoints_without_a_scheme_follow_the_tls_keys() {
    assert_eq!(urls(&etcd(&[("etcd-endpoints", "a,b:1")])), ["http://a:2379", "http://b:1"]);
    assert_eq!(
        urls(&etcd(&[("etcd-endpoints", "a,b:1"), ("etcd-server-name", "x")])),
        ["https://a:2379", "https://b:1"]
    );
    assert_eq!(urls(&etcd(&[("etcd-endpoints", "a,https://b")])), ["https://a:2379", "https://b:2379"]);
    assert_eq!(urls(&etcd(&[("etcd-endpoints", "[::1]")])), ["http://[::1]:2379"]);
}

#[test]
fn an_endpoint_twice_is_one_with_a_warning() {
    let data = [("concurrency-driver", "etcd"), ("etcd-endpoints", "etcd, ETCD:2379, other")];
    let resolved = from_config_map(&data).unwrap();
    assert_eq!(warnings(&resolved), ["etcd-endpoints: has ETCD:2379 more than once"]);
    let DriverSettings::Etcd(settings) = &resolved.settings.driver else { panic!() };
    assert_eq!(urls(settings), ["http://etcd:2379", "http://other:2379"]);
}

#[test]
fn a_password_in_clear_over_the_network_gets_a_warning() {
    let remote = [("concurrency-driver", "etcd"), ("etcd-username", "root"), ("etcd-endpoints", "etcd")];
    let sources = config_map(&remote).with_secret("ns/s", [("etcd-password", "hunter2")]);
    let resolved = pac_config::resolve(&sources, &support::Files::default()).unwrap();
    let expected = ["etcd-password: goes over the network in clear; use https:// endpoints"];
    assert_eq!(warnings(&resolved), expected);
    let local = config_map(&[("concurrency-driver", "etcd"), ("etcd-username", "root")]);
    let local = local.with_secret("ns/s", [("etcd-password", "hunter2")]);
    assert!(pac_config::resolve(&local, &support::Files::default()).unwrap().warnings.is_empty());
}

#[test]
fn a_ca_file_that_nobody_checks_against_gets_a_warning() {
    let data =
        [("concurrency-driver", "postgresql"), ("postgresql-ssl-ca-file", "/tls/ca.pem"), ("postgresql-port", "1")];
    assert_eq!(
        warnings(&from_config_map(&data).unwrap())[1],
        "postgresql-ssl-ca-file: is set, but \
        postgresql-ssl-mode is require, which doesn't check the server's certificate; use verify-ca or verify-full"
    );
}

#[test]
fn several_postgresql_servers_have_one_port_or_one_each() {
    let servers = |hosts, ports| {
        let data = [("concurrency-driver", "postgresql"), ("postgresql-host", hosts), ("postgresql-port", ports)];
        from_config_map(&data).map(|resolved| match resolved.settings.driver {
            DriverSettings::PostgreSql(settings) => {
                settings.servers.iter().map(ToString::to_string).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(servers("db1, [fd00::1]", "5432").unwrap(), ["db1:5432", "[fd00::1]:5432"]);
    assert_eq!(servers("db1,db1,db2", "5432,5433,5434").unwrap(), ["db1:5432", "db1:5433", "db2:5434"]);
    assert_eq!(servers("db1,db1", "5432").unwrap(), ["db1:5432"]);
    let problems = servers("db1,db2,db3", "5432,5433").unwrap_err();
    let said = pac_config::problems_report(&problems);
    assert!(said.contains("postgresql-port: has 2 ports, and postgresql-host has 3 hosts"), "{said}");
    // A connection string's password is masked whole, commas and all.
    let said = pac_config::problems_report(&servers("postgres://me:hun,ter2@db", "5432").unwrap_err());
    assert!(said.contains("is a URL") && !said.contains("hun") && !said.contains("ter2"), "{said}");
}

#[test]
fn a_client_certificate_of_postgresql_has_a_key_and_needs_tls() {
    let files = support::Files::default()
        .with("/c", "-----BEGIN CERTIFICATE-----\n")
        .with("/k", "-----BEGIN PRIVATE KEY-----\n");
    let resolve = |data: &[(&str, &str)]| {
        let all: Vec<_> = [("concurrency-driver", "postgresql")].iter().chain(data).copied().collect();
        pac_config::resolve(&support::config_map(&all), &files)
    };
    let both = [("postgresql-ssl-cert-file", "/c"), ("postgresql-ssl-key-file", "/k")];
    let resolved = resolve(&both).unwrap();
    let DriverSettings::PostgreSql(settings) = resolved.settings.driver else { panic!() };
    let identity = ClientIdentity { cert_file: PathBuf::from("/c"), key_file: PathBuf::from("/k") };
    assert_eq!(settings.client_identity, Some(identity));
    assert!(!resolved.warnings.iter().any(|warning| warning.to_string().contains("without a password")));
    let said = |data: &[_]| pac_config::problems_report(&resolve(data).unwrap_err());
    assert!(said(&both[..1]).contains("postgresql-ssl-key-file: is not set, but postgresql-ssl-cert-file is"));
    let without_tls = [both[0], both[1], ("postgresql-ssl-mode", "disable")];
    assert!(said(&without_tls).contains("it would never be shown"));
}

#[test]
fn ssl_modes_are_read_in_any_case() {
    let modes = [("disable", SslMode::Disable), ("Require", SslMode::Require), ("VERIFY-CA", SslMode::VerifyCa)];
    for (text, mode) in modes.into_iter().chain([("verify-full", SslMode::VerifyFull)]) {
        let resolved = from_config_map(&[("concurrency-driver", "postgresql"), ("postgresql-ssl-mode", text)]).unwrap();
        let DriverSettings::PostgreSql(settings) = resolved.settings.driver else { panic!() };
        assert_eq!(settings.ssl_mode, mode);
        assert_eq!(mode.name(), text.to_ascii_lowercase());
    }
}

#[test]
fn pac_makes_secrets_unless_its_own_setting_says_otherwise() {
    let makes = |data: &[(&str, &str)]| from_config_map(data).unwrap().settings.pac_makes_secrets;
    assert!(makes(&[]));
    assert!(makes(&[("secret-auto-create", "true")]));
    assert!(!makes(&[("secret-auto-create", "false")]));
    assert!(!makes(&[("secret-auto-create", " False\n")]));
}
