//! A client's configuration.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::certificate::peculiarity;

/// What a server's certificate must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Anything.
    Nothing,
    /// Signed by a trusted authority.
    Authority,
    /// The same, and made out to the server's name.
    AuthorityAndName,
}

/// The certificate the client shows, and its private key, both as PEM.
#[derive(Clone, Copy)]
pub struct Identity<'p> {
    /// The certificate, and those between it and its authority.
    pub certificate: &'p [u8],
    /// Its private key.
    pub key: &'p [u8],
}

/// What is wrong with a file that was given.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// The authorities.
    #[error("{0}")]
    Authorities(String),
    /// The client's certificate or its key.
    #[error("{0}")]
    Identity(String),
}

/// A configuration for one connection.
#[derive(Debug)]
pub struct Client {
    /// For whoever makes the connection.
    pub config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
}

/// Looks at a server's certificate as far as it is to be checked.
#[derive(Debug)]
struct Verifier {
    /// Nothing to check is nobody to check it.
    webpki: Option<Arc<WebPkiServerVerifier>>,
    checks_name: bool,
    /// The certificate of the server, to say what is wrong with it.
    shown: Mutex<Option<CertificateDer<'static>>>,
}

/// All there are, so that a server shows its certificate even if its key is none that can be checked here.
const SCHEMES: [SignatureScheme; 13] = [
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED448,
    SignatureScheme::ECDSA_SHA1_Legacy,
    SignatureScheme::RSA_PKCS1_SHA1,
];

/// A client that checks `check`, trusts `authorities` (PEM) alone or the system's if there are none, and shows `identity`.
///
/// # Errors
///
/// If a file is not what it should be, or nobody is trusted at all.
pub fn client(check: Check, authorities: Option<&[u8]>, identity: Option<Identity<'_>>) -> Result<Client, BadFile> {
    let provider = Arc::new(ring::default_provider());
    let webpki = match check {
        Check::Nothing => None,
        Check::Authority | Check::AuthorityAndName => Some(webpki(authorities, &provider)?),
    };
    let verifier =
        Arc::new(Verifier { webpki, checks_name: check == Check::AuthorityAndName, shown: Mutex::default() });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BadFile::Authorities(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let bad = |what: String| BadFile::Identity(what);
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text(identity.certificate)).collect();
            let chain = chain.map_err(|error| bad(format!("the certificate can't be read: {error}")))?;
            let key = PrivateKeyDer::from_pem_slice(text(identity.key))
                .map_err(|error| bad(format!("the private key can't be read: {error}")))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| bad(format!("certificate and private key can't be used: {error}")))?
        }
    };
    Ok(Client { config: Arc::new(config), verifier })
}

fn webpki(authorities: Option<&[u8]>, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, BadFile> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(text(pem)) {
                let bad = |error: String| BadFile::Authorities(format!("a certificate in it can't be used: {error}"));
                let certificate = certificate.map_err(|error| bad(error.to_string()))?;
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
        }
        // One of a hundred that can't be read is no reason to trust none.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|_| BadFile::Authorities("it names no authority, so that nobody would be trusted".to_owned()))
}

/// Without the byte order mark that some editors put before it.
fn text(pem: &[u8]) -> &[u8] {
    pem.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(pem)
}

// === impl Client ===

impl Client {
    /// After a handshake that failed: what it is about the server's certificate, if it is that.
    pub fn peculiarity(&self) -> Option<String> {
        self.verifier.shown.lock().as_deref().and_then(peculiarity)
    }

    /// The certificate that the server showed, if it came to that.
    pub(crate) fn shown(&self) -> Option<CertificateDer<'static>> {
        self.verifier.shown.lock().clone()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.shown.lock() = Some(end_entity.clone().into_owned());
        let Some(webpki) = &self.webpki else { return Ok(ServerCertVerified::assertion()) };
        match webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.webpki {
            Some(webpki) => webpki.verify_tls12_signature(message, cert, dss),
            // Whoever the server is allowed to be, it need not prove it.
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match &self.webpki {
            Some(webpki) => webpki.verify_tls13_signature(message, cert, dss),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}
