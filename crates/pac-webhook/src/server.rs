//! The port: TLS, one path, and nothing that a stranger could make use of.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kube::Client;
use pac_metrics::catalogue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::PATH;
use crate::in_use::InUse;
use crate::review::{self, Verdict};

/// An object may have 1.5 MiB in etcd, and a review has two.
const BODY_LIMIT: usize = 8 << 20;
const CONNECTIONS: usize = 256;
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long whoever connects may take to its first review: the port is for reviews alone.
const FIRST: Duration = Duration::from_secs(10);
/// Longer than the API server keeps a connection that it doesn't use: who closes first must be the one who asks.
const IDLE: Duration = Duration::from_secs(120);
/// After accepting failed, which it does when there are too many files: there will be fewer.
const BREATH: Duration = Duration::from_millis(100);

/// Why the webhook isn't served: the port could not be had, or TLS not be set up.
#[derive(Debug, thiserror::Error)]
pub enum NoPort {
    /// The port is taken, or the address isn't this machine's.
    #[error("can't listen on {address} (the webhook)")]
    Listen {
        /// Where it was to be.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The TLS library refuses its own defaults.
    #[error("can't serve TLS")]
    Tls(#[from] rustls::Error),
}

/// The webhook, served.
#[derive(Debug, Clone)]
pub struct Webhook {
    address: SocketAddr,
    in_use: Arc<InUse>,
}

// === impl Webhook ===

impl Webhook {
    /// Where it is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// When the certificate in use expires; none while there is none.
    pub fn expires(&self) -> Option<SystemTime> {
        self.in_use.expires()
    }
}

/// Serves the webhook at `address` until `stop`, with what the Secret in `namespace` has. Before that has a certificate, nobody can
/// connect.
///
/// # Errors
///
/// If the port can't be had.
pub async fn serve(
    client: Client,
    namespace: String,
    address: SocketAddr,
    stop: CancellationToken,
) -> Result<Webhook, NoPort> {
    let in_use = Arc::new(InUse::default());
    let config = in_use.0.config()?;
    let listen = |source| NoPort::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    info!(%address, "serving the webhook");
    tokio::spawn(stop.clone().run_until_cancelled_owned(Arc::clone(&in_use).follow(client, namespace)));
    tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), stop));
    Ok(Webhook { address, in_use })
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let permit = Arc::clone(&room).acquire_owned();
        let accepted = stop.run_until_cancelled(async { (permit.await, listener.accept().await) });
        let Some((Ok(permit), accepted)) = accepted.await else { break };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, acceptor.clone(), stop.clone(), permit));
            }
            Err(error) => {
                debug!(%error, "a connection to the webhook could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, stop: CancellationToken, _permit: OwnedSemaphorePermit) {
    // Answers are small, and waited for.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "a connection to the webhook has no TLS"),
        Err(_) => return debug!("a connection to the webhook took too long to begin"),
    };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
    let asked = AtomicBool::new(false);
    let service = service_fn(|request| async {
        let (answer, verdict) = answer(request).await;
        asked.fetch_or(verdict != Verdict::Refused, Ordering::Relaxed);
        Ok::<_, Infallible>(answer)
    });
    let never_asks = async {
        tokio::time::sleep(FIRST).await;
        if asked.load(Ordering::Relaxed) {
            std::future::pending().await
        }
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = never_asks => return debug!("a connection to the webhook asked nothing"),
        () = stop.cancelled() => {
            // What is asked by now is answered.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection to the webhook broke");
    }
}

async fn answer(request: Request<Incoming>) -> (Response<Full<Bytes>>, Verdict) {
    let begun = Instant::now();
    let (response, verdict) = match reviewed(request).await {
        Ok((body, verdict)) => {
            let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
            (response.body(Full::new(Bytes::from(body))).unwrap_or_default(), verdict)
        }
        Err((status, why)) => {
            let response = Response::builder().status(status).header(header::CONTENT_TYPE, "text/plain");
            (response.body(Full::new(Bytes::from_static(why.as_bytes()))).unwrap_or_default(), Verdict::Refused)
        }
    };
    catalogue::WEBHOOK_REVIEWS.count(&[verdict.label()], 1);
    if verdict != Verdict::Refused {
        catalogue::WEBHOOK_DURATION.observe(&[], begun.elapsed());
    }
    (response, verdict)
}

/// The answer to a review; or why what was sent is none.
async fn reviewed(request: Request<Incoming>) -> Result<(Vec<u8>, Verdict), (StatusCode, &'static str)> {
    let json = |value: &header::HeaderValue| value.to_str().is_ok_and(|text| text.starts_with("application/json"));
    match () {
        () if request.uri().path() != PATH => return Err((StatusCode::NOT_FOUND, "not found\n")),
        () if *request.method() != Method::POST => return Err((StatusCode::METHOD_NOT_ALLOWED, "only POST\n")),
        () if !request.headers().get(header::CONTENT_TYPE).is_some_and(json) => {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "only application/json\n"));
        }
        () if request.body().size_hint().lower() > BODY_LIMIT as u64 => {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "too large\n"));
        }
        () => {}
    }
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await;
    let body = body.map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "too large, or cut off\n"))?;
    review::answer(&body.to_bytes()).map_err(|_| (StatusCode::BAD_REQUEST, "no AdmissionReview\n"))
}
