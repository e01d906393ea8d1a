//! Who leads, and for how long: candidates for one Lease, on a clock that only goes on when nobody has anything to do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, Response};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use pac_kube::leader::{Candidate, LeaderOptions};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_secs(15);
/// A leader that could not renew leads for so long.
const RENEWED_FOR: Duration = Duration::from_secs(10);
/// Who looks now and then does so at least this often.
const LOOK: Duration = Duration::from_secs(2);

/// An API server that knows one Lease, and can't be watched.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Option<Lease>>>);

/// What a candidate's requests come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Refused,
    Silent,
}

struct Contender {
    leading: watch::Receiver<bool>,
    way: watch::Sender<Way>,
    fit: watch::Sender<bool>,
    over: CancellationToken,
    running: JoinHandle<()>,
}

impl Server {
    fn contender(&self, identity: &str) -> Contender {
        let (way, passage) = watch::channel(Way::Open);
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let (server, way) = (server.clone(), *passage.borrow());
            async move { server.answer(request, way).await }
        });
        let (fit, is_fit) = watch::channel(true);
        let options = LeaderOptions::new("pipelines-as-code", identity, LEASE);
        let (mut candidate, leading) = Candidate::new(Client::new(service, "default"), options, is_fit);
        let over = CancellationToken::new();
        let until = over.clone();
        let running = tokio::spawn(async move {
            let _ = until.run_until_cancelled(candidate.run()).await;
            candidate.resign().await;
        });
        Contender { leading, way, fit, over, running }
    }

    async fn answer(self, request: Request<Body>, way: Way) -> Result<Response<Body>, Infallible> {
        match way {
            Way::Open => {}
            Way::Refused => return Ok(status(500)),
            Way::Silent => std::future::pending().await,
        }
        let method = request.method().clone();
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch"));
        let sent = request.into_body().collect_bytes().await.unwrap();
        Ok(match method {
            Method::GET if is_watch => status(403),
            Method::GET => self.lease().map_or_else(|| status(404), |lease| json_body(200, &json!(lease))),
            _ => self.write(serde_json::from_slice(&sent).unwrap()),
        })
    }

    /// A create or an update, which must be of the version there is.
    fn write(&self, mut lease: Lease) -> Response<Body> {
        let mut kept = self.0.lock().unwrap();
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        if lease.metadata.resource_version != kept.as_ref().and_then(version) {
            return status(409);
        }
        let next = lease.metadata.resource_version.as_deref().unwrap_or("0").parse::<u64>().unwrap() + 1;
        lease.metadata.resource_version = Some(next.to_string());
        *kept = Some(lease.clone());
        json_body(200, &json!(lease))
    }

    fn lease(&self) -> Option<Lease> {
        self.0.lock().unwrap().clone()
    }

    fn holder(&self) -> Option<String> {
        self.lease()?.spec?.holder_identity
    }

    fn transitions(&self) -> i32 {
        self.lease().unwrap().spec.unwrap().lease_transitions.unwrap()
    }
}

impl Contender {
    fn leads(&self) -> bool {
        *self.leading.borrow()
    }

    /// Waits until it leads, or not; says how long that took.
    async fn becomes(&mut self, leading: bool) -> Duration {
        let began = Instant::now();
        let become_so = timeout(LEASE * 4, self.leading.wait_for(|leads| *leads == leading)).await;
        assert!(become_so.is_ok(), "never led: {leading}");
        began.elapsed()
    }

    /// Ends as a killed process does.
    fn kill(&self) {
        self.running.abort();
    }
}

fn status(code: u16) -> Response<Body> {
    let reason = if code == 404 { "NotFound" } else { "" };
    json_body(code, &json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code}))
}

fn json_body(code: u16, body: &Value) -> Response<Body> {
    Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
}

/// So much time passes, at once: the clock is the test's own.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await; // nothing to wait for but the clock itself
}

/// One that leads, and one that has stood by for a while.
async fn leader_and_standby(server: &Server) -> (Contender, Contender) {
    let mut leader = server.contender("leader");
    leader.becomes(true).await;
    let standby = server.contender("standby");
    // Between two renewals.
    pass(LEASE * 2 + LOOK / 2).await;
    (leader, standby)
}

#[tokio::test(start_paused = true)]
async fn a_standby_leaves_a_leader_that_lives_alone() {
    let server = Server::default();
    let (leader, standby) = leader_and_standby(&server).await;
    pass(LEASE * 100).await;
    assert!(leader.leads() && !standby.leads());
    assert!(!leader.leading.has_changed().unwrap() && !standby.leading.has_changed().unwrap(), "for a moment, even");
    assert_eq!((server.holder().as_deref(), server.transitions()), (Some("leader"), 1));
}

#[tokio::test(start_paused = true)]
async fn of_those_that_begin_at_once_one_leads() {
    let server = Server::default();
    let contenders: Vec<_> = (0..5).map(|number| server.contender(&format!("contender-{number}"))).collect();
    pass(LEASE * 3).await;
    assert_eq!(contenders.iter().filter(|contender| contender.leads()).count(), 1);
    let ever = contenders.iter().filter(|contender| contender.leading.has_changed().unwrap()).count();
    assert_eq!((ever, server.transitions()), (1, 1), "for a moment, even");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_gone_is_waited_for_as_long_as_its_lease_lasts() {
    let server = Server::default();
    let (leader, mut standby) = leader_and_standby(&server).await;
    leader.kill();
    let took = standby.becomes(true).await;
    assert!(took > LEASE - LOOK * 2 && took < LEASE + LOOK, "{took:?}");
    assert_eq!(server.holder().as_deref(), Some("standby"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_resigns_is_followed_at_the_next_look() {
    let server = Server::default();
    let (leader, mut standby) = leader_and_standby(&server).await;
    leader.over.cancel();
    let took = standby.becomes(true).await;
    assert!(took <= LOOK && !leader.leads(), "{took:?}");
}

/// However the way to the API server fails, and whenever it gets worse.
#[tokio::test(start_paused = true)]
async fn a_leader_that_can_not_renew_stops_before_another_may_lead() {
    for refused_for in (0..24).map(|halves| Duration::from_millis(halves * 500)) {
        let server = Server::default();
        let (mut leader, mut standby) = leader_and_standby(&server).await;
        let Contender { leading, way, .. } = &mut leader;
        way.send_replace(Way::Refused);
        let gets_worse = async {
            pass(refused_for).await;
            way.send_replace(Way::Silent);
        };
        let stops = async {
            let stopped = timeout(LEASE * 2, leading.wait_for(|leads| !leads)).await;
            assert!(stopped.is_ok(), "it leads for good");
            Instant::now()
        };
        let takes_over = async {
            standby.becomes(true).await;
            Instant::now()
        };
        let ((), stopped, taken_over) = tokio::join!(gets_worse, stops, takes_over);
        assert!(stopped + LOOK / 2 <= taken_over, "{refused_for:?}: {:?}", stopped.duration_since(taken_over));
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hears_nothing_stops_in_time() {
    // Who is refused looks at the clock at the next try.
    for (way, most) in [(Way::Refused, RENEWED_FOR + LOOK), (Way::Silent, RENEWED_FOR)] {
        let server = Server::default();
        let (mut leader, _standby) = leader_and_standby(&server).await;
        leader.way.send_replace(way);
        let took = leader.becomes(false).await;
        assert!(took <= most, "others may lead after {LEASE:?}, and it led for {took:?}");
        // It leads again if it is the first to be heard.
        leader.way.send_replace(Way::Open);
        leader.becomes(true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_can_not_admit_gives_way() {
    let server = Server::default();
    let (mut leader, mut standby) = leader_and_standby(&server).await;
    leader.fit.send_replace(false);
    let took = leader.becomes(false).await;
    assert!(took > LEASE / 3 - LOOK && took < LEASE / 3 + LOOK, "{took:?}");
    let took = standby.becomes(true).await;
    assert!(took <= LOOK, "{took:?}");
    // Fit again it stands by.
    leader.fit.send_replace(true);
    pass(LEASE * 3).await;
    assert!(!leader.leads() && standby.leads());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_can_not_admit_for_a_moment_leads_on() {
    let server = Server::default();
    let (leader, standby) = leader_and_standby(&server).await;
    for _ in 0..10 {
        leader.fit.send_replace(false);
        pass(LEASE / 5).await;
        leader.fit.send_replace(true);
        pass(LOOK * 2).await;
    }
    assert!(leader.leads() && !leader.leading.has_changed().unwrap() && !standby.leads());
}

#[tokio::test(start_paused = true)]
async fn who_can_not_admit_does_not_stand() {
    let server = Server::default();
    let mut unfit = server.contender("unfit");
    unfit.fit.send_replace(false);
    pass(LEASE * 2).await;
    assert!(!unfit.leads() && server.lease().is_none());
    unfit.fit.send_replace(true);
    let took = unfit.becomes(true).await;
    assert!(took < LOOK, "{took:?}");
}

/// A watcher that comes back under its name needn't wait for itself.
#[tokio::test(start_paused = true)]
async fn a_lease_of_ones_own_is_taken_at_once() {
    let server = Server::default();
    let (leader, standby) = leader_and_standby(&server).await;
    leader.kill();
    let mut again = server.contender("leader");
    let took = again.becomes(true).await;
    assert!(took < LOOK && !standby.leads(), "{took:?}");
    assert_eq!(server.transitions(), 1);
}
