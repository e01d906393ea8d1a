//! The one table of every key. Parser, documentation, report and the ConfigMap in `config/` read it, and whatever names a key
//! does so by its constant here: a misspelt one doesn't compile.

#![allow(missing_docs, reason = "each key says in the table itself what it means")]

use crate::impact::SettingsImpact;
use crate::key::{Group, Key, key};

const DURATION: &str = "1ms to 1h, such as 500ms, 30s or 1m30s; a bare number is seconds";
const LEASE: &str = "10s to 8760h, such as 30s, 1m30s or 1h; a bare number is seconds";
const PATH: &str = "path of a readable PEM file";

/// A constant for each key, and all of them in the order of the documentation.
macro_rules! table {
    ($($constant:ident = $key:expr),* $(,)?) => {
        $(pub static $constant: Key = $key;)*

        static TABLE: &[&Key] = &[$(&$constant),*];
    };
}

table!(
    CONCURRENCY_ENABLED = key("concurrency-enabled", Group::General, "false", SettingsImpact::Switch)
        .allows("true, false, yes, no, 1, 0")
        .means("Whether the concurrency system holds PipelineRuns to their Repository's limit."),
    CONCURRENCY_PAUSED = key("concurrency-paused", Group::General, "false", SettingsImpact::Admission)
        .allows("true, false, yes, no, 1, 0")
        .means(
            "Whether nobody is admitted anywhere for the time being. What runs goes on, who waits keeps the place, \
             and the queue of Pipelines-as-Code's own is kept out as before: for maintenance, and for \
             `pac-watcher switch off`.",
        ),
    CONCURRENCY_DRAINING = key("concurrency-draining", Group::General, "false", SettingsImpact::Admission)
        .allows("true, false, yes, no, 1, 0")
        .means(
            "Companion mode: whether a run that gets its slot is handed to the queue of Pipelines-as-Code's own, which \
             starts it, in place of being started. So that queue comes to know all that run without being restarted; \
             `pac-watcher switch off` sets it for as long as that takes.",
        ),
    CONCURRENCY_DRIVER = key("concurrency-driver", Group::General, "memory", SettingsImpact::Driver)
        .allows("postgresql, etcd, memory")
        .means(
            "Where queues and slots are kept. When it is not set and the older `etcd-enabled` is true, it is \
             etcd. Memory is for tests: it serves one watcher.",
        ),
    ETCD_ENABLED = key("etcd-enabled", Group::General, "false", SettingsImpact::Driver)
        .allows("true, false, yes, no, 1, 0")
        .means("The older way to choose the etcd driver; `concurrency-driver` wins over it."),
    CONCURRENCY_REPOSITORY_LABELS =
        key("concurrency-repository-labels", Group::General, "true", SettingsImpact::Telling)
            .allows("true, false, yes, no, 1, 0")
            .means(
                "Whether metrics tell Repositories apart, by the labels `namespace` and `repository`. With false \
             they tell all together, which is for clusters with thousands of Repositories.",
            ),
    CONCURRENCY_ANNOTATIONS = key("concurrency-annotations", Group::General, "true", SettingsImpact::Telling)
        .allows("true, false, yes, no, 1, 0")
        .means(
            "Whether a PipelineRun that waits says so itself, by annotations under \
             `concurrency.pipelinesascode.tekton.dev/`: its place, what it waits for (reason), and its expected-start. With \
             false those that are there are taken away.",
        ),
    CONCURRENCY_TRACES_ENDPOINT = key("concurrency-traces-endpoint", Group::General, "", SettingsImpact::Telling)
        .allows("a URL with http:// or https://; the port is 4318 and the path /v1/traces if left out")
        .means(
            "OpenTelemetry collector that gets a span of each PipelineRun's wait, from its creation to its start, over \
             OTLP/HTTP. When it is not set, nobody gets any.",
        ),
    CONCURRENCY_TRACES_CA_FILE = key("concurrency-traces-ca-file", Group::General, "", SettingsImpact::Telling)
        .allows(PATH)
        .means(
            "Certificate authorities trusted to sign that collector's certificate, and no others. When it is not set, \
             the system's.",
        ),
    POSTGRESQL_HOST = key("postgresql-host", Group::PostgreSql, "localhost", SettingsImpact::Driver)
        .allows("host names or IP addresses, comma-separated, without scheme and port")
        .means(
            "Host of the PostgreSQL server. Of several, the one that takes writes is used, and looked for again \
             after a fail-over; the same goes for the addresses of one name. Two lists with a server in common \
             are the same store.",
        ),
    POSTGRESQL_PORT = key("postgresql-port", Group::PostgreSql, "5432", SettingsImpact::Driver)
        .allows("1 to 65535")
        .means("TCP port of the PostgreSQL server; of several, one for all, or one for each, comma-separated."),
    POSTGRESQL_DATABASE = key("postgresql-database", Group::PostgreSql, "pac_concurrency", SettingsImpact::Driver)
        .allows("a name of 1 to 63 bytes")
        .means("Name of the database. The tables are created in it when the watcher starts."),
    POSTGRESQL_USERNAME = key("postgresql-username", Group::PostgreSql, "pac_user", SettingsImpact::Connection)
        .allows("a name of 1 to 63 bytes")
        .means("User that logs in to PostgreSQL."),
    POSTGRESQL_PASSWORD = key("postgresql-password", Group::PostgreSql, "", SettingsImpact::Connection)
        .allows("any text without a NUL character; used to the byte")
        .means("Password of that user. Leave it empty in the ConfigMap and set it in the Secret.")
        .hidden(&POSTGRESQL_PASSWORD_KEY),
    POSTGRESQL_PASSWORD_KEY =
        key("postgresql-password-key", Group::PostgreSql, POSTGRESQL_PASSWORD.name, SettingsImpact::Connection)
            .allows("a key of a Secret (letters, digits, -, _ and .)")
            .means("Which key of the Secret has that password, for a Secret that something else made."),
    POSTGRESQL_SSL_MODE = key("postgresql-ssl-mode", Group::PostgreSql, "require", SettingsImpact::Connection)
        .allows("disable, require, verify-ca, verify-full")
        .means(
            "How the connection is protected: disable: not at all; require: encrypted, the server may be \
             anyone; verify-ca: its certificate is signed by a trusted authority; verify-full: and is for this \
             host.",
        ),
    POSTGRESQL_SSL_CA_FILE =
        key("postgresql-ssl-ca-file", Group::PostgreSql, "", SettingsImpact::Connection).allows(PATH).means(
            "Certificate authorities that verify-ca and verify-full trust, and no others. When it is not set \
             they trust the system's.",
        ),
    POSTGRESQL_SSL_CERT_FILE = key("postgresql-ssl-cert-file", Group::PostgreSql, "", SettingsImpact::Connection)
        .allows("path of a readable PEM file; together with postgresql-ssl-key-file")
        .means("Certificate that the watcher shows to PostgreSQL, for `hostssl … cert` and `clientcert=`."),
    POSTGRESQL_SSL_KEY_FILE = key("postgresql-ssl-key-file", Group::PostgreSql, "", SettingsImpact::Connection)
        .allows("path of a readable PEM file; together with postgresql-ssl-cert-file")
        .means("Private key of that certificate."),
    POSTGRESQL_MAX_CONNECTIONS = key("postgresql-max-connections", Group::PostgreSql, "10", SettingsImpact::Tunables)
        .allows("1 to 1000")
        .means("The most connections one watcher opens to PostgreSQL."),
    POSTGRESQL_CONNECTION_TIMEOUT =
        key("postgresql-connection-timeout", Group::PostgreSql, "30s", SettingsImpact::Tunables)
            .allows(DURATION)
            .means("How long to wait for a connection to PostgreSQL."),
    POSTGRESQL_LEASE_TTL =
        key("postgresql-lease-ttl", Group::PostgreSql, "1h", SettingsImpact::Tunables).allows(LEASE).means(
            "How long after a watcher's last sign of life its slots are left to it, with the PostgreSQL driver. \
             They go on counting; then another watcher takes them over.",
        ),
    ETCD_ENDPOINTS = key("etcd-endpoints", Group::Etcd, "localhost:2379", SettingsImpact::Driver)
        .allows("host:port, comma-separated, each with or without http:// or https://; the port is 2379 if left out")
        .means(
            "Endpoints of the etcd cluster. Those without a scheme are reached with TLS if an etcd TLS file, \
             `etcd-server-name` or an https:// endpoint asks for it, in clear otherwise. Two lists with an \
             endpoint in common are the same cluster, so that a member can come or go without a move.",
        ),
    ETCD_DIAL_TIMEOUT = key("etcd-dial-timeout", Group::Etcd, "5s", SettingsImpact::Tunables)
        .allows(DURATION)
        .means("How long to wait for a connection to etcd."),
    ETCD_MODE = key("etcd-mode", Group::Etcd, "etcd", SettingsImpact::Driver).allows("etcd, mock, memory").means(
        "etcd talks to a server; mock and memory keep everything in the watcher's memory, for tests, with \
             `memory-lease-ttl`.",
    ),
    ETCD_USERNAME = key("etcd-username", Group::Etcd, "", SettingsImpact::Connection)
        .allows("any text; together with etcd-password")
        .means("User that logs in to etcd."),
    ETCD_PASSWORD = key("etcd-password", Group::Etcd, "", SettingsImpact::Connection)
        .allows("any text, used to the byte; together with etcd-username")
        .means("Password of that user. Leave it empty in the ConfigMap and set it in the Secret.")
        .hidden(&ETCD_PASSWORD_KEY),
    ETCD_PASSWORD_KEY = key("etcd-password-key", Group::Etcd, ETCD_PASSWORD.name, SettingsImpact::Connection)
        .allows("a key of a Secret (letters, digits, -, _ and .)")
        .means("Which key of the Secret has that password, for a Secret that something else made."),
    ETCD_CERT_FILE = key("etcd-cert-file", Group::Etcd, "", SettingsImpact::Connection)
        .allows("path of a readable PEM file; together with etcd-key-file")
        .means("Certificate that the watcher shows to etcd."),
    ETCD_KEY_FILE = key("etcd-key-file", Group::Etcd, "", SettingsImpact::Connection)
        .allows("path of a readable PEM file; together with etcd-cert-file")
        .means("Private key of that certificate."),
    ETCD_CA_FILE = key("etcd-ca-file", Group::Etcd, "", SettingsImpact::Connection)
        .allows(PATH)
        .means("Certificate authorities trusted to sign etcd's certificate. When it is not set, the system's."),
    ETCD_SERVER_NAME = key("etcd-server-name", Group::Etcd, "", SettingsImpact::Connection)
        .allows("a host name or IP address, without scheme and port")
        .means("Name that etcd's certificate must have. When it is not set, the endpoint's host."),
    ETCD_LEASE_TTL = key("etcd-lease-ttl", Group::Etcd, "1h", SettingsImpact::Tunables).allows(LEASE).means(
        "How long after a watcher's last sign of life its slots are left to it, with the etcd driver. They \
             go on counting; then another watcher takes them over.",
    ),
    MEMORY_LEASE_TTL = key("memory-lease-ttl", Group::Memory, "30m", SettingsImpact::Tunables)
        .allows(LEASE)
        .means("How long after a watcher's last sign of life its slots are left to it, with the memory driver."),
);

/// Every key, in the order of the documentation.
pub fn keys() -> impl ExactSizeIterator<Item = &'static Key> + Clone {
    TABLE.iter().copied()
}

/// The key of exactly this name.
pub fn find_key(name: &str) -> Option<&'static Key> {
    keys().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::driver_kind::DriverKind;

    #[test]
    fn every_key_is_there_once_and_under_one_of_our_prefixes() {
        let names: BTreeSet<_> = keys().map(|key| key.name).collect();
        assert_eq!(names.len(), keys().len());
        assert!(names.iter().all(|name| Group::PREFIXES.iter().any(|prefix| name.starts_with(prefix))));
    }

    #[test]
    fn every_key_says_what_it_means_and_allows() {
        for key in keys() {
            assert!(!key.allowed.is_empty(), "{}", key.name);
            assert!(key.doc.ends_with('.'), "{}", key.name);
        }
    }

    #[test]
    fn the_driver_is_one_there_is() {
        assert_eq!(CONCURRENCY_DRIVER.allowed, DriverKind::ALL.map(DriverKind::name).join(", "));
        assert!(DriverKind::named(CONCURRENCY_DRIVER.default).is_some());
    }

    #[test]
    fn no_variable_has_two_meanings() {
        let variables: BTreeSet<_> = keys().flat_map(|key| [key.variable(), key.file_variable()]).collect();
        assert_eq!(variables.len(), 2 * keys().len());
    }

    #[test]
    fn only_passwords_are_secret() {
        let secret: Vec<_> = keys().filter(|key| key.secret).map(|key| key.name).collect();
        assert_eq!(secret, ["postgresql-password", "etcd-password"]);
    }

    #[test]
    fn variables_are_the_key_in_capitals() {
        let key = &POSTGRESQL_PASSWORD;
        assert_eq!(key.variable(), "PAC_POSTGRESQL_PASSWORD");
        assert_eq!(key.file_variable(), "PAC_POSTGRESQL_PASSWORD_FILE");
    }
}
