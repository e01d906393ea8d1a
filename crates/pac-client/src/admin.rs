//! The way to the watcher's admin port: straight, or through the API server's port-forward to the pod that leads.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use pac_kube::error::with_causes;
use pac_kube::leader::LEASE_NAME;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::Failure;
use crate::args::Reach;
use crate::cluster::Cluster;
use crate::patience::Patience;

/// Where the admin port is unless the pod's arguments say otherwise.
const ADMIN_PORT: u16 = 8081;

/// See the [module](self).
pub(crate) struct Admin {
    way: Way,
    patience: Patience,
}

enum Way {
    /// `host:port`.
    Straight(String),
    /// Through the API server.
    Forwarded { pods: Box<Api<Pod>>, pod: String, port: u16, server: String },
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

// === impl Admin ===

impl Admin {
    /// Of the watcher that leads, unless another is named.
    pub(crate) async fn find(reach: &Reach) -> Result<Self, Failure> {
        Self::of(reach, None).await
    }

    /// Of the watcher whose pod has this label, unless another is named.
    pub(crate) async fn find_labelled(reach: &Reach, label: &str) -> Result<Self, Failure> {
        Self::of(reach, Some(label)).await
    }

    async fn of(reach: &Reach, label: Option<&str>) -> Result<Self, Failure> {
        let way = match &reach.admin_url {
            Some(url) => Way::Straight(straight(url)?),
            None => forwarded(&Cluster::of(reach).await?, reach, label).await?,
        };
        Ok(Self { way, patience: reach.patience })
    }

    /// What is at `path`, with these parameters.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, parameters: &[(&str, &str)]) -> Result<T, Failure> {
        let asked = self.patience.wait(self.place(), self.ask(path, parameters)).await;
        let (status, body) = asked.map_err(Failure::Unreachable)??;
        let text = || String::from_utf8_lossy(&body).trim().to_owned();
        match status {
            StatusCode::OK => serde_json::from_slice(&body)
                .map_err(|error| self.unreachable(format!("its answer is not what this version expects: {error}"))),
            // Of a watcher's own 404s, one says what is missing; another is that of a path an older watcher doesn't have.
            StatusCode::NOT_FOUND if !body.is_empty() => Err(Failure::Missing(text())),
            status => Err(self.unreachable(format!("it answered {status} {}", text()))),
        }
    }

    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<(StatusCode, Bytes), Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| self.unreachable(with_causes(error));
        let stream: Box<dyn Stream> = match &self.way {
            Way::Straight(address) => Box::new(TcpStream::connect(address).await.map_err(|error| failed(&error))?),
            Way::Forwarded { pods, pod, port, .. } => {
                let mut forwarder = pods.portforward(pod, &[*port]).await.map_err(|error| failed(&error))?;
                let taken = forwarder.take_stream(*port);
                Box::new(taken.ok_or_else(|| self.unreachable("the API server forwards no such port".to_owned()))?)
            }
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let request = Request::get(target).header(header::HOST, "localhost").body(Empty::<Bytes>::new());
        let request = request.map_err(|error| failed(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, why: String) -> Failure {
        Failure::Unreachable(format!("{} can't be asked: {why}", self.place()))
    }

    /// Who is asked, for messages.
    fn place(&self) -> String {
        match &self.way {
            Way::Straight(address) => format!("the watcher at {address}"),
            Way::Forwarded { pod, port, server, .. } => format!("port {port} of pod {pod}, by way of {server},"),
        }
    }
}

/// `host:port` of a URL.
fn straight(url: &str) -> Result<String, Failure> {
    let usage = |why: &str| Failure::Usage(format!("--admin-url {url:?}: {why}"));
    if url.starts_with("https://") {
        return Err(usage("the admin port speaks plain HTTP; keep it on loopback or reach it through the API server"));
    }
    let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() && !address.contains('/') => {
            Ok(address.to_owned())
        }
        _ => Err(usage("expected something like http://127.0.0.1:8081")),
    }
}

async fn forwarded(cluster: &Cluster, reach: &Reach, label: Option<&str>) -> Result<Way, Failure> {
    let found = match (&reach.pod, label) {
        (Some(name), _) => cluster.find(&reach.pac_namespace, name).await?,
        (None, Some(label)) => cluster.find_running_pod(&reach.pac_namespace, label).await?,
        (None, None) => leading_pod(cluster, reach).await?,
    };
    let missing = || {
        let labelled = label.map(|label| format!("that runs and has the label {label}"));
        let name = reach.pod.clone().or(labelled).unwrap_or_else(|| "of the watcher that leads".to_owned());
        Failure::Unreachable(format!("there is no pod {name} in namespace {}; try --admin-url", reach.pac_namespace))
    };
    let pod = found.ok_or_else(missing)?;
    let port = reach.admin_port.or_else(|| admin_port(&pod)).unwrap_or(ADMIN_PORT);
    let pod = pod.metadata.name.ok_or_else(missing)?;
    let pods = Box::new(cluster.api(&reach.pac_namespace));
    Ok(Way::Forwarded { pods, pod, port, server: cluster.server().to_owned() })
}

/// The leader's pod. A watcher that isn't told who it is adds its process id to the pod's name.
async fn leading_pod(cluster: &Cluster, reach: &Reach) -> Result<Option<Pod>, Failure> {
    let identity = leader(cluster, reach).await?;
    let without_process = identity
        .rsplit_once('-')
        .filter(|(_, process)| process.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|(name, _)| name);
    for name in [Some(identity.as_str()), without_process].into_iter().flatten() {
        if let Some(pod) = cluster.find(&reach.pac_namespace, name).await? {
            return Ok(Some(pod));
        }
    }
    Ok(None)
}

/// Who leads, by the Lease.
async fn leader(cluster: &Cluster, reach: &Reach) -> Result<String, Failure> {
    let lease: Option<Lease> = cluster.find(&reach.pac_namespace, LEASE_NAME).await?;
    let holder = lease.and_then(|lease| lease.spec?.holder_identity).filter(|holder| !holder.is_empty());
    holder.ok_or_else(|| {
        let why = format!(
            "no watcher leads: Lease {LEASE_NAME} in namespace {} is not there or has no holder; name PAC's namespace with \
             --pac-namespace (--namespace is the one that is asked about), or a watcher with --pod or --admin-url",
            reach.pac_namespace
        );
        Failure::Unreachable(why)
    })
}

/// The admin port that the pod's arguments say.
fn admin_port(pod: &Pod) -> Option<u16> {
    let containers = &pod.spec.as_ref()?.containers;
    let arguments = containers.iter().flat_map(|container| container.args.iter().flatten());
    let address = arguments.filter_map(|argument| argument.strip_prefix("--admin-addr=")).next()?;
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_url_is_a_host_and_a_port() {
        assert_eq!(straight("http://127.0.0.1:8081/").unwrap(), "127.0.0.1:8081");
        assert_eq!(straight("localhost:1").unwrap(), "localhost:1");
        for url in ["https://x:1", "http://x", "x:y", "http://x:1/path", ""] {
            assert!(matches!(straight(url), Err(Failure::Usage(_))), "{url}");
        }
    }

    #[test]
    fn the_port_is_where_the_manifests_put_it() {
        let pod = |arguments: &[&str]| {
            serde_json::from_value(json!({"spec": {"containers": [
                {"name": "other"}, {"name": "watcher", "args": arguments},
            ]}}))
            .unwrap()
        };
        assert_eq!(admin_port(&pod(&["run", "--admin-addr=127.0.0.1:8181"])), Some(8181));
        assert_eq!(admin_port(&pod(&["run"])), None);
    }
}
