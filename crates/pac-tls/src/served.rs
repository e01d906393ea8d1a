//! The certificate that a port of ours shows, and its replacement while the port is served.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::validity;

/// What a port shows to whom connects; connections that are open keep what they were shown. Before it has a certificate, nobody
/// can connect.
#[derive(Debug, Default)]
pub struct Served(RwLock<Option<Arc<CertifiedKey>>>);

/// Why a certificate and its key can't be served.
#[derive(Debug, thiserror::Error)]
pub enum Unservable {
    /// There is none among what was read.
    #[error("there is no certificate yet")]
    Missing,
    /// It is no PEM.
    #[error("the certificate can't be read: {0}")]
    Certificate(pem::Error),
    /// Neither is the key.
    #[error("the key can't be read: {0}")]
    Key(pem::Error),
    /// They don't belong together, or are of a kind that the library doesn't know.
    #[error("certificate and key can't be used together: {0}")]
    Together(rustls::Error),
}

// === impl Served ===

impl Served {
    /// When the certificate expires, if there is one.
    pub fn expires(&self) -> Option<SystemTime> {
        let held = self.0.read();
        validity(held.as_ref()?.cert.first()?).map(|validity| validity.not_after)
    }

    /// Whether there is a certificate to show.
    pub fn is_there(&self) -> bool {
        self.0.read().is_some()
    }

    /// Shows this certificate from now on, with those between it and its authority, all as PEM; says whether it is another one.
    ///
    /// # Errors
    ///
    /// If it can't be served; then what was shown before is shown still.
    pub fn take_up(&self, chain: &[u8], key: &[u8]) -> Result<bool, Unservable> {
        let key = certified_key(chain, key)?;
        if self.0.read().as_ref().is_some_and(|held| held.cert == key.cert) {
            return Ok(false);
        }
        *self.0.write() = Some(Arc::new(key));
        Ok(true)
    }

    /// A server's configuration that shows it, speaks HTTP/1.1 and asks nobody for a certificate.
    ///
    /// # Errors
    ///
    /// If the TLS library refuses its own defaults.
    pub fn config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().clone()
    }
}

/// Certificates and key, both as PEM, if they belong together.
///
/// # Errors
///
/// If they don't, or aren't there.
pub fn certified_key(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, Unservable> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.map_err(Unservable::Certificate)?;
    if chain.is_empty() {
        return Err(Unservable::Missing);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(Unservable::Key)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(Unservable::Together)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn what_can_not_be_served_leaves_what_is_served() {
        let served = Served::default();
        assert!(matches!(served.take_up(b"", b""), Err(Unservable::Missing)));
        assert!(!served.is_there());
        let ((one, one_key), (other, other_key)) = (made(), made());
        assert!(served.take_up(one.as_bytes(), one_key.as_bytes()).unwrap());
        assert!(!served.take_up(one.as_bytes(), one_key.as_bytes()).unwrap(), "it is the same");
        let shown = served.0.read().clone().unwrap().cert.clone();
        // As where one of two files was replaced, and the other not yet.
        assert!(matches!(served.take_up(other.as_bytes(), one_key.as_bytes()), Err(Unservable::Together(_))));
        assert!(matches!(served.take_up(other.as_bytes(), b"no key"), Err(Unservable::Key(_))));
        assert_eq!(served.0.read().clone().unwrap().cert, shown);
        assert!(served.take_up(other.as_bytes(), other_key.as_bytes()).unwrap());
        assert!(served.expires().is_some_and(|expires| expires > SystemTime::now()));
    }
}
