//! Keys nobody knows: a problem under our prefixes, a warning when they are hard to tell from ours, nothing otherwise.

mod support;

use pac_config::{Problems, Resolved, Sources, resolve};
use support::{Files, SECRET, from_config_map, warnings};

fn from_environment(variables: &[(&str, &str)]) -> Result<Resolved, Problems> {
    resolve(&Sources::new().with_environment(variables.iter().copied()), &Files::default())
}

#[test]
fn a_misspelled_key_gets_a_did_you_mean() {
    let misspelled = [
        ("postgresql-hots", "postgresql-host"),
        ("postgresql-user", "postgresql-username"),
        ("postgresql-usernmae", "postgresql-username"),
        ("postgresql-pass", "postgresql-password"),
        ("postgresql-pasword", "postgresql-password"),
        ("postgresql-sslmode", "postgresql-ssl-mode"),
        ("postgresql-timeout", "postgresql-connection-timeout"),
        ("postgresql-max-conections", "postgresql-max-connections"),
        ("postgresql-ttl", "postgresql-lease-ttl"),
        ("etcd-endpoint", "etcd-endpoints"),
        ("etcd-end-points", "etcd-endpoints"),
        ("etcd-timeout", "etcd-dial-timeout"),
        ("concurrency-enable", "concurrency-enabled"),
        ("concurrency-drivers", "concurrency-driver"),
        ("memory-ttl", "memory-lease-ttl"),
    ];
    for (written, meant) in misspelled {
        let problems = from_config_map(&[(written, "hunter2")]).unwrap_err().to_string();
        let start = format!("{written}: unknown setting; did you mean {meant}? (allowed: ");
        assert!(problems.starts_with(&start), "{problems}");
        assert!(problems.ends_with("; from ConfigMap pipelines-as-code/pipelines-as-code)"), "{problems}");
        assert!(!problems.contains("hunter2"));
    }
}

#[test]
fn a_key_like_none_gets_the_list() {
    assert_eq!(
        from_config_map(&[("memory-size", "5")]).unwrap_err().to_string(),
        "memory-size: unknown setting (allowed: memory-lease-ttl; from ConfigMap pipelines-as-code/pipelines-as-code)"
    );
}

#[test]
fn an_unknown_key_of_another_driver_is_a_problem_all_the_same() {
    assert!(from_config_map(&[("concurrency-driver", "memory"), ("etcd-hosts", "x")]).is_err());
}

#[test]
fn an_unknown_key_in_the_secret_is_a_problem() {
    let sources = Sources::new().with_secret(SECRET, [("postgresql-pasword", "hunter2")]);
    let problems = resolve(&sources, &Files::default()).unwrap_err().to_string();
    assert!(problems.starts_with("postgresql-pasword: unknown setting; did you mean postgresql-password?"));
    assert!(problems.ends_with("; from Secret pipelines-as-code/pac-concurrency-secret)"), "{problems}");
}

#[test]
fn a_look_alike_gets_a_warning() {
    let look_alikes = [
        ("postgres-host", "postgresql-host"),
        ("postgresql_host", "postgresql-host"),
        ("Postgresql-Host", "postgresql-host"),
        ("POSTGRES_PASSWORD", "postgresql-password"),
        ("postgresql.port", "postgresql-port"),
        ("concurency-driver", "concurrency-driver"),
        ("ectd-mode", "etcd-mode"),
    ];
    for (written, meant) in look_alikes {
        let resolved = from_config_map(&[(written, "hunter2")]).unwrap();
        let origin = "ConfigMap pipelines-as-code/pipelines-as-code";
        let expected = format!("{written}: is not a setting; did you mean {meant}? (from {origin})");
        assert_eq!(warnings(&resolved), [expected]);
    }
}

#[test]
fn a_misspelled_variable_gets_a_did_you_mean() {
    let misspelled = [
        ("PAC_POSTGRESQL_HOTS", "PAC_POSTGRESQL_HOST"),
        ("PAC_POSTGRESQL_PASSWD", "PAC_POSTGRESQL_PASSWORD"),
        ("PAC_POSTGRESQL_PASWORD_FILE", "PAC_POSTGRESQL_PASSWORD_FILE"),
        ("PAC_ETCD_CERT_FIEL", "PAC_ETCD_CERT_FILE"),
        ("PAC_CONCURRENCY_ENABLE", "PAC_CONCURRENCY_ENABLED"),
    ];
    for (written, meant) in misspelled {
        let problems = from_environment(&[(written, "hunter2")]).unwrap_err().to_string();
        let start = format!("{written}: unknown setting; did you mean {meant}? (allowed: PAC_");
        assert!(problems.starts_with(&start), "{problems}");
        assert!(!problems.contains("hunter2"));
    }
}

#[test]
fn a_look_alike_variable_gets_a_warning() {
    for (written, meant) in [
        ("PAC_POSTGRES_HOST", "PAC_POSTGRESQL_HOST"),
        ("PAC_POSTGRES_PASSWORD_FILE", "PAC_POSTGRESQL_PASSWORD_FILE"),
        ("PAC_postgresql_host", "PAC_POSTGRESQL_HOST"),
    ] {
        let resolved = from_environment(&[(written, "hunter2")]).unwrap();
        assert_eq!(warnings(&resolved), [format!("{written}: is not a setting; did you mean {meant}?")]);
    }
}

#[test]
fn variables_of_others_are_none_of_our_business() {
    let resolved = from_environment(&[
        ("PAC_WATCHER_CONFIG", "x"),
        ("PAC_CONTROLLER_PORT", "8080"),
        ("PAC_TEST_POSTGRESQL_HOST", "db"),
        ("PAC_POSTGRESQL_SERVICE_PORT", "5432"),
        ("PAC_ETCD_PORT_2379_TCP", "tcp://10.0.0.1:2379"),
        ("PAC_DISABLE_HEALTH_PROBE", "1"),
        ("POSTGRESQL_HOST", "db"),
        ("PATH", "/bin"),
    ]);
    assert!(resolved.unwrap().warnings.is_empty());
}
