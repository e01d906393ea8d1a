//! An API server that knows one Lease, and those who contend for it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use pac_kube::leader::{Candidate, Fitness, LeaderOptions};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) const FIT: Fitness = Fitness { can_admit: true, is_alone: false };
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// A leader that could not renew leads for so long.
pub(crate) const RENEWED_FOR: Duration = Duration::from_secs(10);
/// Who looks now and then does so at least this often.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// An API server that knows one Lease.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    lease: Option<Lease>,
    /// Codes by which the next writes are refused.
    refusals: VecDeque<u16>,
    /// Those who watch; none if it can't be watched.
    watches: Option<Vec<mpsc::UnboundedSender<Bytes>>>,
}

/// What the server says, as long as it does: a watch goes on until the server ends it.
struct Answer(mpsc::UnboundedReceiver<Bytes>);

/// What a candidate's requests come to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    Refused,
    Silent,
}

pub(crate) struct Contender {
    pub(crate) leading: watch::Receiver<bool>,
    pub(crate) way: watch::Sender<Way>,
    pub(crate) fit: watch::Sender<Fitness>,
    pub(crate) over: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(http_body::Frame::data(line))))
    }
}

impl Server {
    /// One that can be watched.
    pub(crate) fn watched() -> Self {
        let server = Self::default();
        server.0.lock().unwrap().watches = Some(Vec::new());
        server
    }

    pub(crate) fn contender(&self, identity: &str) -> Contender {
        let (way, passage) = watch::channel(Way::Open);
        let (fit, is_fit) = watch::channel(FIT);
        let options = LeaderOptions::new("pipelines-as-code", identity, LEASE);
        let (mut candidate, leading) = Candidate::new(self.client(passage), options, is_fit);
        let over = CancellationToken::new();
        let until = over.clone();
        let running = tokio::spawn(async move {
            let _ = until.run_until_cancelled(candidate.run()).await;
            candidate.resign().await;
        });
        Contender { leading, way, fit, over, running }
    }

    pub(crate) fn client(&self, passage: watch::Receiver<Way>) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let (server, way) = (server.clone(), *passage.borrow());
            async move { server.answer(request, way).await }
        });
        Client::new(service, "default")
    }

    async fn answer(self, request: Request<Body>, way: Way) -> Result<Response<Answer>, Infallible> {
        match way {
            Way::Open => {}
            Way::Refused => return Ok(status(500)),
            Way::Silent => std::future::pending().await,
        }
        let method = request.method().clone();
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch"));
        let sent = request.into_body().collect_bytes().await.unwrap();
        Ok(match method {
            Method::GET if is_watch => self.watch(),
            Method::GET => self.lease().map_or_else(|| status(404), |lease| json_body(200, &json!(lease))),
            _ => self.write(serde_json::from_slice(&sent).unwrap()),
        })
    }

    fn watch(&self) -> Response<Answer> {
        let mut kept = self.0.lock().unwrap();
        let lease = kept.lease.clone();
        let Some(watches) = &mut kept.watches else { return status(403) };
        let (news, told) = mpsc::unbounded_channel();
        if let Some(lease) = lease {
            news.send(event("ADDED", json!(lease))).unwrap();
        }
        watches.push(news);
        Response::new(Answer(told))
    }

    /// Has whoever watches get `event`; says how many ever began to.
    pub(crate) fn tell(&self, event: &Bytes) -> usize {
        let kept = self.0.lock().unwrap();
        let watches = kept.watches.as_deref().unwrap_or_default();
        watches.iter().for_each(|watch| drop(watch.send(event.clone())));
        watches.len()
    }

    /// A create or an update, which must be of the version there is.
    fn write(&self, lease: Lease) -> Response<Answer> {
        let written = self.written(lease);
        if let Ok(lease) = &written {
            self.tell(&event("MODIFIED", json!(lease)));
        }
        written.map_or_else(status, |lease| json_body(200, &json!(lease)))
    }

    /// What a write makes of the Lease, or the code it is refused by.
    fn written(&self, mut lease: Lease) -> Result<Lease, u16> {
        let mut kept = self.0.lock().unwrap();
        if let Some(code) = kept.refusals.pop_front() {
            return Err(code);
        }
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        if lease.metadata.resource_version != kept.lease.as_ref().and_then(version) {
            return Err(409);
        }
        let next = lease.metadata.resource_version.as_deref().unwrap_or("0").parse::<u64>().unwrap() + 1;
        lease.metadata.resource_version = Some(next.to_string());
        kept.lease = Some(lease.clone());
        Ok(lease)
    }

    /// Refuses the next writes by these codes.
    pub(crate) fn refuse(&self, codes: &[u16]) {
        self.0.lock().unwrap().refusals = codes.iter().copied().collect();
    }

    /// How many of those refusals are left.
    pub(crate) fn refusals_left(&self) -> usize {
        self.0.lock().unwrap().refusals.len()
    }

    pub(crate) fn lease(&self) -> Option<Lease> {
        self.0.lock().unwrap().lease.clone()
    }

    pub(crate) fn holder(&self) -> Option<String> {
        self.lease()?.spec?.holder_identity
    }

    pub(crate) fn transitions(&self) -> i32 {
        self.lease().unwrap().spec.unwrap().lease_transitions.unwrap()
    }
}

impl Contender {
    pub(crate) fn leads(&self) -> bool {
        *self.leading.borrow()
    }

    /// Waits until it leads, or not; says how long that took.
    pub(crate) async fn becomes(&mut self, leading: bool) -> Duration {
        let began = Instant::now();
        let become_so = timeout(LEASE * 4, self.leading.wait_for(|leads| *leads == leading)).await;
        assert!(become_so.is_ok(), "never led: {leading}");
        began.elapsed()
    }

    /// Ends as a killed process does.
    pub(crate) fn kill(&self) {
        self.running.abort();
    }
}

fn status(code: u16) -> Response<Answer> {
    let reason = if code == 404 { "NotFound" } else { "" };
    json_body(code, &json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code}))
}

fn json_body(code: u16, body: &Value) -> Response<Answer> {
    let (says, answer) = mpsc::unbounded_channel();
    says.send(Bytes::from(body.to_string())).unwrap();
    Response::builder().status(code).body(Answer(answer)).unwrap()
}

pub(crate) fn event(kind: &str, object: Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
}

/// So much time passes, at once: the clock is the test's own.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await; // nothing to wait for but the clock itself
}
