//! The text of `pac-watcher check-config`, as a person sees it.

mod support;

use pac_config::{problems_report, report, resolve};
use support::{Files, SECRET, config_map, from_config_map};

#[test]
fn shows_each_setting_that_counts_with_its_origin() {
    let sources = config_map(&[
        ("concurrency-enabled", "true"),
        ("concurrency-driver", "postgresql"),
        ("postgresql-host", "db.example.com"),
        ("etcd-dial-timeout", "soon"),
    ])
    .with_secret(SECRET, [("postgresql-password", "hunter2")]);
    let text = report(&resolve(&sources, &Files::default()).unwrap());
    let expected = "\
SETTING                        VALUE            FROM
concurrency-enabled            true             ConfigMap pipelines-as-code/pipelines-as-code
concurrency-paused             false            default
concurrency-draining           false            default
concurrency-driver             postgresql       ConfigMap pipelines-as-code/pipelines-as-code
concurrency-repository-labels  true             default
concurrency-annotations        true             default
concurrency-traces-endpoint    (not set)        default
concurrency-traces-ca-file     (not set)        default
postgresql-host                db.example.com   ConfigMap pipelines-as-code/pipelines-as-code
postgresql-port                5432             default
postgresql-database            pac_concurrency  default
postgresql-username            pac_user         default
postgresql-password            ********         Secret pipelines-as-code/pac-concurrency-secret
postgresql-ssl-mode            require          default
postgresql-ssl-ca-file         (not set)        default
postgresql-ssl-cert-file       (not set)        default
postgresql-ssl-key-file        (not set)        default
postgresql-max-connections     10               default
postgresql-connection-timeout  30s              default
postgresql-lease-ttl           1h               default
etcd-dial-timeout              soon             ConfigMap pipelines-as-code/pipelines-as-code (not in use)

Warnings:
  etcd-dial-timeout: \"soon\" is not a duration (allowed: 1ms to 1h, such as 500ms, 30s or 1m30s; a bare number is \
seconds; from ConfigMap pipelines-as-code/pipelines-as-code); not in use: the driver is postgresql
";
    assert_eq!(text, expected);
}

#[test]
fn a_short_configuration_is_a_short_report() {
    let expected = "\
SETTING                        VALUE      FROM
concurrency-enabled            false      default
concurrency-paused             false      default
concurrency-draining           false      default
concurrency-driver             memory     default
concurrency-repository-labels  true       default
concurrency-annotations        true       default
concurrency-traces-endpoint    (not set)  default
concurrency-traces-ca-file     (not set)  default
memory-lease-ttl               30m        default
";
    assert_eq!(report(&from_config_map(&[]).unwrap()), expected);
}

#[test]
fn problems_come_with_their_count_and_the_warnings() {
    let problems = from_config_map(&[("memory-lease-ttl", "x"), ("postgresql-port", "x")]).unwrap_err();
    let text = problems_report(&problems);
    assert!(text.starts_with("1 problem to solve:\n  memory-lease-ttl: \"x\" is not a duration ("), "{text}");
    assert!(text.contains("\n\nWarnings:\n  postgresql-port: \"x\" is not a port ("), "{text}");
    let problems = from_config_map(&[("memory-lease-ttl", "x"), ("memory-ttl", "x")]).unwrap_err();
    assert!(problems_report(&problems).starts_with("2 problems to solve:\n"));
}

#[test]
fn a_long_value_does_not_widen_the_table() {
    let host = format!("{}.example.com", "a".repeat(60));
    let text = report(&from_config_map(&[("concurrency-driver", "postgresql"), ("postgresql-host", &host)]).unwrap());
    assert!(text.contains("\nconcurrency-enabled            false            default\n"), "{text}");
}
