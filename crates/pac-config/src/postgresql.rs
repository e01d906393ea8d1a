//! The keys of the PostgreSQL driver.

use crate::files::ReadFile;
use crate::keys::find_key;
use crate::parse::{choice, connections, duration, host::host, name, path, port};
use crate::reader::{Parsed, Pem, Reader};
use crate::settings::{PostgreSqlSettings, SslMode};

const SSL_MODES: [(&str, SslMode); 4] = [
    ("disable", SslMode::Disable),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// Reads every key of the group. `None` is at least one problem that was reported.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<PostgreSqlSettings> {
    // Every key is read before any is missed, so that all problems are found.
    let host = reader.value("postgresql-host", host);
    let port = reader.value("postgresql-port", port);
    let database = reader.value("postgresql-database", name);
    let username = reader.value("postgresql-username", name);
    let password = reader.password("postgresql-password");
    let ssl_mode = reader.value("postgresql-ssl-mode", ssl_mode);
    let ssl_ca_file = reader.optional("postgresql-ssl-ca-file", path);
    let max_connections = reader.value("postgresql-max-connections", connections);
    let connection_timeout = reader.value("postgresql-connection-timeout", duration::timeout);
    let lease_ttl = reader.value("postgresql-lease-ttl", duration::lease);
    Some(PostgreSqlSettings {
        host: host?,
        port: port?,
        database: database?,
        username: username?,
        password,
        ssl_mode: ssl_mode?,
        ssl_ca_file,
        max_connections: max_connections?,
        connection_timeout: connection_timeout?,
        lease_ttl: lease_ttl?,
    })
}

/// Checks what fits together, once the driver is chosen.
pub(crate) fn check(reader: &mut Reader<'_>, settings: Option<&PostgreSqlSettings>, files: &dyn ReadFile) {
    let ca_file = "postgresql-ssl-ca-file";
    reader.check_file(ca_file, Pem::Certificate, files);
    let ssl_mode = settings.filter(|_| reader.collected.is_set(ca_file)).map(|settings| settings.ssl_mode);
    match ssl_mode {
        Some(SslMode::Disable) => reader.conflict(
            ca_file,
            "is set, but postgresql-ssl-mode is disable, so nothing would be checked; use verify-ca or verify-full, or \
             leave the file out",
        ),
        Some(SslMode::Require) => reader.findings.warn(
            ca_file,
            "is set, but postgresql-ssl-mode is require, which doesn't check the server's certificate; use verify-ca \
             or verify-full",
        ),
        Some(SslMode::VerifyCa | SslMode::VerifyFull) | None => {}
    }
    warn_of_missing_password(reader);
}

/// A missing password is legal (trust, peer), but far more often a Secret that isn't there.
fn warn_of_missing_password(reader: &mut Reader<'_>) {
    let Some(key) = find_key("postgresql-password").filter(|key| !reader.collected.is_set(key.name)) else {
        return;
    };
    let message = format!(
        "is not set in the Secret, {} or {}; connecting without a password",
        key.file_variable(),
        key.variable()
    );
    reader.findings.warn(key.name, message);
}

fn ssl_mode(text: &str) -> Parsed<SslMode> {
    choice(text, &SSL_MODES, "is not an SSL mode")
}
