//! Two settings compared: which keys differ, and what the change needs.

use std::path::Path;

use crate::impact::SettingsImpact;
use crate::key::Key;
use crate::keys;
use crate::settings::{ClientIdentity, DriverSettings, EtcdSettings, PostgreSqlSettings, Settings, TracesSettings};

impl Settings {
    /// The keys whose effect differs, in the order of the table.
    ///
    /// A key that is written differently but means the same is not among them. With another driver, its own keys are
    /// not compared: `concurrency-driver` says it all.
    pub fn difference(&self, other: &Self) -> Vec<&'static str> {
        self.differing_keys(other).into_iter().map(|key| key.name).collect()
    }

    fn differing_keys(&self, other: &Self) -> Vec<&'static Key> {
        let mut differing = Differing::default();
        differing.compare(&keys::CONCURRENCY_ENABLED, &self.enabled, &other.enabled);
        differing.compare(&keys::CONCURRENCY_PAUSED, &self.paused, &other.paused);
        differing.compare(&keys::CONCURRENCY_DRAINING, &self.draining, &other.draining);
        differing.compare(&keys::CONCURRENCY_REPOSITORY_LABELS, &self.repository_labels, &other.repository_labels);
        differing.compare(&keys::CONCURRENCY_ANNOTATIONS, &self.annotations, &other.annotations);
        let [traces, others] = [self, other].map(|settings| settings.traces.as_ref());
        let urls = [traces, others].map(|traces| traces.map(TracesSettings::url));
        let ca_files = [traces, others].map(|traces| traces.and_then(|traces| traces.ca_file.as_deref()));
        differing.compare(&keys::CONCURRENCY_TRACES_ENDPOINT, &urls[0], &urls[1]);
        differing.compare(&keys::CONCURRENCY_TRACES_CA_FILE, &ca_files[0], &ca_files[1]);
        match (&self.driver, &other.driver) {
            (DriverSettings::PostgreSql(old), DriverSettings::PostgreSql(new)) => {
                compare_postgresql(old, new, &mut differing)
            }
            (DriverSettings::Etcd(old), DriverSettings::Etcd(new)) => compare_etcd(old, new, &mut differing),
            (DriverSettings::Memory(old), DriverSettings::Memory(new)) => {
                differing.compare(&keys::MEMORY_LEASE_TTL, &old.lease_ttl, &new.lease_ttl);
            }
            _ => differing.0.push(&keys::CONCURRENCY_DRIVER),
        }
        differing.0
    }

    /// What a running watcher has to do to get from these settings to `new`.
    ///
    /// Two lists of etcd endpoints with one in common are the same cluster: a member was added or removed; and so are two
    /// lists of PostgreSQL servers. While the system is off before and after, nothing runs that could be moved, and every change is one of tunables.
    pub fn change_to(&self, new: &Self) -> SettingsImpact {
        let differing = self.differing_keys(new);
        let needed = differing.into_iter().map(|key| self.impact_of(key, new)).max().unwrap_or(SettingsImpact::None);
        if self.enabled || new.enabled { needed } else { needed.min(SettingsImpact::Tunables) }
    }

    fn impact_of(&self, key: &Key, new: &Self) -> SettingsImpact {
        let is_same_store = match (&self.driver, &new.driver) {
            (DriverSettings::Etcd(old), DriverSettings::Etcd(new)) if *key == keys::ETCD_ENDPOINTS => {
                old.endpoints.iter().any(|endpoint| new.endpoints.iter().any(|other| other.same_server(endpoint)))
            }
            (DriverSettings::PostgreSql(old), DriverSettings::PostgreSql(new))
                if [&keys::POSTGRESQL_HOST, &keys::POSTGRESQL_PORT].contains(&key) =>
            {
                old.servers.iter().any(|server| new.servers.contains(server))
            }
            _ => false,
        };
        if is_same_store { SettingsImpact::Connection } else { key.impact }
    }
}

#[derive(Default)]
struct Differing(Vec<&'static Key>);

impl Differing {
    fn compare<T: PartialEq>(&mut self, key: &'static Key, old: &T, new: &T) {
        if old != new {
            self.0.push(key);
        }
    }
}

fn compare_postgresql(old: &PostgreSqlSettings, new: &PostgreSqlSettings, differing: &mut Differing) {
    let hosts = |settings: &PostgreSqlSettings| settings.servers.iter().map(|server| server.host.clone()).collect();
    let ports = |settings: &PostgreSqlSettings| settings.servers.iter().map(|server| server.port).collect();
    differing.compare::<Vec<String>>(&keys::POSTGRESQL_HOST, &hosts(old), &hosts(new));
    differing.compare::<Vec<u16>>(&keys::POSTGRESQL_PORT, &ports(old), &ports(new));
    differing.compare(&keys::POSTGRESQL_DATABASE, &old.database, &new.database);
    differing.compare(&keys::POSTGRESQL_USERNAME, &old.username, &new.username);
    differing.compare(&keys::POSTGRESQL_PASSWORD, &old.password, &new.password);
    differing.compare(&keys::POSTGRESQL_SSL_MODE, &old.ssl_mode, &new.ssl_mode);
    differing.compare(&keys::POSTGRESQL_SSL_CA_FILE, &old.ssl_ca_file, &new.ssl_ca_file);
    differing.compare(
        &keys::POSTGRESQL_SSL_CERT_FILE,
        &cert_file(&old.client_identity),
        &cert_file(&new.client_identity),
    );
    differing.compare(&keys::POSTGRESQL_SSL_KEY_FILE, &key_file(&old.client_identity), &key_file(&new.client_identity));
    differing.compare(&keys::POSTGRESQL_MAX_CONNECTIONS, &old.max_connections, &new.max_connections);
    differing.compare(&keys::POSTGRESQL_CONNECTION_TIMEOUT, &old.connection_timeout, &new.connection_timeout);
    differing.compare(&keys::POSTGRESQL_LEASE_TTL, &old.lease_ttl, &new.lease_ttl);
}

fn cert_file(identity: &Option<ClientIdentity>) -> Option<&Path> {
    identity.as_ref().map(|identity| identity.cert_file.as_path())
}

fn key_file(identity: &Option<ClientIdentity>) -> Option<&Path> {
    identity.as_ref().map(|identity| identity.key_file.as_path())
}

fn compare_etcd(old: &EtcdSettings, new: &EtcdSettings, differing: &mut Differing) {
    let username = |settings: &EtcdSettings| settings.credentials.as_ref().map(|both| both.username.clone());
    let password = |settings: &EtcdSettings| settings.credentials.as_ref().map(|both| both.password.clone());
    differing.compare(&keys::ETCD_ENDPOINTS, &old.endpoints, &new.endpoints);
    differing.compare(&keys::ETCD_DIAL_TIMEOUT, &old.dial_timeout, &new.dial_timeout);
    differing.compare(&keys::ETCD_MODE, &old.mode, &new.mode);
    differing.compare(&keys::ETCD_USERNAME, &username(old), &username(new));
    differing.compare(&keys::ETCD_PASSWORD, &password(old), &password(new));
    differing.compare(&keys::ETCD_CERT_FILE, &cert_file(&old.client_identity), &cert_file(&new.client_identity));
    differing.compare(&keys::ETCD_KEY_FILE, &key_file(&old.client_identity), &key_file(&new.client_identity));
    differing.compare(&keys::ETCD_CA_FILE, &old.ca_file, &new.ca_file);
    differing.compare(&keys::ETCD_SERVER_NAME, &old.server_name, &new.server_name);
    differing.compare(&keys::ETCD_LEASE_TTL, &old.lease_ttl, &new.lease_ttl);
    differing.compare(&keys::MEMORY_LEASE_TTL, &old.memory_lease_ttl, &new.memory_lease_ttl);
}
