//! The certificate with which this replica answers, taken up from the Secret whenever it has another one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use parking_lot::RwLock;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use crate::secret::{Contents, Secrets};

/// How often the Secret is read.
const READ_EVERY: Duration = Duration::from_secs(10);
/// How often, while there is no certificate in it yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What this replica shows to whom connects; connections that are open keep what they were shown.
#[derive(Debug, Default)]
pub(crate) struct InUse(RwLock<Option<Arc<CertifiedKey>>>);

// === impl InUse ===

impl InUse {
    /// When the certificate expires, if there is one.
    pub(crate) fn expires(&self) -> Option<SystemTime> {
        let held = self.0.read();
        let certificate = held.as_ref()?.cert.first()?;
        pac_tls::validity(certificate).map(|validity| validity.not_after)
    }

    /// Follows the Secret for as long as anybody waits for it.
    pub(crate) async fn follow(self: Arc<Self>, client: Client, namespace: String) {
        let secrets = Secrets::new(client, &namespace);
        let mut problem = None;
        loop {
            let read = secrets.read().await.map_err(|error| error.to_string());
            let found = read.and_then(|secret| self.take_up(&secret.contents));
            // Once for each kind of trouble: it is looked at every few seconds.
            if let Err(why) = &found
                && problem.as_ref() != Some(why)
            {
                warn!("the webhook has no certificate to take up: {why}");
            }
            problem = found.err();
            let pause = if self.0.read().is_some() { READ_EVERY } else { LOOK_EVERY };
            tokio::time::sleep(pause).await;
        }
    }

    /// Uses what the Secret has from now on, if it is another one and can be used.
    fn take_up(&self, contents: &Contents) -> Result<(), String> {
        let key = certified_key(contents)?;
        if self.0.read().as_ref().is_some_and(|held| held.cert == key.cert) {
            return Ok(());
        }
        *self.0.write() = Some(Arc::new(key));
        info!("the webhook has taken up a certificate");
        Ok(())
    }
}

impl ResolvesServerCert for InUse {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().clone()
    }
}

/// Certificate and key, if they belong together.
pub(crate) fn certified_key(contents: &Contents) -> Result<CertifiedKey, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents.certificate).collect();
    let chain = chain.map_err(|error| format!("tls.crt can't be read: {error}"))?;
    if chain.is_empty() {
        return Err("the Secret has no certificate yet (tls.crt)".to_owned());
    }
    let key =
        PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| format!("tls.key can't be read: {error}"))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| format!("tls.crt and tls.key can't be used together: {error}"))
}
