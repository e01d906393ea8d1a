//! The three ports: metrics for Prometheus, probes for the kubelet, and the admin port for people.

mod admin;
pub mod page;
mod probes;

use std::net::SocketAddr;
use std::sync::Arc;

pub use axum::Router;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::get;
use pac_metrics::openmetrics::Format;
use pac_queue::shadow::ShadowReport;
use pac_state::health::Health;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::probes::Answers;
use crate::queue::QueueQuery;

/// Why a port is not served: it could not be had.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address} ({what})")]
pub struct NoPort {
    /// Which of the ports.
    what: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

/// What probes and the admin port answer from.
#[derive(Clone)]
pub struct AdminState {
    /// What is wrong.
    pub health: Arc<Health>,
    /// Who answers what people ask.
    pub query: QueueQuery,
    /// What shadow mode has measured; none in other modes.
    pub shadow: Option<Arc<dyn Fn() -> ShadowReport + Send + Sync>>,
}

/// Serves `/metrics` at `address` until `stop`. `text` makes the answer, in the format that is asked for, and may take its time.
pub async fn serve_metrics(
    address: SocketAddr,
    text: impl Fn(Format) -> String + Clone + Send + Sync + 'static,
    stop: CancellationToken,
) -> Result<SocketAddr, NoPort> {
    let render = |headers: HeaderMap| async move {
        let accepts: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).collect();
        let format = Format::accepted(Some(&accepts.join(",")));
        // With thousands of Repositories it takes a while, for which no start should wait.
        let text = tokio::task::spawn_blocking(move || text(format)).await;
        text.map(|text| ([(CONTENT_TYPE, HeaderValue::from_static(format.content_type()))], text))
            .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    };
    serve("metrics", address, Router::new().route("/metrics", get(render)), stop).await
}

/// Serves `/live` and `/ready` at `address` until `stop`; `webhook` says whether the gate's webhook can answer, if it is served.
pub async fn serve_probes(
    address: SocketAddr,
    state: AdminState,
    webhook: Option<Answers>,
    stop: CancellationToken,
) -> Result<SocketAddr, NoPort> {
    serve("probes", address, probes::routes(state.health, state.query.active_store, webhook), stop).await
}

/// Serves `/debug/queue` and what else people ask at `address` until `stop`.
pub async fn serve_admin(
    address: SocketAddr,
    state: AdminState,
    stop: CancellationToken,
) -> Result<SocketAddr, NoPort> {
    serve("admin", address, admin_answers(state), stop).await
}

/// What the admin port answers, without the port.
pub fn admin_answers(state: AdminState) -> Router {
    admin::routes(state.query, state.shadow)
}

async fn serve(
    what: &'static str,
    address: SocketAddr,
    routes: Router,
    stop: CancellationToken,
) -> Result<SocketAddr, NoPort> {
    let listen = |source| NoPort { what, address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    info!(address = %bound, "serving {what}");
    tokio::spawn(async move {
        let serving = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            warn!(%error, "stopped serving {what}");
        }
    });
    Ok(bound)
}
