//! The one table of every key. Parser, documentation, report and the ConfigMap in `config/` read it; nothing repeats it.

use std::fmt;

use crate::change::Change;

/// One key of the settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// The key as the ConfigMap and the Secret have it, such as `postgresql-port`.
    pub name: &'static str,
    /// Which part of the system reads it.
    pub group: Group,
    /// The value when nothing is set; empty for "none".
    pub default: &'static str,
    /// What is allowed, in words.
    pub allowed: &'static str,
    /// What it means, with its unit.
    pub doc: &'static str,
    /// Whether the value is never shown.
    pub secret: bool,
    /// What a change of it needs in a running watcher.
    pub change: Change,
}

/// Which part of the system reads a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Switches the system on and chooses the driver.
    General,
    /// The PostgreSQL driver.
    PostgreSql,
    /// The etcd driver.
    Etcd,
    /// The memory driver, and the etcd driver with `etcd-mode` memory or mock.
    Memory,
}

/// Every key, in the order of the documentation.
pub fn keys() -> impl ExactSizeIterator<Item = &'static Key> + Clone {
    TABLE.iter()
}

/// The key of exactly this name.
pub fn find_key(name: &str) -> Option<&'static Key> {
    TABLE.iter().find(|key| key.name == name)
}

const DURATION: &str = "1ms to 1h, such as 500ms, 30s or 1m30s; a bare number is seconds";
const LEASE: &str = "10s to 8760h, such as 30s, 1m30s or 1h; a bare number is seconds";
const PATH: &str = "path of a readable PEM file";

static TABLE: [Key; 29] = [
    key("concurrency-enabled", Group::General, "false", Change::Switch)
        .allows("true, false, yes, no, 1, 0")
        .means("Whether the concurrency system holds PipelineRuns to their Repository's limit."),
    key("concurrency-driver", Group::General, "memory", Change::Driver).allows("postgresql, etcd, memory").means(
        "Where queues and slots are kept. When it is not set and the older `etcd-enabled` is true, it is etcd. \
             Memory is for tests: it serves one watcher.",
    ),
    key("etcd-enabled", Group::General, "false", Change::Driver)
        .allows("true, false, yes, no, 1, 0")
        .means("The older way to choose the etcd driver; `concurrency-driver` wins over it."),
    key("concurrency-repository-labels", Group::General, "true", Change::Telling)
        .allows("true, false, yes, no, 1, 0")
        .means(
            "Whether metrics tell Repositories apart, by the labels `namespace` and `repository`. With false they tell all \
             together, which is for clusters with thousands of Repositories.",
        ),
    key("postgresql-host", Group::PostgreSql, "localhost", Change::Driver)
        .allows("host names or IP addresses, comma-separated, without scheme and port")
        .means(
            "Host of the PostgreSQL server. Of several, the one that takes writes is used, and looked for again after a \
             fail-over; the same goes for the addresses of one name. Two lists with a server in common are the same store.",
        ),
    key("postgresql-port", Group::PostgreSql, "5432", Change::Driver)
        .allows("1 to 65535")
        .means("TCP port of the PostgreSQL server; of several, one for all, or one for each, comma-separated."),
    key("postgresql-database", Group::PostgreSql, "pac_concurrency", Change::Driver)
        .allows("a name of 1 to 63 bytes")
        .means("Name of the database. The tables are created in it when the watcher starts."),
    key("postgresql-username", Group::PostgreSql, "pac_user", Change::Connection)
        .allows("a name of 1 to 63 bytes")
        .means("User that logs in to PostgreSQL."),
    key("postgresql-password", Group::PostgreSql, "", Change::Connection)
        .allows("any text without a NUL character; used to the byte")
        .means("Password of that user. Leave it empty in the ConfigMap and set it in the Secret.")
        .hidden(),
    key("postgresql-password-key", Group::PostgreSql, "postgresql-password", Change::Connection)
        .allows("a key of a Secret (letters, digits, -, _ and .)")
        .means("Which key of the Secret has that password, for a Secret that something else made."),
    key("postgresql-ssl-mode", Group::PostgreSql, "require", Change::Connection)
        .allows("disable, require, verify-ca, verify-full")
        .means(
            "How the connection is protected: disable: not at all; require: encrypted, the server may be anyone; \
             verify-ca: its certificate is signed by a trusted authority; verify-full: and is for this host.",
        ),
    key("postgresql-ssl-ca-file", Group::PostgreSql, "", Change::Connection).allows(PATH).means(
        "Certificate authorities that verify-ca and verify-full trust, and no others. When it is not set they trust the \
             system's.",
    ),
    key("postgresql-ssl-cert-file", Group::PostgreSql, "", Change::Connection)
        .allows("path of a readable PEM file; together with postgresql-ssl-key-file")
        .means("Certificate that the watcher shows to PostgreSQL, for `hostssl … cert` and `clientcert=`."),
    key("postgresql-ssl-key-file", Group::PostgreSql, "", Change::Connection)
        .allows("path of a readable PEM file; together with postgresql-ssl-cert-file")
        .means("Private key of that certificate."),
    key("postgresql-max-connections", Group::PostgreSql, "10", Change::Tunables)
        .allows("1 to 1000")
        .means("The most connections one watcher opens to PostgreSQL."),
    key("postgresql-connection-timeout", Group::PostgreSql, "30s", Change::Tunables)
        .allows(DURATION)
        .means("How long to wait for a connection to PostgreSQL."),
    key("postgresql-lease-ttl", Group::PostgreSql, "1h", Change::Tunables).allows(LEASE).means(
        "How long after a watcher's last sign of life its slots are left to it, with the PostgreSQL driver. They go on \
             counting; then another watcher takes them over.",
    ),
    key("etcd-endpoints", Group::Etcd, "localhost:2379", Change::Driver)
        .allows("host:port, comma-separated, each with or without http:// or https://; the port is 2379 if left out")
        .means(
            "Endpoints of the etcd cluster. Those without a scheme are reached with TLS if an etcd TLS file, \
             `etcd-server-name` or an https:// endpoint asks for it, in clear otherwise. Two lists with an endpoint in \
             common are the same cluster, so that a member can come or go without a move.",
        ),
    key("etcd-dial-timeout", Group::Etcd, "5s", Change::Tunables)
        .allows(DURATION)
        .means("How long to wait for a connection to etcd."),
    key("etcd-mode", Group::Etcd, "etcd", Change::Driver).allows("etcd, mock, memory").means(
        "etcd talks to a server; mock and memory keep everything in the watcher's memory, for tests, with \
         `memory-lease-ttl`.",
    ),
    key("etcd-username", Group::Etcd, "", Change::Connection)
        .allows("any text; together with etcd-password")
        .means("User that logs in to etcd."),
    key("etcd-password", Group::Etcd, "", Change::Connection)
        .allows("any text, used to the byte; together with etcd-username")
        .means("Password of that user. Leave it empty in the ConfigMap and set it in the Secret.")
        .hidden(),
    key("etcd-password-key", Group::Etcd, "etcd-password", Change::Connection)
        .allows("a key of a Secret (letters, digits, -, _ and .)")
        .means("Which key of the Secret has that password, for a Secret that something else made."),
    key("etcd-cert-file", Group::Etcd, "", Change::Connection)
        .allows("path of a readable PEM file; together with etcd-key-file")
        .means("Certificate that the watcher shows to etcd."),
    key("etcd-key-file", Group::Etcd, "", Change::Connection)
        .allows("path of a readable PEM file; together with etcd-cert-file")
        .means("Private key of that certificate."),
    key("etcd-ca-file", Group::Etcd, "", Change::Connection)
        .allows(PATH)
        .means("Certificate authorities trusted to sign etcd's certificate. When it is not set, the system's."),
    key("etcd-server-name", Group::Etcd, "", Change::Connection)
        .allows("a host name or IP address, without scheme and port")
        .means("Name that etcd's certificate must have. When it is not set, the endpoint's host."),
    key("etcd-lease-ttl", Group::Etcd, "1h", Change::Tunables).allows(LEASE).means(
        "How long after a watcher's last sign of life its slots are left to it, with the etcd driver. They go on \
             counting; then another watcher takes them over.",
    ),
    key("memory-lease-ttl", Group::Memory, "30m", Change::Tunables)
        .allows(LEASE)
        .means("How long after a watcher's last sign of life its slots are left to it, with the memory driver."),
];

// === impl Key ===

const fn key(name: &'static str, group: Group, default: &'static str, change: Change) -> Key {
    Key { name, group, default, allowed: "", doc: "", secret: false, change }
}

impl Key {
    const fn allows(mut self, allowed: &'static str) -> Self {
        self.allowed = allowed;
        self
    }

    const fn means(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    const fn hidden(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The environment variable of this key: `PAC_POSTGRESQL_PORT`.
    pub fn variable(&self) -> String {
        format!("PAC_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// The environment variable that names a file with the value: `PAC_POSTGRESQL_PASSWORD_FILE`.
    pub fn file_variable(&self) -> String {
        format!("{}_FILE", self.variable())
    }
}

// === impl Group ===

impl Group {
    /// The prefixes that belong to us: a key that starts with one is ours, or a mistake.
    pub(crate) const PREFIXES: [&str; 4] = ["concurrency-", "postgresql-", "etcd-", "memory-"];
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::General => "General",
            Self::PostgreSql => "PostgreSQL",
            Self::Etcd => "etcd",
            Self::Memory => "Memory",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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
        let key = find_key("postgresql-password").unwrap();
        assert_eq!(key.variable(), "PAC_POSTGRESQL_PASSWORD");
        assert_eq!(key.file_variable(), "PAC_POSTGRESQL_PASSWORD_FILE");
    }
}
