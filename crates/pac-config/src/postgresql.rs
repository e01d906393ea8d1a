//! The keys of the PostgreSQL driver.

use crate::files::ReadFile;
use crate::keys;
use crate::parse::{choice, connections, duration, host::host, key_of_secret, name, path, port};
use crate::reader::{Parsed, Pem, Reader};
use crate::settings::{ClientIdentity, PostgreSqlServer, PostgreSqlSettings, SslMode};
use crate::shown::plain;

/// Reads every key of the group. `None` is at least one problem that was reported.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<PostgreSqlSettings> {
    // Every key is read before any is missed, so that all problems are found.
    let hosts = reader.value(&keys::POSTGRESQL_HOST, hosts);
    let ports = reader.value(&keys::POSTGRESQL_PORT, ports);
    let database = reader.value(&keys::POSTGRESQL_DATABASE, name);
    let username = reader.value(&keys::POSTGRESQL_USERNAME, name);
    let password_key = reader.value(&keys::POSTGRESQL_PASSWORD_KEY, key_of_secret);
    let password = reader.password(&keys::POSTGRESQL_PASSWORD);
    let ssl_mode = reader.value(&keys::POSTGRESQL_SSL_MODE, ssl_mode);
    let ssl_ca_file = reader.optional(&keys::POSTGRESQL_SSL_CA_FILE, path);
    let ssl_cert_file = reader.optional(&keys::POSTGRESQL_SSL_CERT_FILE, path);
    let ssl_key_file = reader.optional(&keys::POSTGRESQL_SSL_KEY_FILE, path);
    let max_connections = reader.value(&keys::POSTGRESQL_MAX_CONNECTIONS, connections);
    let connection_timeout = reader.value(&keys::POSTGRESQL_CONNECTION_TIMEOUT, duration::timeout);
    let lease_ttl = reader.value(&keys::POSTGRESQL_LEASE_TTL, duration::lease);
    let servers = servers(reader, hosts?, &ports?);
    password_key?;
    Some(PostgreSqlSettings {
        servers: servers?,
        database: database?,
        username: username?,
        password,
        ssl_mode: ssl_mode?,
        ssl_ca_file,
        client_identity: ssl_cert_file
            .zip(ssl_key_file)
            .map(|(cert_file, key_file)| ClientIdentity { cert_file, key_file }),
        max_connections: max_connections?,
        connection_timeout: connection_timeout?,
        lease_ttl: lease_ttl?,
    })
}

/// Checks what fits together, once the driver is chosen.
pub(crate) fn check(reader: &mut Reader<'_>, settings: Option<&PostgreSqlSettings>, files: &dyn ReadFile) {
    let ca_file = &keys::POSTGRESQL_SSL_CA_FILE;
    reader.check_file(ca_file, Pem::Certificate, files);
    reader.together(&keys::POSTGRESQL_SSL_CERT_FILE, &keys::POSTGRESQL_SSL_KEY_FILE);
    reader.check_file(&keys::POSTGRESQL_SSL_CERT_FILE, Pem::Certificate, files);
    reader.check_file(&keys::POSTGRESQL_SSL_KEY_FILE, Pem::PrivateKey, files);
    if settings.is_some_and(|settings| settings.ssl_mode == SslMode::Disable && settings.client_identity.is_some()) {
        reader.conflict(
            &keys::POSTGRESQL_SSL_CERT_FILE,
            format!("is set, but {} is disable, so that it would never be shown", keys::POSTGRESQL_SSL_MODE),
        );
    }
    let ssl_mode = settings.filter(|_| reader.collected.is_set(ca_file)).map(|settings| settings.ssl_mode);
    let mode_key = &keys::POSTGRESQL_SSL_MODE;
    match ssl_mode {
        Some(SslMode::Disable) => {
            let message = format!(
                "is set, but {mode_key} is disable, so nothing would be checked; use verify-ca or verify-full, or leave the \
                 file out"
            );
            reader.conflict(ca_file, message);
        }
        Some(SslMode::Require) => {
            let message = format!(
                "is set, but {mode_key} is require, which doesn't check the server's certificate; use verify-ca or verify-full"
            );
            reader.findings.warn(ca_file, message);
        }
        Some(SslMode::VerifyCa | SslMode::VerifyFull) | None => {}
    }
    // With a certificate of its own, a user often has none.
    if !reader.collected.is_set(&keys::POSTGRESQL_SSL_CERT_FILE) {
        warn_of_missing_password(reader);
    }
}

/// A missing password is legal (trust, peer), but far more often a Secret that isn't there.
fn warn_of_missing_password(reader: &mut Reader<'_>) {
    let key = &keys::POSTGRESQL_PASSWORD;
    if reader.collected.is_set(key) {
        return;
    }
    let name = reader.collected.name_in_secret(key);
    let named = if name == key.name { String::new() } else { format!(" (key {})", plain(name)) };
    let message = format!(
        "is not set in the Secret{named}, {} or {}; connecting without a password",
        key.file_variable(),
        key.variable()
    );
    reader.findings.warn(key, message);
}

/// Each host with the one port, or with the port at its place; none twice.
fn servers(reader: &mut Reader<'_>, hosts: Vec<String>, ports: &[u16]) -> Option<Vec<PostgreSqlServer>> {
    if ports.len() != 1 && ports.len() != hosts.len() {
        let (ports, hosts) = (ports.len(), hosts.len());
        let host = &keys::POSTGRESQL_HOST;
        let message = format!("has {ports} ports, and {host} has {hosts} hosts; give one for all, or one for each");
        reader.conflict(&keys::POSTGRESQL_PORT, message);
        return None;
    }
    let ports = ports.iter().cycle();
    let mut servers: Vec<PostgreSqlServer> = Vec::with_capacity(hosts.len());
    for server in hosts.into_iter().zip(ports).map(|(host, port)| PostgreSqlServer { host, port: *port }) {
        if servers.contains(&server) {
            reader.findings.warn(&keys::POSTGRESQL_HOST, format!("has {server} more than once"));
        } else {
            servers.push(server);
        }
    }
    Some(servers)
}

fn hosts(text: &str) -> Parsed<Vec<String>> {
    list(text, host)
}

fn ports(text: &str) -> Parsed<Vec<u16>> {
    list(text, port)
}

fn list<T>(text: &str, parse: fn(&str) -> Parsed<T>) -> Parsed<Vec<T>> {
    // Of what may have a password in it no part is quoted, but the whole, masked.
    if text.contains(['@', '=']) {
        return parse(text).map(|one| vec![one]);
    }
    text.split(',').map(|entry| parse(entry.trim())).collect()
}

fn ssl_mode(text: &str) -> Parsed<SslMode> {
    choice(text, &SslMode::ALL, SslMode::name, "is not an SSL mode")
}
