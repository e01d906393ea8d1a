//! From settings to a session with one member of the cluster.

use std::path::Path;
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, Error, GetOptions, Identity, KvClient, LeaseClient, MaintenanceClient,
    TlsOptions, WatchClient,
};
use pac_concurrency::{DriverError, Fault};
use pac_config::keys::{ETCD_CA_FILE, ETCD_CERT_FILE, ETCD_KEY_FILE};
use pac_config::{Endpoint, EtcdSettings, Key, Scheme};
use tokio::time::timeout;
use tracing::warn;

use crate::error::{CallStage, Failure, Member, needs_no_login};
use crate::keys;

/// How long a connection may be silent before we ask whether it lives, while something is under way on it. The server
/// takes it amiss if asked more often than every 5 s.
const PING_EVERY: Duration = Duration::from_secs(10);
/// How long it has to say so.
const PING_PATIENCE: Duration = Duration::from_secs(5);

/// A connection to one member, logged in; it answered when it was made.
pub(crate) struct Session {
    pub(crate) member: Member,
    client: Client,
}

// === impl Session ===

impl Session {
    /// Connects to `endpoint`, logs in, and reads, which takes a cluster that works and a right to our keys.
    ///
    /// Files are read anew each time, so that renewed certificates are used from the next connection on.
    pub(crate) async fn open(settings: &EtcdSettings, endpoint: &Endpoint) -> Result<Self, DriverError> {
        let username = settings.credentials.as_ref().map(|credentials| credentials.username.clone());
        let member = Member { address: endpoint.to_string(), username };
        let opening = async {
            let client = connect(settings, endpoint, &member).await?;
            let session = Self { member: member.clone(), client };
            session.look().await.map_err(|error| session.explain(CallStage::Connecting, error).error)?;
            Ok(session)
        };
        let looked_at = async {
            let failure = match opening.await {
                Err(DriverError::Rejected(fault)) if endpoint.scheme == Scheme::Https => fault,
                opened => return opened,
            };
            Err(DriverError::Rejected(with_peculiarity(failure, endpoint, &member).await))
        };
        match timeout(settings.dial_timeout, Box::pin(looked_at)).await {
            Ok(opened) => opened,
            Err(_) => Err(member.silent(CallStage::Connecting, settings.dial_timeout).error),
        }
    }

    /// Reads next to nothing, by way of the cluster's leader.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        let options = GetOptions::new().with_prefix().with_count_only();
        self.kv().get(keys::HOLDERS, Some(options)).await.map(drop)
    }

    pub(crate) fn explain(&self, stage: CallStage, error: Error) -> Failure {
        self.member.explain(stage, error)
    }

    pub(crate) fn kv(&self) -> KvClient {
        // A large queue is more than the 4 MB that are the default.
        self.client.kv_client().max_decoding_message_size(usize::MAX)
    }

    pub(crate) fn leases(&self) -> LeaseClient {
        self.client.lease_client()
    }

    pub(crate) fn watches(&self) -> WatchClient {
        self.client.watch_client().max_decoding_message_size(usize::MAX)
    }

    pub(crate) fn maintenance(&self) -> MaintenanceClient {
        self.client.maintenance_client()
    }
}

/// Says what it is about the server's certificate, if it is that: the library's own error has no word of it.
async fn with_peculiarity(fault: Fault, endpoint: &Endpoint, member: &Member) -> Fault {
    if !fault.what.starts_with("no TLS") {
        return fault;
    }
    let certificate = pac_tls::certificate_of(&endpoint.host, endpoint.port).await;
    match certificate.and_then(|certificate| pac_tls::peculiarity(&certificate)) {
        Some(peculiarity) => Fault::because(format!("no TLS with {}: {peculiarity}", member.address), fault),
        None => fault,
    }
}

async fn connect(settings: &EtcdSettings, endpoint: &Endpoint, member: &Member) -> Result<Client, DriverError> {
    let options = options(settings, endpoint).await?;
    let url = [endpoint.to_string()];
    let Some(credentials) = &settings.credentials else {
        return Client::connect(url, Some(options))
            .await
            .map_err(|error| member.explain(CallStage::Connecting, error).error);
    };
    let with_user = options.clone().with_user(&credentials.username, credentials.password.expose());
    match Client::connect(&url, Some(with_user)).await {
        // So does etcdctl: a server without users has no use for one, and may get them later.
        Err(error) if needs_no_login(&error) => {
            warn!(member = %member.address, "etcd has authentication switched off: etcd-username and etcd-password are not used");
            Client::connect(&url, Some(options)).await
        }
        connected => connected,
    }
    .map_err(|error| member.explain(CallStage::Connecting, error).error)
}

async fn options(settings: &EtcdSettings, endpoint: &Endpoint) -> Result<ConnectOptions, DriverError> {
    let options = ConnectOptions::new()
        .with_connect_timeout(settings.dial_timeout)
        .with_keep_alive(PING_EVERY, PING_PATIENCE)
        .with_keep_alive_while_idle(false)
        .with_require_leader(true);
    match endpoint.scheme {
        Scheme::Http => Ok(options),
        Scheme::Https => Ok(options.with_tls(tls(settings).await?)),
    }
}

async fn tls(settings: &EtcdSettings) -> Result<TlsOptions, DriverError> {
    let mut tls = TlsOptions::new();
    tls = match &settings.ca_file {
        Some(file) => tls.ca_certificate(Certificate::from_pem(read(&ETCD_CA_FILE, file).await?)),
        None => tls.with_native_roots(),
    };
    if let Some(identity) = &settings.client_identity {
        let certificate = read(&ETCD_CERT_FILE, &identity.cert_file).await?;
        let key = read(&ETCD_KEY_FILE, &identity.key_file).await?;
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    if let Some(name) = &settings.server_name {
        tls = tls.domain_name(name);
    }
    Ok(tls)
}

async fn read(setting: &Key, file: &Path) -> Result<Vec<u8>, DriverError> {
    let content = tokio::fs::read(file).await.map_err(|error| {
        DriverError::Rejected(Fault::because(format!("{setting}: {} can't be read", file.display()), error))
    })?;
    // Some editors put a byte order mark before the text.
    Ok(content.strip_prefix(b"\xEF\xBB\xBF").map_or_else(|| content.clone(), <[u8]>::to_vec))
}
