//! How to reach the cluster, and how long to wait for its word.
//!
//! A server, a node or a load balancer may go without a word: its connections stay open, and what is asked of it is never
//! answered. So silence has a bound on every connection: one on which nothing comes while something is awaited is given
//! up, and so is one that nobody has used for a moment, before anybody asks anything through it. What is tried again is
//! then tried on a new connection.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body as HttpBody;
use hyper::rt::{Read, Write};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::retry::RetryLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use crate::error::with_causes;
use crate::proxy::{Environment, Proxy};

pub use crate::proxy::is_this_machine;

/// Longest silence of a connection while an answer, or the rest of one, is awaited: as long as an API server with much to do
/// lets a request wait for its turn.
pub const SILENT_FOR: Duration = Duration::from_secs(15);
/// Longest time that a connection takes to come about.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// How long after its last answer a connection is used again: for that long requests may be lost on one that is dead.
const UNUSED_FOR: Duration = Duration::from_secs(5);
/// When the kernel begins to probe whether the other side is still there, how often it does, and how many probes in vain end
/// the connection. Of a peer that is gone it may know before we do.
const PROBED: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(2), 3);
/// First and longest wait before a request is repeated that the server had no time for, and how often it is. No more than a
/// moment: whoever asks tries again, too, and says why it takes so long.
const REPEATED: (Duration, Duration, u32) = (Duration::from_millis(50), Duration::from_millis(500), 3);

/// Why no way to reach a cluster was found.
#[derive(Debug, thiserror::Error)]
#[error("can't tell how to reach the API server: {0}")]
pub struct NoCluster(String);

/// How to reach the cluster: a kubeconfig by name, or the pod's service account, or the usual places.
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, NoCluster> {
    let config = match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| no_way(&error))?;
            let chosen = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig, &chosen).await.map_err(|error| no_way(&error))?
        }
        None => Config::infer().await.map_err(|error| no_way(&error))?,
    };
    client_of(config)
}

/// A client whose requests are `connection`'s to answer, in place of a network; what the server had no time for is repeated as
/// ever. How long silence is borne is for `connection` to see to.
pub fn client_through<S, B>(connection: S) -> Result<Client, NoCluster>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = ServiceBuilder::new().layer(RetryLayer::new(repeating()?)).service(connection);
    Ok(Client::new(service, "default"))
}

/// Which requests are repeated, and when.
fn repeating() -> Result<RetryPolicy, NoCluster> {
    RetryPolicy::new(REPEATED.0, REPEATED.1, REPEATED.2, false).map_err(|error| no_way(&error))
}

/// The same where it is known already; by way of a proxy, if there is one.
pub fn client_of(mut config: Config) -> Result<Client, NoCluster> {
    let proxy = Proxy::of(&mut config, &Environment::read()).map_err(NoCluster)?;
    let mut sockets = HttpConnector::new();
    sockets.enforce_http(false);
    sockets.set_keepalive(Some(PROBED.0));
    sockets.set_keepalive_interval(Some(PROBED.1));
    sockets.set_keepalive_retries(Some(PROBED.2));
    #[cfg(target_os = "linux")]
    sockets.set_tcp_user_timeout(Some(SILENT_FOR));
    match proxy {
        Some(proxy) => impatient(&config, proxy.tunnel(sockets).map_err(move |error| proxy.failed(error))),
        None => impatient(&config, sockets),
    }
}

/// A client that waits for nobody for ever; see the [module](self).
fn impatient<C>(config: &Config, sockets: C) -> Result<Client, NoCluster>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let secured = config.rustls_https_connector_with_connector(sockets).map_err(|error| no_way(&error))?;
    let mut bounded = TimeoutConnector::new(secured);
    bounded.set_connect_timeout(Some(CONNECTED_WITHIN));
    bounded.set_write_timeout(Some(SILENT_FOR));
    bounded.set_read_timeout(Some(SILENT_FOR));
    // A connection that was idle for a while has all that time for its next answer.
    bounded.set_reset_reader_on_write(true);
    let mut connections = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    connections.pool_timer(TokioTimer::new()).pool_idle_timeout(UNUSED_FOR);

    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(RetryLayer::new(repeating()?))
        .option_layer(config.auth_layer().map_err(|error| no_way(&error))?)
        .layer(config.extra_headers_layer().map_err(|error| no_way(&error))?)
        .map_err(BoxError::from)
        .service(connections.build(bounded));
    Ok(Client::new(service, config.default_namespace.clone()))
}

fn no_way(error: &(dyn std::error::Error + 'static)) -> NoCluster {
    NoCluster(with_causes(error))
}
