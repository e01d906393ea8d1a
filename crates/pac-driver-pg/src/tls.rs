//! TLS as `postgresql-ssl-mode` wants it, for the library that speaks PostgreSQL.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use pac_concurrency::{DriverError, Fault};
use pac_config::keys::{POSTGRESQL_SSL_CA_FILE, POSTGRESQL_SSL_CERT_FILE, POSTGRESQL_SSL_KEY_FILE};
use pac_config::{ClientIdentity, Key, PostgreSqlSettings, SslMode};
use pac_tls::{BadFile, Check, Client, Identity};
use rustls::pki_types::ServerName;
use tokio::fs;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect};
use tokio_rustls::TlsConnector;

/// The TLS of `settings`; none with `disable`. Files are read anew each time, so that renewed ones are used from the next
/// connection on.
pub(crate) async fn client(settings: &PostgreSqlSettings) -> Result<Option<Client>, DriverError> {
    let check = match settings.ssl_mode {
        SslMode::Disable => return Ok(None),
        SslMode::Require => Check::Nothing,
        SslMode::VerifyCa => Check::Authority,
        SslMode::VerifyFull => Check::AuthorityAndName,
    };
    let authorities = match &settings.ssl_ca_file {
        Some(file) if check != Check::Nothing => Some(read(&POSTGRESQL_SSL_CA_FILE, file).await?),
        _ => None,
    };
    let shown = match &settings.client_identity {
        Some(ClientIdentity { cert_file, key_file }) => {
            let certificate = read(&POSTGRESQL_SSL_CERT_FILE, cert_file).await?;
            Some((certificate, read(&POSTGRESQL_SSL_KEY_FILE, key_file).await?))
        }
        None => None,
    };
    let identity = shown.as_ref().map(|(certificate, key)| Identity { certificate, key });
    pac_tls::client(check, authorities.as_deref(), identity).map(Some).map_err(|error| {
        let settings = match &error {
            BadFile::Authorities(_) => POSTGRESQL_SSL_CA_FILE.to_string(),
            BadFile::Identity(_) => format!("{POSTGRESQL_SSL_CERT_FILE} and {POSTGRESQL_SSL_KEY_FILE}"),
        };
        DriverError::Rejected(Fault::new(format!("{settings}: {error}")))
    })
}

async fn read(setting: &Key, file: &std::path::Path) -> Result<Vec<u8>, DriverError> {
    fs::read(file).await.map_err(|error| {
        DriverError::Rejected(Fault::because(format!("{setting}: {} can't be read", file.display()), error))
    })
}

/// Makes one connection's TLS; nothing with `disable`, where it is never asked to.
#[derive(Clone)]
pub(crate) struct Upgrade(pub(crate) Option<(TlsConnector, ServerName<'static>)>);

/// A connection under TLS.
pub(crate) struct TlsStream(tokio_rustls::client::TlsStream<TcpStream>);

impl TlsConnect<TcpStream> for Upgrade {
    type Stream = TlsStream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TlsStream>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let (connector, name) = self.0.ok_or_else(|| io::Error::other("TLS was not asked for"))?;
            connector.connect(name, stream).await.map(TlsStream)
        })
    }
}

impl tokio_postgres::tls::TlsStream for TlsStream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
