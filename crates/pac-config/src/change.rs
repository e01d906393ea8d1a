//! What a change of settings needs in a watcher that runs.

use std::path::Path;

use crate::keys::find_key;
use crate::settings::{ClientIdentity, DriverSettings, EtcdSettings, PostgreSqlSettings, Settings};

/// What a change of settings needs. The greater includes the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Nothing changed.
    None,
    /// What the watcher tells of itself: it applies at the next telling.
    Telling,
    /// Limits and tunables: they apply in place.
    Tunables,
    /// The same store, reached in another way (user, password, TLS): connect anew; nothing is moved.
    Connection,
    /// Another store: fill and verify the new one, then switch.
    Driver,
    /// Turned on or off: start or stop admitting. `Settings::enabled` of the new settings says which.
    Switch,
}

// === impl Change ===

impl Change {
    pub(crate) const fn explanation(self) -> &'static str {
        match self {
            Self::None => "has no effect",
            Self::Telling | Self::Tunables => "applies in place",
            Self::Connection => "connects anew to the same store",
            Self::Driver => "moves over to the new store",
            Self::Switch => "starts or stops the system",
        }
    }
}

// === impl Settings ===

impl Settings {
    /// The keys whose effect differs, in the order of the table.
    ///
    /// A key that is written differently but means the same is not among them. With another driver, its own keys are
    /// not compared: `concurrency-driver` says it all.
    pub fn difference(&self, other: &Self) -> Vec<&'static str> {
        let mut keys = Keys::default();
        keys.compare("concurrency-enabled", &self.enabled, &other.enabled);
        keys.compare("concurrency-repository-labels", &self.repository_labels, &other.repository_labels);
        match (&self.driver, &other.driver) {
            (DriverSettings::PostgreSql(old), DriverSettings::PostgreSql(new)) => {
                compare_postgresql(old, new, &mut keys)
            }
            (DriverSettings::Etcd(old), DriverSettings::Etcd(new)) => compare_etcd(old, new, &mut keys),
            (DriverSettings::Memory(old), DriverSettings::Memory(new)) => {
                keys.compare("memory-lease-ttl", &old.lease_ttl, &new.lease_ttl);
            }
            _ => keys.0.push("concurrency-driver"),
        }
        keys.0
    }

    /// What a running watcher has to do to get from these settings to `new`.
    ///
    /// Two lists of etcd endpoints with one in common are the same cluster: a member was added or removed; and so are two
    /// lists of PostgreSQL servers. While the
    /// system is off before and after, nothing runs that could be moved, and every change is one of tunables.
    pub fn change_to(&self, new: &Self) -> Change {
        let keys = self.difference(new);
        let needed = keys.iter().map(|name| self.change_of(name, new)).max().unwrap_or(Change::None);
        if self.enabled || new.enabled { needed } else { needed.min(Change::Tunables) }
    }

    fn change_of(&self, name: &str, new: &Self) -> Change {
        let is_same_store = match (&self.driver, &new.driver, name) {
            (DriverSettings::Etcd(old), DriverSettings::Etcd(new), "etcd-endpoints") => {
                old.endpoints.iter().any(|endpoint| new.endpoints.iter().any(|other| other.same_server(endpoint)))
            }
            (
                DriverSettings::PostgreSql(old),
                DriverSettings::PostgreSql(new),
                "postgresql-host" | "postgresql-port",
            ) => old.servers.iter().any(|server| new.servers.contains(server)),
            _ => false,
        };
        if is_same_store {
            return Change::Connection;
        }
        find_key(name).map_or(Change::Driver, |key| key.change)
    }
}

#[derive(Default)]
struct Keys(Vec<&'static str>);

impl Keys {
    fn compare<T: PartialEq>(&mut self, key: &'static str, old: &T, new: &T) {
        if old != new {
            self.0.push(key);
        }
    }
}

fn compare_postgresql(old: &PostgreSqlSettings, new: &PostgreSqlSettings, keys: &mut Keys) {
    let hosts = |settings: &PostgreSqlSettings| settings.servers.iter().map(|server| server.host.clone()).collect();
    let ports = |settings: &PostgreSqlSettings| settings.servers.iter().map(|server| server.port).collect();
    keys.compare::<Vec<String>>("postgresql-host", &hosts(old), &hosts(new));
    keys.compare::<Vec<u16>>("postgresql-port", &ports(old), &ports(new));
    keys.compare("postgresql-database", &old.database, &new.database);
    keys.compare("postgresql-username", &old.username, &new.username);
    keys.compare("postgresql-password", &old.password, &new.password);
    keys.compare("postgresql-ssl-mode", &old.ssl_mode, &new.ssl_mode);
    keys.compare("postgresql-ssl-ca-file", &old.ssl_ca_file, &new.ssl_ca_file);
    keys.compare("postgresql-ssl-cert-file", &cert_file(&old.client_identity), &cert_file(&new.client_identity));
    keys.compare("postgresql-ssl-key-file", &key_file(&old.client_identity), &key_file(&new.client_identity));
    keys.compare("postgresql-max-connections", &old.max_connections, &new.max_connections);
    keys.compare("postgresql-connection-timeout", &old.connection_timeout, &new.connection_timeout);
    keys.compare("postgresql-lease-ttl", &old.lease_ttl, &new.lease_ttl);
}

fn cert_file(identity: &Option<ClientIdentity>) -> Option<&Path> {
    identity.as_ref().map(|identity| identity.cert_file.as_path())
}

fn key_file(identity: &Option<ClientIdentity>) -> Option<&Path> {
    identity.as_ref().map(|identity| identity.key_file.as_path())
}

fn compare_etcd(old: &EtcdSettings, new: &EtcdSettings, keys: &mut Keys) {
    let username = |settings: &EtcdSettings| settings.credentials.as_ref().map(|both| both.username.clone());
    let password = |settings: &EtcdSettings| settings.credentials.as_ref().map(|both| both.password.clone());
    keys.compare("etcd-endpoints", &old.endpoints, &new.endpoints);
    keys.compare("etcd-dial-timeout", &old.dial_timeout, &new.dial_timeout);
    keys.compare("etcd-mode", &old.mode, &new.mode);
    keys.compare("etcd-username", &username(old), &username(new));
    keys.compare("etcd-password", &password(old), &password(new));
    keys.compare("etcd-cert-file", &cert_file(&old.client_identity), &cert_file(&new.client_identity));
    keys.compare("etcd-key-file", &key_file(&old.client_identity), &key_file(&new.client_identity));
    keys.compare("etcd-ca-file", &old.ca_file, &new.ca_file);
    keys.compare("etcd-server-name", &old.server_name, &new.server_name);
    keys.compare("etcd-lease-ttl", &old.lease_ttl, &new.lease_ttl);
    keys.compare("memory-lease-ttl", &old.memory_lease_ttl, &new.memory_lease_ttl);
}
