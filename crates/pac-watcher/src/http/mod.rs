//! The three ports: metrics for Prometheus, probes for the kubelet, and the admin port for people.

mod admin;
mod page;
mod probes;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::WatcherError;
use crate::health::Health;
use crate::metrics::Measured;
use crate::queue::QueueQuery;

/// What probes and the admin port tell about.
#[derive(Clone)]
pub(crate) struct AdminState {
    /// What is wrong.
    pub health: Arc<Health>,
    /// Who answers what people ask.
    pub query: QueueQuery,
}

/// Serves `/metrics` at `address` until `stop`. An error says that the port can't be had.
pub(crate) async fn serve_metrics(
    address: SocketAddr,
    measured: Measured,
    stop: CancellationToken,
) -> Result<SocketAddr, WatcherError> {
    let render = || async move {
        // With thousands of Repositories it takes a while, for which no start should wait.
        let text = tokio::task::spawn_blocking(move || measured.text()).await;
        text.map(|text| ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], text))
            .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    };
    serve("metrics", address, Router::new().route("/metrics", get(render)), stop).await
}

/// Serves `/live` and `/ready` at `address` until `stop`.
pub(crate) async fn serve_probes(
    address: SocketAddr,
    state: AdminState,
    stop: CancellationToken,
) -> Result<SocketAddr, WatcherError> {
    serve("probes", address, probes::routes(state.health, state.query.active_store), stop).await
}

/// Serves `/debug/queue` and what else people ask at `address` until `stop`.
pub(crate) async fn serve_admin(
    address: SocketAddr,
    state: AdminState,
    stop: CancellationToken,
) -> Result<SocketAddr, WatcherError> {
    serve("admin", address, admin::routes(state.query), stop).await
}

async fn serve(
    what: &'static str,
    address: SocketAddr,
    routes: Router,
    stop: CancellationToken,
) -> Result<SocketAddr, WatcherError> {
    let listen = |source| WatcherError::Listen { what, address, source };
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
