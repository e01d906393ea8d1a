//! The keys of the etcd driver.

use std::time::Duration;

use crate::files::ReadFile;
use crate::key::Key;
use crate::keys;
use crate::parse::{any_text, choice, duration, endpoint, host::host, key_of_secret, path};
use crate::reader::{Parsed, Pem, Reader};
use crate::settings::{ClientIdentity, Credentials, Endpoint, EtcdMode, EtcdSettings, Scheme};

/// The keys that only make sense with TLS.
static TLS_KEYS: [&Key; 4] =
    [&keys::ETCD_CERT_FILE, &keys::ETCD_KEY_FILE, &keys::ETCD_CA_FILE, &keys::ETCD_SERVER_NAME];

/// `memory-lease-ttl` where a server makes it meaningless and it has a bad value.
const UNUSED_LEASE: Duration = Duration::from_mins(30);

/// Reads every key of the group. `None` is at least one problem that was reported.
///
/// `memory_lease_ttl` was read before; a bad one only counts where there is no server.
pub(crate) fn read(reader: &mut Reader<'_>, memory_lease_ttl: Option<Duration>) -> Read {
    let written = reader.value(&keys::ETCD_ENDPOINTS, endpoint::endpoints);
    let dial_timeout = reader.value(&keys::ETCD_DIAL_TIMEOUT, duration::timeout);
    let mode = reader.value(&keys::ETCD_MODE, mode);
    let username = reader.optional(&keys::ETCD_USERNAME, any_text);
    let password_key = reader.value(&keys::ETCD_PASSWORD_KEY, key_of_secret);
    let password = reader.password(&keys::ETCD_PASSWORD);
    let cert_file = reader.optional(&keys::ETCD_CERT_FILE, path);
    let key_file = reader.optional(&keys::ETCD_KEY_FILE, path);
    let ca_file = reader.optional(&keys::ETCD_CA_FILE, path);
    let server_name = reader.optional(&keys::ETCD_SERVER_NAME, host);
    let lease_ttl = reader.value(&keys::ETCD_LEASE_TTL, duration::lease);
    let build = || {
        password_key?;
        let mode = mode?;
        let is_served = mode == EtcdMode::Etcd;
        Some(EtcdSettings {
            endpoints: endpoints(written.as_deref()?, uses_tls(reader, written.as_deref()?)),
            dial_timeout: dial_timeout?,
            mode,
            credentials: username.zip(password).map(|(username, password)| Credentials { username, password }),
            client_identity: cert_file
                .zip(key_file)
                .map(|(cert_file, key_file)| ClientIdentity { cert_file, key_file }),
            ca_file,
            server_name,
            lease_ttl: lease_ttl?,
            memory_lease_ttl: memory_lease_ttl.or(is_served.then_some(UNUSED_LEASE))?,
        })
    };
    Read { settings: build(), mode, written }
}

/// The group as far as it could be read.
pub(crate) struct Read {
    pub(crate) settings: Option<EtcdSettings>,
    pub(crate) mode: Option<EtcdMode>,
    written: Option<Vec<endpoint::Written>>,
}

/// Checks what fits together, once the driver is chosen.
pub(crate) fn check(reader: &mut Reader<'_>, read: &Read, files: &dyn ReadFile) {
    reader.together(&keys::ETCD_USERNAME, &keys::ETCD_PASSWORD);
    reader.together(&keys::ETCD_CERT_FILE, &keys::ETCD_KEY_FILE);
    reader.check_file(&keys::ETCD_CERT_FILE, Pem::Certificate, files);
    reader.check_file(&keys::ETCD_KEY_FILE, Pem::PrivateKey, files);
    reader.check_file(&keys::ETCD_CA_FILE, Pem::Certificate, files);
    if let Some(written) = &read.written {
        check_schemes(reader, written);
        warn_of_duplicates(reader, written);
        warn_of_clear_text(reader, written);
    }
}

fn check_schemes(reader: &mut Reader<'_>, written: &[endpoint::Written]) {
    let has = |scheme| written.iter().any(|endpoint| endpoint.scheme == Some(scheme));
    if !has(Scheme::Http) {
        return;
    }
    if has(Scheme::Https) {
        reader.conflict(&keys::ETCD_ENDPOINTS, "has both http:// and https:// endpoints; use one of them for all");
    }
    for key in TLS_KEYS {
        if reader.collected.is_set(key) {
            let endpoints = &keys::ETCD_ENDPOINTS;
            let message = format!("is set, but {endpoints} has http:// endpoints, which use no TLS; write https://");
            reader.conflict(key, message);
        }
    }
}

fn warn_of_duplicates(reader: &mut Reader<'_>, written: &[endpoint::Written]) {
    let all = endpoints_as_written(written, Scheme::Http);
    for (index, endpoint) in all.iter().enumerate() {
        if all[..index].iter().any(|earlier| earlier.same_server(endpoint)) {
            let address = endpoint.to_string();
            let address = address.strip_prefix("http://").unwrap_or(&address);
            reader.findings.warn(&keys::ETCD_ENDPOINTS, format!("has {address} more than once"));
        }
    }
}

fn warn_of_clear_text(reader: &mut Reader<'_>, written: &[endpoint::Written]) {
    let is_remote = |host: &str| host != "localhost" && host != "::1" && !host.starts_with("127.");
    let is_exposed = !uses_tls(reader, written) && written.iter().any(|endpoint| is_remote(&endpoint.host));
    if is_exposed && reader.collected.is_set(&keys::ETCD_PASSWORD) {
        reader.findings.warn(&keys::ETCD_PASSWORD, "goes over the network in clear; use https:// endpoints");
    }
}

fn uses_tls(reader: &Reader<'_>, written: &[endpoint::Written]) -> bool {
    let is_explicit = written.iter().any(|endpoint| endpoint.scheme == Some(Scheme::Https));
    is_explicit || TLS_KEYS.iter().any(|key| reader.collected.is_set(key))
}

/// The endpoints with their schemes, each server once.
fn endpoints(written: &[endpoint::Written], uses_tls: bool) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::with_capacity(written.len());
    for endpoint in endpoints_as_written(written, if uses_tls { Scheme::Https } else { Scheme::Http }) {
        if !endpoints.iter().any(|earlier| earlier.same_server(&endpoint)) {
            endpoints.push(endpoint);
        }
    }
    endpoints
}

fn endpoints_as_written(written: &[endpoint::Written], scheme: Scheme) -> Vec<Endpoint> {
    let decided = written.iter().map(|endpoint| Endpoint {
        scheme: endpoint.scheme.unwrap_or(scheme),
        host: endpoint.host.clone(),
        port: endpoint.port,
    });
    decided.collect()
}

fn mode(text: &str) -> Parsed<EtcdMode> {
    choice(text, &EtcdMode::ALL, EtcdMode::name, "is not an etcd mode")
}
