//! One request to a collector: OTLP over HTTP, in protobuf.

use std::path::PathBuf;
use std::time::Duration;

use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use pac_kube::error::with_causes;
use pac_tls::Check;
use prost::Message;

/// The most that is read of an answer, in bytes.
const ANSWER_MOST: usize = 64 * 1024;
/// The most that is repeated of what a collector says, in characters.
const SAID_MOST: usize = 200;
/// The longest that a collector may ask to be left alone.
const LATER_MOST: Duration = Duration::from_secs(30);
/// Where collectors take OTLP over gRPC, which is another protocol.
const GRPC_PORT: u16 = 4317;

/// Who gets spans, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// Where it takes them: `http://` or `https://`, with a path.
    pub url: String,
    /// PEM file with the authorities trusted to sign its certificate; none for the system's.
    pub ca_file: Option<PathBuf>,
}

/// A way to a collector, with connections that are kept.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// What a collector did with spans that it answered for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How many it refused.
    pub(crate) refused: u64,
    /// What it said of that.
    pub(crate) said: String,
}

/// Why a collector has not taken spans.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Untaken {
    /// It may take them later, after this time if it said one.
    Later(String, Option<Duration>),
    /// It won't, ever.
    Never(String),
}

// === impl Way ===

impl Way {
    /// A way to `collector`; or why there can be none, as long as settings and files are what they are.
    pub(crate) fn to(collector: &Collector) -> Result<Self, String> {
        let uri: Uri = collector.url.parse().map_err(|error| format!("no URL: {error}"))?;
        let file = collector.ca_file.as_ref().filter(|_| uri.scheme_str() == Some("https"));
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let authorities = file.map(read).transpose()?;
        // In clear there is nobody to trust.
        let check = if uri.scheme_str() == Some("https") { Check::AuthorityAndName } else { Check::Nothing };
        let tls = pac_tls::client(check, authorities.as_deref(), None).map_err(|error| error.to_string())?;
        let connector = HttpsConnectorBuilder::new().with_tls_config((*tls.config).clone()).https_or_http();
        let client = Client::builder(TokioExecutor::new()).build(connector.enable_http1().build());
        Ok(Self { uri, client })
    }

    /// Sends these spans and waits for the answer, for `within` at most.
    pub(crate) async fn send(&self, spans: &ExportTraceServiceRequest, within: Duration) -> Result<Taken, Untaken> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .header(header::USER_AGENT, concat!("pac-watcher/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(spans.encode_to_vec())));
        let request = request.map_err(|error| Untaken::Never(error.to_string()))?;
        let answered = tokio::time::timeout(within, async {
            let answer = self.client.request(request).await.map_err(|error| self.explained(&with_causes(&error)))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_MOST).collect().await;
            Ok((head, body.map(|body| body.to_bytes()).unwrap_or_default()))
        });
        let late = |_| Untaken::Later(format!("no answer within {within:?}"), None);
        let (head, body) = answered.await.map_err(late)?.map_err(|why| Untaken::Later(why, None))?;
        if head.status.is_success() {
            return Ok(Taken::of(&body));
        }
        let why = format!("it answered {}{}", head.status, said(&String::from_utf8_lossy(&body)));
        let asks = head.headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        match head.status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                Err(Untaken::Later(why, asks.map(|seconds| Duration::from_secs(seconds).min(LATER_MOST))))
            }
            _ => Err(Untaken::Never(why)),
        }
    }

    fn explained(&self, why: &str) -> String {
        match self.uri.port_u16() {
            Some(GRPC_PORT) => format!(
                "{why} ({GRPC_PORT} is mostly a collector's port for gRPC; spans are sent over HTTP, which is mostly 4318)"
            ),
            _ => why.to_owned(),
        }
    }
}

// === impl Taken ===

impl Taken {
    /// What an answer says. One that can't be read says nothing: its status tells that all was taken.
    fn of(body: &[u8]) -> Self {
        let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
        let partial = answer.partial_success.unwrap_or_default();
        Self { refused: partial.rejected_spans.try_into().unwrap_or_default(), said: said(&partial.error_message) }
    }
}

/// What somebody else said, in a line.
fn said(text: &str) -> String {
    let printable = |character: &char| !character.is_control();
    let text: String = text.trim().chars().filter(printable).take(SAID_MOST).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}
