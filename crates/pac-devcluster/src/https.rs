//! HTTPS to this machine, as the API server calls webhooks: connections are kept open and used again, and errors have the
//! words of Go's client, which is what people get to read.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whom a connection leads to, and whom it has to be vouched for by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What its certificate has to be made out to.
    pub(crate) name: String,
    /// Authorities as PEM in base64; nobody is trusted without.
    pub(crate) authorities: String,
}

/// The client, and the connections that are open and idle.
#[derive(Debug, Default)]
pub(crate) struct Https {
    idle: Mutex<BTreeMap<Peer, Vec<Connection>>>,
}

type Connection = SendRequest<Full<Bytes>>;

/// Why no answer came.
enum Failure {
    /// The connection was closed before the request was sent.
    NothingSent,
    Other(String),
}

// === impl Https ===

impl Https {
    /// Posts JSON; status and body of the answer, or what went wrong.
    pub(crate) async fn post(
        &self,
        peer: &Peer,
        host: &str,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), String> {
        while let Some(connection) = self.take(peer) {
            match self.post_on(connection, peer, host, path, body.clone()).await {
                Err(Failure::NothingSent) => {}
                Err(Failure::Other(why)) => return Err(why),
                Ok(answer) => return Ok(answer),
            }
        }
        match self.post_on(connect(peer).await?, peer, host, path, body).await {
            Err(Failure::NothingSent) => Err("EOF".to_owned()),
            Err(Failure::Other(why)) => Err(why),
            Ok(answer) => Ok(answer),
        }
    }

    fn take(&self, peer: &Peer) -> Option<Connection> {
        let mut idle = self.idle.lock();
        let connections = idle.get_mut(peer)?;
        connections.retain(|connection| !connection.is_closed());
        connections.pop()
    }

    async fn post_on(
        &self,
        mut connection: Connection,
        peer: &Peer,
        host: &str,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let request = Request::post(path)
            .header(header::HOST, host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .body(Full::new(body))
            .map_err(|error| Failure::Other(error.to_string()))?;
        connection.ready().await.map_err(|_| Failure::NothingSent)?;
        let answer = connection.send_request(request).await.map_err(|error| match error.is_canceled() {
            true => Failure::NothingSent,
            false => Failure::Other("EOF".to_owned()),
        })?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|_| Failure::Other("unexpected EOF".to_owned()))?;
        if !connection.is_closed() {
            self.idle.lock().entry(peer.clone()).or_default().push(connection);
        }
        Ok((status, body.to_bytes()))
    }
}

async fn connect(peer: &Peer) -> Result<Connection, String> {
    let config = config(&peer.authorities)?;
    let name = ServerName::try_from(peer.name.clone()).map_err(|error| error.to_string())?;
    let address = peer.address;
    let stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => format!("dial tcp {address}: connect: connection refused"),
        _ => format!("dial tcp {address}: {error}"),
    })?;
    // Small requests, small answers.
    let _ = stream.set_nodelay(true);
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.map_err(|error| handshake_problem(&error, peer))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // Whoever waits for an answer on it hears of its end.
        let _ = connection.await;
    });
    Ok(sender)
}

fn config(authorities: &str) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots(authorities)?).with_no_client_auth())
}

/// The authorities in a CA bundle.
pub(crate) fn roots(bundle: &str) -> Result<RootCertStore, String> {
    let unable = |why: &str| format!("unable to load root certificates: {why}");
    let pem = STANDARD.decode(bundle).map_err(|error| unable(&error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unable(&error.to_string()))?;
        roots.add(certificate).map_err(|error| unable(&error.to_string()))?;
    }
    match roots.is_empty() && !bundle.is_empty() {
        true => Err(unable("unable to parse bytes as PEM block")),
        false => Ok(roots),
    }
}

fn handshake_problem(error: &std::io::Error, peer: &Peer) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let x509 = |what: &str| format!("tls: failed to verify certificate: x509: {what}");
    match inner {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => x509("certificate has expired or is not yet valid"),
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                x509("certificate signed by unknown authority")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                x509(&format!("certificate is not valid for any names, but wanted to match {}", peer.name))
            }
            other => x509(&other.to_string()),
        },
        _ if error.kind() == std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => error.to_string(),
    }
}
