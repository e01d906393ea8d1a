//! Bad values and combinations, each with the exact message a person gets.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a helper fails as its test does")]

mod support;

use pac_config::{Origin, find_key, resolve};
use support::{CONFIG_MAP, Files, SECRET, config_map, from_config_map, warnings};

/// Key, bad value, and the message without what every message ends with: what the key allows and the origin.
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("concurrency-enabled", "maybe", r#""maybe" is neither true nor false"#),
    ("concurrency-enabled", "2", r#""2" is neither true nor false"#),
    ("concurrency-enabled", "on", r#""on" is neither true nor false"#),
    ("concurrency-driver", "redis", r#"driver not found: "redis""#),
    ("concurrency-driver", "postgres", r#"driver not found: "postgres"; did you mean postgresql?"#),
    ("concurrency-driver", "pg", r#"driver not found: "pg"; did you mean postgresql?"#),
    ("concurrency-driver", "mem", r#"driver not found: "mem"; did you mean memory?"#),
    ("concurrency-driver", "etdc", r#"driver not found: "etdc"; did you mean etcd?"#),
    ("etcd-enabled", "tru", r#""tru" is neither true nor false"#),
    ("postgresql-host", "db:5432", r#""db:5432" has a port in it; only the host goes here"#),
    ("postgresql-host", "[::1]:5432", r#""[::1]:5432" has a port in it; only the host goes here"#),
    (
        "postgresql-host",
        "postgres://me:hunter2@db/x",
        r#""postgres://********@db/x" is a URL; only the host goes here"#,
    ),
    ("postgresql-host", "me:hunter2@db", r#""********@db" has a user in it; only the host goes here"#),
    (
        "postgresql-host",
        "host=db password=hunter2",
        r#""host=db password=********" is a connection string; only the host goes here"#,
    ),
    ("postgresql-host", "my db", r#""my db" has a space in it"#),
    (
        "postgresql-host",
        "db1;db2",
        r#""db1;db2" is a list; separate several hosts by commas, where several may be given"#,
    ),
    ("postgresql-host", "db1,db2:5432", r#""db2:5432" has a port in it; only the host goes here"#),
    ("postgresql-host", "/var/run/postgresql", r#""/var/run/postgresql" is a path; Unix sockets are not supported"#),
    ("postgresql-host", "10.0.0.256", r#""10.0.0.256" is not a host name or IP address"#),
    ("postgresql-host", "db_é", r#""db_é" is not a host name or IP address"#),
    ("postgresql-host", "-db", r#""-db" is not a host name or IP address"#),
    ("postgresql-host", "db\u{1b}[31m", r#""db\u{1b}[31m" has a control character in it"#),
    ("postgresql-port", "54x32", r#""54x32" is not a port"#),
    ("postgresql-port", "0", r#""0" is not a port"#),
    ("postgresql-port", "65536", r#""65536" is not a port"#),
    ("postgresql-port", "-1", r#""-1" is not a port"#),
    ("postgresql-port", "5432.0", r#""5432.0" is not a port"#),
    ("postgresql-port", "tcp://10.0.0.1:5432", r#""tcp://10.0.0.1:5432" is not a port"#),
    (
        "postgresql-database",
        "a-name-of-a-database-that-is-longer-than-the-server-takes-to-be-one",
        r#""a-name-of-a-database-that-is-longer-than-the-server-takes-to-be-one" is too long: 67 bytes"#,
    ),
    ("postgresql-username", "a\nb", r#""a\nb" has a control character in it"#),
    ("postgresql-ssl-mode", "prefer", r#""prefer" is not an SSL mode"#),
    ("postgresql-ssl-mode", "verify_full", r#""verify_full" is not an SSL mode; did you mean verify-full?"#),
    ("postgresql-ssl-mode", "verify", r#""verify" is not an SSL mode; did you mean verify-ca?"#),
    ("postgresql-ssl-mode", "true", r#""true" is not an SSL mode"#),
    ("postgresql-ssl-ca-file", "/tls/missing.pem", r#""/tls/missing.pem" can't be read: no such file"#),
    ("postgresql-ssl-ca-file", "/tls/locked.pem", r#""/tls/locked.pem" can't be read: permission denied"#),
    ("postgresql-ssl-ca-file", "/tls/key.pem", r#""/tls/key.pem" holds no PEM certificate"#),
    ("postgresql-max-connections", "0", r#""0" is too small"#),
    ("postgresql-max-connections", "1001", r#""1001" is too large"#),
    ("postgresql-max-connections", "ten", r#""ten" is not a number"#),
    ("postgresql-max-connections", "-5", r#""-5" is not a number"#),
    ("postgresql-connection-timeout", "30 seconds", r#""30 seconds" is not a duration"#),
    ("postgresql-connection-timeout", "-30s", r#""-30s" is negative"#),
    ("postgresql-connection-timeout", "0", r#""0" is too short"#),
    ("postgresql-connection-timeout", "2h", r#""2h" is too long"#),
    ("postgresql-connection-timeout", "1.5s", r#""1.5s" is not a duration"#),
    ("postgresql-connection-timeout", "30s1m", r#""30s1m" is not a duration"#),
    ("postgresql-connection-timeout", "infinity", r#""infinity" is not a duration"#),
    ("postgresql-lease-ttl", "9s", r#""9s" is too short"#),
    ("postgresql-lease-ttl", "500ms", r#""500ms" is too short"#),
    ("postgresql-lease-ttl", "8761h", r#""8761h" is too long"#),
    ("postgresql-lease-ttl", "99999999999999999999h", r#""99999999999999999999h" is too long"#),
    ("postgresql-lease-ttl", "1d", r#""1d" is not a duration"#),
    ("etcd-endpoints", "etcd-1:2379,", r#""etcd-1:2379," has an empty entry"#),
    ("etcd-endpoints", "etcd-1:2379,,etcd-2:2379", r#""etcd-1:2379,,etcd-2:2379" has an empty entry"#),
    (
        "etcd-endpoints",
        "etcd-1:2379 etcd-2:2379",
        r#""etcd-1:2379 etcd-2:2379" is not one endpoint; separate endpoints by commas"#,
    ),
    ("etcd-endpoints", "etcd:0", r#""etcd:0" has a port that is not 1 to 65535"#),
    ("etcd-endpoints", "etcd:client", r#""etcd:client" has a port that is not 1 to 65535"#),
    ("etcd-endpoints", "::1:2379", r#""::1:2379" is an IPv6 address without brackets; write [::1]:2379"#),
    ("etcd-endpoints", "ftp://etcd:2379", r#""ftp://etcd:2379" has a scheme that is neither http nor https"#),
    ("etcd-endpoints", "https://", r#""https://" is not a host with or without a port"#),
    (
        "etcd-endpoints",
        "https://etcd:2379/v3",
        r#""https://etcd:2379/v3" has a path in it; only host and port go here"#,
    ),
    (
        "etcd-endpoints",
        "https://root:hunter2@etcd:2379",
        r#""https://********@etcd:2379" has a user in it; etcd-username and etcd-password are for that"#,
    ),
    ("etcd-dial-timeout", "soon", r#""soon" is not a duration"#),
    ("etcd-mode", "cluster", r#""cluster" is not an etcd mode"#),
    ("concurrency-draining", "some", r#""some" is neither true nor false"#),
    ("concurrency-paused", "some", r#""some" is neither true nor false"#),
    ("concurrency-repository-labels", "some", r#""some" is neither true nor false"#),
    (
        "concurrency-traces-endpoint",
        "collector:4318",
        r#""collector:4318" has no scheme; write http:// or https:// before it"#,
    ),
    ("concurrency-annotations", "place", r#""place" is neither true nor false"#),
    ("etcd-mode", "mok", r#""mok" is not an etcd mode; did you mean mock?"#),
    ("etcd-ca-file", "/tls/missing.pem", r#""/tls/missing.pem" can't be read: no such file"#),
    ("etcd-ca-file", "/tls/empty.pem", r#""/tls/empty.pem" holds no PEM certificate"#),
    ("etcd-server-name", "https://etcd", r#""https://etcd" is a URL; only the host goes here"#),
    ("etcd-server-name", "etcd:2379", r#""etcd:2379" has a port in it; only the host goes here"#),
    ("etcd-lease-ttl", "1s", r#""1s" is too short"#),
    ("memory-lease-ttl", "5", r#""5" is too short"#),
    ("memory-lease-ttl", "half an hour", r#""half an hour" is not a duration"#),
];

/// The value with the driver that makes it count.
fn with_its_driver<'a>(key: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let driver = key.split('-').next().filter(|driver| *driver != "concurrency");
    let mut data = vec![(key, value)];
    if key != "concurrency-driver" {
        data.push(("concurrency-driver", driver.unwrap_or("memory")));
    }
    data
}

/// Every problem of a ConfigMap, as lines.
fn problems(data: &[(&str, &str)]) -> String {
    from_config_map(data).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_bad_value_says_what_is_wrong_what_is_allowed_and_where_it_came_from() {
    for (key, value, message) in BAD_VALUES {
        let allowed = find_key(key).unwrap().allowed;
        let expected = format!("{key}: {message} (allowed: {allowed}; from ConfigMap {CONFIG_MAP})");
        assert_eq!(problems(&with_its_driver(key, value)), expected);
    }
}

#[test]
fn a_bad_value_is_found_while_the_system_is_off() {
    let data = [("concurrency-enabled", "false"), ("concurrency-driver", "postgresql"), ("postgresql-port", "x")];
    assert!(problems(&data).starts_with("postgresql-port: \"x\" is not a port"));
}

/// Settings that are fine one by one and wrong together, with every line they get.
const BAD_COMBINATIONS: &[(&[(&str, &str)], &str)] = &[
    (
        &[("concurrency-driver", "etcd"), ("etcd-username", "root")],
        "etcd-password: is not set, but etcd-username is, in ConfigMap pipelines-as-code/pipelines-as-code; \
         set both or neither",
    ),
    (
        &[("concurrency-driver", "etcd"), ("etcd-password", "hunter2")],
        "etcd-username: is not set, but etcd-password is, in ConfigMap pipelines-as-code/pipelines-as-code; \
         set both or neither",
    ),
    (
        &[("concurrency-driver", "etcd"), ("etcd-username", "root"), ("etcd-password", "hun\0ter2")],
        "etcd-password: has a NUL character in it (from ConfigMap pipelines-as-code/pipelines-as-code)",
    ),
    (
        &[("concurrency-driver", "etcd"), ("etcd-cert-file", "/tls/cert.pem")],
        "etcd-key-file: is not set, but etcd-cert-file is, in ConfigMap pipelines-as-code/pipelines-as-code; \
         set both or neither",
    ),
    (
        &[("concurrency-driver", "etcd"), ("etcd-key-file", "/tls/key.pem")],
        "etcd-cert-file: is not set, but etcd-key-file is, in ConfigMap pipelines-as-code/pipelines-as-code; \
         set both or neither",
    ),
    (
        // Swapped.
        &[("concurrency-driver", "etcd"), ("etcd-cert-file", "/tls/key.pem"), ("etcd-key-file", "/tls/cert.pem")],
        "etcd-cert-file: \"/tls/key.pem\" holds no PEM certificate (allowed: path of a readable PEM file; together \
         with etcd-key-file; from ConfigMap pipelines-as-code/pipelines-as-code)\n\
         etcd-key-file: \"/tls/cert.pem\" holds no PEM private key (allowed: path of a readable PEM file; together \
         with etcd-cert-file; from ConfigMap pipelines-as-code/pipelines-as-code)",
    ),
    (
        &[("concurrency-driver", "etcd"), ("etcd-endpoints", "http://etcd-1,https://etcd-2")],
        "etcd-endpoints: has both http:// and https:// endpoints; use one of them for all \
         (from ConfigMap pipelines-as-code/pipelines-as-code)",
    ),
    (
        &[("concurrency-driver", "etcd"), ("etcd-endpoints", "http://etcd"), ("etcd-ca-file", "/tls/ca.pem")],
        "etcd-ca-file: is set, but etcd-endpoints has http:// endpoints, which use no TLS; write https:// \
         (from ConfigMap pipelines-as-code/pipelines-as-code)",
    ),
    (
        &[("concurrency-driver", "etcd"), ("etcd-endpoints", "http://etcd"), ("etcd-server-name", "etcd")],
        "etcd-server-name: is set, but etcd-endpoints has http:// endpoints, which use no TLS; write https:// \
         (from ConfigMap pipelines-as-code/pipelines-as-code)",
    ),
    (
        &[
            ("concurrency-driver", "postgresql"),
            ("postgresql-ssl-mode", "disable"),
            ("postgresql-ssl-ca-file", "/tls/ca.pem"),
        ],
        "postgresql-ssl-ca-file: is set, but postgresql-ssl-mode is disable, so nothing would be checked; use \
         verify-ca or verify-full, or leave the file out (from ConfigMap pipelines-as-code/pipelines-as-code)",
    ),
    (
        // The memory driver's key counts where etcd has no server.
        &[("concurrency-driver", "etcd"), ("etcd-mode", "mock"), ("memory-lease-ttl", "1s")],
        "memory-lease-ttl: \"1s\" is too short (allowed: 10s to 8760h, such as 30s, 1m30s or 1h; a bare number is \
         seconds; from ConfigMap pipelines-as-code/pipelines-as-code)",
    ),
    (
        // Several at once, in the order of the table; which driver is meant is unknown, so both drivers' count.
        &[
            ("postgresql-port", "54x32"),
            ("etcd-dial-timeout", "soon"),
            ("concurrency-enabled", "perhaps"),
            ("concurrency-driver", "redis"),
            ("postgresql-hots", "db"),
        ],
        "concurrency-enabled: \"perhaps\" is neither true nor false (allowed: true, false, yes, no, 1, 0; \
         from ConfigMap pipelines-as-code/pipelines-as-code)\n\
         concurrency-driver: driver not found: \"redis\" (allowed: postgresql, etcd, memory; \
         from ConfigMap pipelines-as-code/pipelines-as-code)\n\
         postgresql-port: \"54x32\" is not a port (allowed: 1 to 65535; \
         from ConfigMap pipelines-as-code/pipelines-as-code)\n\
         etcd-dial-timeout: \"soon\" is not a duration (allowed: 1ms to 1h, such as 500ms, 30s or 1m30s; a bare \
         number is seconds; from ConfigMap pipelines-as-code/pipelines-as-code)\n\
         postgresql-hots: unknown setting; did you mean postgresql-host? (allowed: postgresql-host, postgresql-port, \
         postgresql-database, postgresql-username, postgresql-password, postgresql-password-key, postgresql-ssl-mode, \
         postgresql-ssl-ca-file, postgresql-ssl-cert-file, postgresql-ssl-key-file, postgresql-max-connections, postgresql-connection-timeout, postgresql-lease-ttl; \
         from ConfigMap pipelines-as-code/pipelines-as-code)",
    ),
];

#[test]
fn a_bad_combination_names_both_sides() {
    for (data, expected) in BAD_COMBINATIONS {
        assert_eq!(problems(data), *expected);
    }
}

/// Environment, and every line it gets with PostgreSQL as the driver.
const BAD_ENVIRONMENTS: &[(&[(&str, &str)], &str)] = &[
    (
        &[("PAC_POSTGRESQL_PORT", "x")],
        "postgresql-port: \"x\" is not a port (allowed: 1 to 65535; from environment variable PAC_POSTGRESQL_PORT)",
    ),
    (
        &[("PAC_POSTGRESQL_PASSWORD_FILE", "/run/missing")],
        "postgresql-password: can't be read: no such file \
         (from file /run/missing, named by environment variable PAC_POSTGRESQL_PASSWORD_FILE)",
    ),
    (
        &[("PAC_POSTGRESQL_PASSWORD_FILE", "/run/newline")],
        "postgresql-password: the file is empty \
         (from file /run/newline, named by environment variable PAC_POSTGRESQL_PASSWORD_FILE)",
    ),
    (
        &[("PAC_POSTGRESQL_HOST_FILE", "/run/latin1")],
        "postgresql-host: is not UTF-8 text \
         (from file /run/latin1, named by environment variable PAC_POSTGRESQL_HOST_FILE)",
    ),
    (
        // A broken file doesn't fall through to the variable beside it.
        &[("PAC_POSTGRESQL_PASSWORD_FILE", "/run/missing"), ("PAC_POSTGRESQL_PASSWORD", "hunter2")],
        "postgresql-password: can't be read: no such file \
         (from file /run/missing, named by environment variable PAC_POSTGRESQL_PASSWORD_FILE)",
    ),
];

#[test]
fn a_bad_environment_names_the_variable_and_the_path() {
    let files = Files::default().with("/run/newline", "\n").with("/run/latin1", b"caf\xe9".to_vec());
    for (environment, expected) in BAD_ENVIRONMENTS {
        let sources = config_map(&[("concurrency-driver", "postgresql")]).with_environment(environment.iter().copied());
        assert_eq!(resolve(&sources, &files).unwrap_err().to_string(), *expected);
    }
}

#[test]
fn a_secret_that_is_not_text_is_a_problem() {
    let sources = config_map(&[("concurrency-driver", "postgresql")])
        .with_secret(SECRET, [("postgresql-password", b"caf\xe9".to_vec())]);
    assert_eq!(
        resolve(&sources, &Files::default()).unwrap_err().to_string(),
        "postgresql-password: is not UTF-8 text (from Secret pipelines-as-code/pac-concurrency-secret)"
    );
}

#[test]
fn a_bad_value_of_another_driver_is_a_warning() {
    let resolved = from_config_map(&[("concurrency-driver", "memory"), ("postgresql-port", "54x32")]).unwrap();
    assert_eq!(
        warnings(&resolved),
        ["postgresql-port: \"54x32\" is not a port (allowed: 1 to 65535; \
          from ConfigMap pipelines-as-code/pipelines-as-code); not in use: the driver is memory"]
    );
}

#[test]
fn a_bad_combination_of_another_driver_is_nothing() {
    let resolved = from_config_map(&[("concurrency-driver", "memory"), ("etcd-username", "root")]).unwrap();
    assert!(resolved.warnings.is_empty());
}

#[test]
fn problems_carry_their_parts() {
    let problems = from_config_map(&[("memory-lease-ttl", "1s")]).unwrap_err().problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "memory-lease-ttl");
    assert_eq!(problems[0].value.as_deref(), Some("\"1s\""));
    assert_eq!(problems[0].origin, Some(Origin::ConfigMap { name: CONFIG_MAP.to_owned() }));
}

/// As Windows' editors save them.
#[test]
fn a_byte_order_mark_before_a_pem_file_and_a_password_is_named() {
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(certificate.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let files = Files::default().with("/tls/mark.pem", format!("\u{feff}{certificate}")).with("/tls/utf16.pem", utf16);
    let with = |file: &str| {
        let data = [
            ("concurrency-driver", "postgresql"),
            ("postgresql-ssl-mode", "verify-ca"),
            ("postgresql-ssl-ca-file", file),
        ];
        resolve(&config_map(&data), &files).map(|_| ()).unwrap_err().to_string()
    };
    for (file, words) in [
        ("/tls/mark.pem", "\"/tls/mark.pem\" begins with a byte order mark; save it as UTF-8 without one"),
        ("/tls/utf16.pem", "\"/tls/utf16.pem\" is UTF-16 text, as Windows' tools write it; save it as UTF-8"),
    ] {
        assert!(with(file).starts_with(&format!("postgresql-ssl-ca-file: {words} (allowed:")), "{}", with(file));
    }
    let secret = [("postgresql-password", "\u{feff}hunter2")];
    let resolved =
        resolve(&config_map(&[("concurrency-driver", "postgresql")]).with_secret(SECRET, secret), &files).unwrap();
    let warning = warnings(&resolved).concat();
    assert!(warning.contains("begins with a byte order mark in Secret") && !warning.contains("hunter2"), "{warning}");
    // Any other value is meant without it.
    let marked = from_config_map(&[("concurrency-enabled", "\u{feff}true")]).unwrap();
    assert!(marked.settings.enabled);
}
