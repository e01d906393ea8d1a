//! A look at a server's certificate where another library makes the connection and doesn't say what it saw.

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{Check, client};

/// The certificate that the server at `host` and `port` shows, whatever it is worth; none if it shows none. The caller
/// sets the deadline.
pub async fn certificate_of(host: &str, port: u16) -> Option<CertificateDer<'static>> {
    let client = client(Check::Nothing, None, None).ok()?;
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let stream = TcpStream::connect((host, port)).await.ok()?;
    // A server that wants a certificate of ours hangs up, and has shown its own by then.
    let _ = TlsConnector::from(client.config.clone()).connect(name, stream).await;
    client.shown()
}
