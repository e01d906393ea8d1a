//! What comes out: settings that nothing after this crate has to check again.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::driver_kind::DriverKind;
use crate::key::Key;
use crate::keys;
use crate::secret::Secret;

/// The settings of the concurrency system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether the system holds runs to their limits at all (`concurrency-enabled`).
    pub enabled: bool,
    /// Whether nobody is admitted for the time being (`concurrency-paused`).
    pub paused: bool,
    /// Whether runs are handed to PAC's own queue in place of being started (`concurrency-draining`).
    pub draining: bool,
    /// Whether metrics tell Repositories apart (`concurrency-repository-labels`).
    pub repository_labels: bool,
    /// Whether runs that wait say by annotations what they wait for (`concurrency-annotations`).
    pub annotations: bool,
    /// Who gets a span of each run's wait (`concurrency-traces-endpoint`); none if nobody does.
    pub traces: Option<TracesSettings>,
    /// Whether PAC's watcher makes the Secrets with which runs clone their Git repositories: PAC's own setting
    /// `secret-auto-create`, which is true unless its ConfigMap says otherwise.
    pub pac_makes_secrets: bool,
    /// The chosen driver with its settings; checked even while the system is off.
    pub driver: DriverSettings,
}

/// A collector of traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracesSettings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The path at which it takes spans; begins with `/`.
    pub path: String,
    /// Authorities trusted to sign its certificate; `None` for the system's. Readable when it was checked.
    pub ca_file: Option<PathBuf>,
}

/// The chosen driver (`concurrency-driver`) with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverSettings {
    /// Queues and slots in this process, for tests.
    Memory(MemorySettings),
    /// Queues and slots in PostgreSQL.
    PostgreSql(PostgreSqlSettings),
    /// Queues and slots in etcd, or with [`EtcdMode::Memory`] and [`EtcdMode::Mock`] in this process.
    Etcd(EtcdSettings),
}

/// Settings of the memory driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// How long after a watcher's last sign of life its slots are left to it; at least 10 seconds.
    pub lease_ttl: Duration,
}

/// Settings of the PostgreSQL driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgreSqlSettings {
    /// Where it may be: at least one, none twice. The one that takes writes is the one to work with.
    pub servers: Vec<PostgreSqlServer>,
    /// Database; 1 to 63 bytes.
    pub database: String,
    /// User; 1 to 63 bytes.
    pub username: String,
    /// Password to the byte, if any.
    pub password: Option<Secret>,
    /// How the connection is protected.
    pub ssl_mode: SslMode,
    /// Authorities that `VerifyCa` and `VerifyFull` trust; `None` for the system's. Readable when it was checked.
    pub ssl_ca_file: Option<PathBuf>,
    /// Certificate and key that the watcher shows.
    pub client_identity: Option<ClientIdentity>,
    /// The most connections; 1 to 1000.
    pub max_connections: u32,
    /// How long to wait for a connection; 1 ms to 1 h.
    pub connection_timeout: Duration,
    /// How long after a watcher's last sign of life its slots are left to it; at least 10 seconds.
    pub lease_ttl: Duration,
}

/// A place where PostgreSQL may be. Its `Display` is `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PostgreSqlServer {
    /// Host name or IP address; an IPv6 address has no brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// How a connection to PostgreSQL is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SslMode {
    /// In clear.
    Disable,
    /// Encrypted, without a look at the server's certificate.
    Require,
    /// Encrypted, the certificate signed by a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate is for this host.
    VerifyFull,
}

/// Settings of the etcd driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdSettings {
    /// The members to talk to: at least one, all of one scheme, none twice.
    pub endpoints: Vec<Endpoint>,
    /// How long to wait for a connection; 1 ms to 1 h.
    pub dial_timeout: Duration,
    /// Whether there is a server at all.
    pub mode: EtcdMode,
    /// User and password, if authentication is on.
    pub credentials: Option<Credentials>,
    /// Certificate and key that the watcher shows, for mutual TLS.
    pub client_identity: Option<ClientIdentity>,
    /// Authorities trusted to sign the server's certificate; `None` for the system's. Readable when it was checked.
    pub ca_file: Option<PathBuf>,
    /// The name the server's certificate must have; `None` for the endpoint's host.
    pub server_name: Option<String>,
    /// How long after a watcher's last sign of life its slots are left to it; at least 10 seconds.
    pub lease_ttl: Duration,
    /// The same for [`EtcdMode::Memory`] and [`EtcdMode::Mock`], from `memory-lease-ttl`.
    pub memory_lease_ttl: Duration,
}

/// One server that is reached over HTTP, such as a member of an etcd cluster. Its `Display` is the URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// In clear or with TLS.
    pub scheme: Scheme,
    /// Host name or IP address; an IPv6 address has no brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// In clear or with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In clear.
    Http,
    /// With TLS.
    Https,
}

/// Whether the etcd driver talks to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EtcdMode {
    /// It does.
    Etcd,
    /// No server: everything in this process.
    Memory,
    /// The same as `Memory`, under the name that older configurations use in tests.
    Mock,
}

/// User and password, which only make sense together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password to the byte.
    pub password: Secret,
}

/// A client's certificate and private key, which only make sense together. Both were readable when they were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// PEM file with the certificate.
    pub cert_file: PathBuf,
    /// PEM file with the private key.
    pub key_file: PathBuf,
}

// === impl DriverSettings ===

impl DriverSettings {
    /// Which driver it is.
    pub fn kind(&self) -> DriverKind {
        match self {
            Self::Memory(_) => DriverKind::Memory,
            Self::PostgreSql(_) => DriverKind::PostgreSql,
            Self::Etcd(_) => DriverKind::Etcd,
        }
    }

    /// The driver's name as `concurrency-driver` has it: `postgresql`, `etcd` or `memory`.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The setting that chose it, and its value: `etcd-mode` where that has it keep all in the watcher's memory, otherwise
    /// `concurrency-driver`.
    pub fn chosen_by(&self) -> (&'static Key, &'static str) {
        match self {
            Self::Etcd(etcd) if etcd.mode != EtcdMode::Etcd => (&keys::ETCD_MODE, etcd.mode.name()),
            _ => (&keys::CONCURRENCY_DRIVER, self.name()),
        }
    }

    /// The key that names its server; none if it has none.
    pub fn server_key(&self) -> Option<&'static Key> {
        match self {
            Self::Memory(_) => None,
            Self::PostgreSql(_) => Some(&keys::POSTGRESQL_HOST),
            Self::Etcd(_) => Some(&keys::ETCD_ENDPOINTS),
        }
    }

    /// The lease time that counts: with `etcd-mode` memory or mock it is `memory-lease-ttl`.
    pub fn lease_ttl(&self) -> Duration {
        match self {
            Self::Memory(memory) => memory.lease_ttl,
            Self::PostgreSql(postgresql) => postgresql.lease_ttl,
            Self::Etcd(etcd) => etcd.effective_lease_ttl(),
        }
    }
}

// === impl TracesSettings ===

impl TracesSettings {
    /// Where spans are sent.
    pub fn url(&self) -> String {
        format!("{}{}", self.endpoint, self.path)
    }
}

// === impl EtcdSettings ===

impl EtcdSettings {
    /// Whether any endpoint is reached with TLS; then all are.
    pub fn uses_tls(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.scheme == Scheme::Https)
    }

    /// `lease_ttl` with a server, `memory_lease_ttl` without.
    pub fn effective_lease_ttl(&self) -> Duration {
        match self.mode {
            EtcdMode::Etcd => self.lease_ttl,
            EtcdMode::Memory | EtcdMode::Mock => self.memory_lease_ttl,
        }
    }
}

// === impl PostgreSqlServer ===

impl fmt::Display for PostgreSqlServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(formatter, "[{host}]:{port}") } else { write!(formatter, "{host}:{port}") }
    }
}

// === impl SslMode ===

impl SslMode {
    pub(crate) const ALL: [Self; 4] = [Self::Disable, Self::Require, Self::VerifyCa, Self::VerifyFull];

    /// The mode as `postgresql-ssl-mode` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

// === impl EtcdMode ===

impl EtcdMode {
    pub(crate) const ALL: [Self; 3] = [Self::Etcd, Self::Memory, Self::Mock];

    /// The mode as `etcd-mode` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Memory => "memory",
            Self::Mock => "mock",
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// The same host and port, whatever the scheme; host names don't differ by case.
    pub fn same_server(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        if host.contains(':') {
            write!(formatter, "{scheme}://[{host}]:{port}")
        } else {
            write!(formatter, "{scheme}://{host}:{port}")
        }
    }
}

// === impl Scheme ===

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}
