//! How long the gate's webhook takes to answer, asked over TLS as an API server asks it: on connections that stay open.
//!
//! Beside each figure is what the port can do at most: a question without a body after a path that isn't served, on the same kind of
//! connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use pac_devcluster::{DevCluster, Options};
use pac_webhook::{Lifetimes, NAME, PATH, keep, serve};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::effort::Effort;
use crate::figure::{Better, Row, Table};
use crate::statistic::Times;

const NAMESPACE: &str = "pipelines-as-code";
/// What the webhook needs in a cluster.
const MANIFESTS: &str = include_str!("../../pac-webhook/tests/gate.yaml");
/// How many are asked at once: one push after the other, and a burst.
const AT_ONCE: [usize; 2] = [1, 50];
/// How many bytes the spec of a run has, of which a review has two: runs whose pipeline is within them have some tens of kilobytes.
const SPEC: usize = 16 << 10;
/// A path that isn't served.
const NOTHING: &str = "/nothing";
const WARM_UP: Duration = Duration::from_millis(300);
/// How long a certificate may take to be made and taken up.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Where it is asked, and how it is known.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    connector: TlsConnector,
    name: ServerName<'static>,
}

type Connection = SendRequest<Full<Bytes>>;

/// Measures both, by turns.
pub(crate) async fn measure(effort: &Effort) -> Result<Table> {
    let cluster = DevCluster::start(Options { namespaces: vec![NAMESPACE.to_owned()], ..Options::default() }).await?;
    let stop = CancellationToken::new();
    let _stop = stop.clone().drop_guard();
    let peer = begin(&cluster, &stop).await?;
    let mut table = Table::new("The gate's webhook");
    for at_once in AT_ONCE {
        let (mut reviews, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            reviews.push(load(&peer, PATH, at_once, effort.time).await?);
            bare.push(load(&peer, NOTHING, at_once, effort.time).await?);
        }
        let mut row = Row::new(format!("{at_once} at once"));
        let each = |of: fn(&Load) -> f64, loads: &[Load]| loads.iter().map(of).collect::<Vec<_>>();
        row.add("p50, ms", Better::Lower, each(|load| load.times.percentile(50), &reviews));
        row.add("p99, ms", Better::Lower, each(|load| load.times.percentile(99), &reviews));
        row.add("reviews/s", Better::Higher, each(|load| load.per_second, &reviews));
        row.add("bare p50, ms", Better::Neither, each(|load| load.times.percentile(50), &bare));
        row.add("bare p99, ms", Better::Neither, each(|load| load.times.percentile(99), &bare));
        row.add("bare/s", Better::Neither, each(|load| load.per_second, &bare));
        table.add(row);
    }
    table.note(format!(
        "A review is the write of an order onto a PipelineRun with {} KiB of spec, asked over TLS on a connection that stays open, and \
         answered with the patch that renames the order. *Bare*: a request without a body for a path that isn't served. Who asks is on the same cores.",
        SPEC >> 10
    ));
    Ok(table)
}

/// Serves it, with a certificate of its own making.
async fn begin(cluster: &DevCluster, stop: &CancellationToken) -> Result<Peer> {
    let client = Client::try_from(Config::new(cluster.url().parse()?))?;
    for document in serde_yaml::Deserializer::from_str(MANIFESTS) {
        let object = Value::deserialize(document)?;
        let kind = object["kind"].as_str().context("a manifest without a kind")?.to_lowercase();
        let place = if object.get("webhooks").is_some() { "" } else { NAMESPACE };
        cluster.store().create(&format!("{kind}s"), place, object)?;
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let webhook = serve(client.clone(), NAMESPACE.to_owned(), any, stop.clone()).await?;
    let (sender, leading) = watch::channel(true);
    tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
        keep(client, NAMESPACE.to_owned(), Lifetimes::default(), leading).await;
        drop(sender);
    }));
    let began = Instant::now();
    while webhook.expires().is_none() {
        ensure!(began.elapsed() < READY_WITHIN, "the webhook has no certificate");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let configuration = cluster.store().get("secrets", NAMESPACE, NAME).context("the Secret is gone")?;
    Ok(Peer { address: webhook.address(), connector: trusting(&configuration)?, name: host().try_into()? })
}

fn host() -> String {
    format!("{NAME}.{NAMESPACE}.svc")
}

/// Trusts who signed the certificate in the Secret.
fn trusting(secret: &Value) -> Result<TlsConnector> {
    let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(secret.clone())?;
    let authorities = secret.data.and_then(|mut data| data.remove("ca.crt")).context("the Secret has no ca.crt")?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&authorities.0) {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// What a load came to.
struct Load {
    times: Times,
    per_second: f64,
}

/// Asks at `path`, so many at once, for `time` after a warm-up.
async fn load(peer: &Peer, path: &'static str, at_once: usize, time: Duration) -> Result<Load> {
    let counts_from = Instant::now() + WARM_UP;
    let ends = counts_from + time;
    let mut asking = JoinSet::new();
    for number in 0..at_once {
        let mut connection = connect(peer).await?;
        // A body that nobody reads would end the connection.
        let body = if path == PATH { review(number) } else { Bytes::new() };
        let expected = if path == PATH { StatusCode::OK } else { StatusCode::NOT_FOUND };
        asking.spawn(async move {
            let mut times = Times::default();
            let mut counted = 0_u32;
            while Instant::now() < ends {
                let began = Instant::now();
                let answered = ask(&mut connection, path, body.clone()).await?;
                ensure!(answered.0 == expected, "{path} answered {}", answered.0);
                if path == PATH && !is_renaming(&answered.1) {
                    bail!("the order was not renamed: {}", String::from_utf8_lossy(&answered.1));
                }
                if began >= counts_from {
                    times.add(began.elapsed());
                    counted += 1;
                }
            }
            Ok((times, counted))
        });
    }
    let (mut times, mut counted) = (Times::default(), 0.0);
    while let Some(done) = asking.join_next().await {
        let (took, count) = done??;
        times.extend(took);
        counted += f64::from(count);
    }
    times.sort();
    Ok(Load { times, per_second: counted / time.as_secs_f64() })
}

async fn connect(peer: &Peer) -> Result<Connection> {
    let stream = TcpStream::connect(peer.address).await?;
    stream.set_nodelay(true)?;
    let stream = peer.connector.connect(peer.name.clone(), stream).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(connection: &mut Connection, path: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
    connection.ready().await?;
    let request = Request::post(path).header(header::HOST, host()).header(header::CONTENT_TYPE, "application/json");
    let answer = connection.send_request(request.body(Full::new(body))?).await?;
    let status = answer.status();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

fn is_renaming(answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    answer["response"]["allowed"] == true && answer["response"]["patch"].is_string()
}

/// The review of PAC's write of an order onto run `number`.
fn review(number: usize) -> Bytes {
    let order: Vec<String> = (0..20).map(|run| format!("ci/run-{run}")).collect();
    let run = |annotations: Value| {
        json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {"name": format!("run-{number}"), "namespace": "ci", "annotations": annotations},
            "spec": {"status": "PipelineRunPending", "pipelineSpec": {"description": "x".repeat(SPEC)}},
        })
    };
    let ordered = json!({"pipelinesascode.tekton.dev/state": "queued", "pipelinesascode.tekton.dev/execution-order": order.join(",")});
    let request = json!({
        "uid": format!("00000000-0000-0000-0000-{number:012}"), "operation": "UPDATE", "namespace": "ci", "dryRun": false,
        "object": run(ordered), "oldObject": run(json!({"pipelinesascode.tekton.dev/state": "queued"})),
    });
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    review.to_string().into()
}
