//! The network to the API server: kube's client on one side, the development cluster's answers on the other.
//!
//! A request is carried out on a task of its own, so that it takes effect whether or not its caller still waits: that is what a real one does.
//! Silence is borne for as long as the watcher's own connections bear it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::client::Body;
use pac_concurrency::protocol::REQUEST_DEADLINE;
use pac_kube::cluster::SILENT_FOR;
use rand::Rng;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tower::{BoxError, Service};

use crate::outside::Outside;
use crate::way::Way;
use crate::weather::{Fault, Side, usual_delay};

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// One watcher's connections to the API server.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) outside: Outside,
    pub(crate) way: Arc<Way>,
}

impl Service<Request<Body>> for Network {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let way = Arc::clone(&this.way);
            way.while_open(this.send(request)).await
        })
    }
}

// === impl Network ===

impl Network {
    async fn send(self, request: Request<Body>) -> Result<Answer, BoxError> {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, body.collect().await?.to_bytes());
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (answer, answered) = oneshot::channel();
        let way = Arc::clone(&self.way);
        let asked = Instant::now();
        // What is not sent yet is never sent if nobody waits any more.
        way.held().await;
        // From here it goes on all the same.
        tokio::spawn(async move { answer.send(self.carry_out(request, asked).await) });
        let answered = timeout(SILENT_FOR, answered).await;
        way.held().await;
        match answered {
            Ok(Ok(answer)) => Ok(answer?.map(|body| listen(body, way, is_watch))),
            Ok(Err(_)) => Err(broken("the connection broke")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer").into()),
        }
    }

    /// Does what the API server does with a `request` that its caller began to wait for when it `asked`.
    async fn carry_out(
        self,
        request: Request<Bytes>,
        asked: Instant,
    ) -> Result<Response<pac_devcluster::Body>, BoxError> {
        let what = format!("{} {} {}", self.way.identity, request.method(), request.uri());
        let starts = started(&request);
        if let Some((namespace, name)) = &starts {
            self.outside.witness.attempts(&self.way.identity, format!("{namespace}/{name}"));
        }
        let fault = self.outside.weather.strike(Side::Api, self.way.number, starts.is_some());
        sleep(usual_delay()).await;
        match fault {
            None => self.outside.trace.tell(&what),
            Some(fault) => self.outside.trace.tell(&format!("{what} {fault:?}")),
        }
        match fault {
            Some(Fault::Refused(code)) => return Ok(refusal(code)),
            Some(Fault::Denied) => {
                self.outside.denied.lock().extend(starts.map(|(namespace, name)| format!("{namespace}/{name}")));
                return Ok(refusal(403));
            }
            Some(Fault::LostBefore) => return Err(broken("the connection broke")),
            Some(Fault::SilentBefore) => std::future::pending().await,
            Some(Fault::Late(after) | Fault::SlowWebhook(after)) => sleep(Duration::from_millis(after.into())).await,
            Some(Fault::TooLate) => {
                let after = REQUEST_DEADLINE.saturating_sub(asked.elapsed()).mul_f64(rand::rng().random());
                tokio::spawn(async move {
                    sleep(after).await;
                    self.take_effect(request, starts, asked, &what).await
                });
                return Err(broken("the connection broke"));
            }
            _ => {}
        }
        let answer = self.take_effect(request, starts, asked, &what).await;
        match fault {
            Some(Fault::LostAfter) => return Err(broken("the connection broke")),
            Some(Fault::SilentAfter) => std::future::pending().await,
            Some(Fault::LateAnswer(after)) => sleep(Duration::from_millis(after.into())).await,
            _ => sleep(usual_delay()).await,
        }
        answer
    }

    /// Has the cluster answer `request`, which `starts` that run if any.
    async fn take_effect(
        &self,
        request: Request<Bytes>,
        starts: Option<(String, String)>,
        asked: Instant,
        what: &str,
    ) -> Result<Response<pac_devcluster::Body>, BoxError> {
        let starts =
            starts.map(|(namespace, name)| self.outside.cluster.store().get("pipelineruns", &namespace, &name));
        let answer = self.outside.cluster.answer(request).await.map_err(|_| broken("the connection was dropped"));
        if let (Some(before), Ok(answer)) = (starts, &answer)
            && answer.status().is_success()
        {
            self.outside.started(before.as_deref(), asked, what);
        }
        answer
    }
}

/// Namespace and name of the run that a request starts, if it starts one.
fn started(request: &Request<Bytes>) -> Option<(String, String)> {
    let patch: Value = serde_json::from_slice(request.body()).ok()?;
    patch.as_array()?.iter().find(|one| one["op"] == "remove" && one["path"] == "/spec/status")?;
    let (before, name) = request.uri().path().split_once("/pipelineruns/")?;
    Some((before.rsplit('/').next()?.to_owned(), name.to_owned()))
}

/// An answer's body as it arrives: that of a watch may be cut or held back.
fn listen(body: pac_devcluster::Body, way: Arc<Way>, is_watch: bool) -> UnsyncBoxBody<Bytes, BoxError> {
    let cuts = way.cuts();
    let frames = stream::unfold(Some((body, way, cuts)), move |state| async move {
        let (mut body, way, mut cuts) = state?;
        let heard = async {
            tokio::select! {
                biased;
                _ = cuts.changed(), if is_watch => Some(Err(broken("the connection broke"))),
                frame = timeout(SILENT_FOR, body.frame()) => match frame {
                    Ok(frame) => frame.map(|frame| frame.map_err(|never| match never {})),
                    Err(_) => Some(Err(io::Error::new(io::ErrorKind::TimedOut, "silence").into())),
                },
            }
        };
        let frame = way.while_open(heard).await;
        // Its end takes as long as any word of it.
        way.held().await;
        if is_watch {
            sleep(usual_delay()).await;
            way.lagging().await;
        }
        let frame = frame?;
        let is_over = frame.is_err();
        Some((frame, (!is_over).then_some((body, way, cuts))))
    });
    StreamBody::new(frames.boxed()).boxed_unsync()
}

fn broken(what: &str) -> BoxError {
    io::Error::new(io::ErrorKind::ConnectionReset, what).into()
}

/// As an API server refuses, with this status.
fn refusal(code: u16) -> Response<pac_devcluster::Body> {
    let (reason, message) = match code {
        409 => {
            ("Conflict", "the object has been modified; please apply your changes to the latest version and try again")
        }
        429 => ("TooManyRequests", "too many requests, please try again later"),
        403 => ("Forbidden", "admission webhook \"policy.example.com\" denied the request: not now"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        _ => ("InternalError", "Internal error occurred: etcdserver: request timed out"),
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message});
    let mut answer = Response::new(Full::new(Bytes::from(status.to_string())).boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}
