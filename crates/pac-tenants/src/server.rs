//! The port: connections, with TLS or without, and what keeps one caller from keeping out the others.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kube::Client;
use pac_metrics::catalogue;
use pac_tls::Served;
use pac_view::queue::QueueQuery;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::TenantsOptions;
use crate::access::Access;
use crate::answer::{Desk, Reply, label, refused};
use crate::certificate::{self, Certificate};
use crate::refusal::Refusal;

const CONNECTIONS: usize = 256;
/// Answers that are made at one time: the store and the API server have other work.
const ANSWERS: usize = 8;
/// How long an answer may take, with the time to wait for others'.
const PATIENCE: Duration = Duration::from_secs(15);
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long whoever connects may be silent before a request and during its head.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a connection lasts, whoever reads slowly: a client opens another one.
const CONNECTION: Duration = Duration::from_secs(300);
/// The head of a request, token included: one with many groups in it has some kilobytes.
const HEAD: usize = 32 << 10;
const HEADERS: usize = 64;
/// After accepting failed, which it does when there are too many files: there will be fewer.
const BREATH: Duration = Duration::from_millis(100);

/// Why the port isn't served.
#[derive(Debug, thiserror::Error)]
pub enum NoPort {
    /// The port is taken, or the address isn't this machine's.
    #[error("can't listen on {address} (tenants)")]
    Listen {
        /// Where it was to be.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The TLS library refuses its own defaults.
    #[error("can't serve TLS to tenants")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The system has no randomness, which telling tokens apart takes.
    #[error("can't serve tenants: the system has no randomness")]
    Random,
}

/// All that a connection takes.
struct Port {
    desk: Desk,
    answers: Semaphore,
    acceptor: Option<TlsAcceptor>,
    stop: CancellationToken,
}

/// Serves tenants until `stop`, with what `query` says; what they are shown, if that is TLS.
///
/// # Errors
///
/// If the port can't be had.
pub async fn serve(
    client: &Client,
    options: TenantsOptions,
    query: QueueQuery,
    stop: CancellationToken,
) -> Result<Option<Certificate>, NoPort> {
    let TenantsOptions { address, tls, audiences, holds } = options;
    let served = Arc::new(Served::default());
    let config = served.config().map_err(|error| NoPort::Tls(Box::new(error)))?;
    let access = Access::new(client, audiences, holds).ok_or(NoPort::Random)?;
    let listen = |source| NoPort::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let acceptor = tls.is_some().then(|| TlsAcceptor::from(Arc::new(config)));
    let shown = tls.is_some().then(|| Certificate(Arc::clone(&served)));
    match tls {
        Some(files) => {
            info!(%address, "serving tenants");
            tokio::spawn(stop.clone().run_until_cancelled_owned(certificate::follow(served, files)));
        }
        None if address.ip().is_loopback() => info!(%address, "serving tenants, without TLS"),
        None => warn!(%address, "serving tenants without TLS: whoever is on the network between reads their tokens"),
    }
    let desk = Desk { access, query };
    let port = Port { desk, answers: Semaphore::new(ANSWERS), acceptor, stop };
    tokio::spawn(accept(listener, Arc::new(port)));
    Ok(shown)
}

async fn accept(listener: TcpListener, port: Arc<Port>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let permit = Arc::clone(&room).acquire_owned();
        let accepted = port.stop.run_until_cancelled(async { (permit.await, listener.accept().await) });
        match accepted.await {
            Some((Ok(permit), Ok((stream, _)))) => {
                connections.spawn(Arc::clone(&port).connection(stream, permit));
            }
            Some((Ok(_), Err(error))) => {
                debug!(%error, "a tenant's connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
            _ => break,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

// === impl Port ===

impl Port {
    async fn connection(self: Arc<Self>, stream: TcpStream, _permit: OwnedSemaphorePermit) {
        // Answers are small, and waited for.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = &self.acceptor else { return self.talk(stream).await };
        match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.talk(stream).await,
            Ok(Err(error)) => debug!(%error, "a tenant's connection has no TLS"),
            Err(_) => debug!("a tenant's connection took too long to begin"),
        }
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(SILENCE).max_buf_size(HEAD).max_headers(HEADERS);
        let service = service_fn(|request| async move { Ok::<_, Infallible>(self.answer(&request).await) });
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = async { tokio::select! { () = self.stop.cancelled() => {}, () = tokio::time::sleep(CONNECTION) => {} } } => {
                // What is asked by now is answered, to whom reads it.
                connection.as_mut().graceful_shutdown();
                timeout(PATIENCE, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(%error, "a tenant's connection broke");
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Reply {
        let answered = timeout(PATIENCE, async {
            let _turn = self.answers.acquire().await;
            self.desk.answer(request).await
        });
        let reply = answered.await.unwrap_or_else(|_| refused(Refusal::NoAnswer));
        catalogue::TENANT_REQUESTS.count(&[label(reply.status())], 1);
        reply
    }
}
