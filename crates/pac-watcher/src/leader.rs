//! Leadership: which of several watchers admits.
//!
//! It only saves work; two leaders at once are harmless (P7). A Kubernetes Lease names the leader. Nobody compares its
//! times with a clock: a lease is over when *this* process has seen it unchanged for as long as it lasts (P9), as client-go
//! does it. A leader that can't renew stops leading before others may think it gone.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use metrics::gauge;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::error::with_causes;

/// The Lease's name, in PAC's namespace.
pub const LEASE_NAME: &str = "pac-concurrency-watcher";

/// How leadership is kept.
#[derive(Debug, Clone)]
pub struct LeaderOptions {
    /// The Lease's namespace.
    pub namespace: String,
    /// Who this watcher is. No two may be the same.
    pub identity: String,
    /// How long a leader that is gone is waited for.
    pub lease_duration: Duration,
    /// How long a leader goes on leading without having renewed; less than `lease_duration`.
    pub renew_deadline: Duration,
    /// How often to renew, or to look.
    pub retry_every: Duration,
}

/// Takes part in the election for ever; `leading` says whether this watcher leads. Ends when the sender's receivers do.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    options: LeaderOptions,
    leading: watch::Sender<bool>,
    /// The record last seen, and since when this process has seen it unchanged.
    seen: Option<(Lease, Instant)>,
    renewed: Option<Instant>,
}

// === impl LeaderOptions ===

impl LeaderOptions {
    /// The defaults, which are client-go's.
    pub fn new(namespace: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_every: Duration::from_secs(2),
        }
    }
}

// === impl Candidate ===

impl Candidate {
    /// A candidate, and where it says whether it leads.
    pub fn new(client: Client, options: LeaderOptions) -> (Self, watch::Receiver<bool>) {
        let (leading, receiver) = watch::channel(false);
        let api = Api::namespaced(client, &options.namespace);
        (Self { api, options, leading, seen: None, renewed: None }, receiver)
    }

    /// Takes part until dropped. Cut short between renewals, it is followed by [`Candidate::resign`].
    pub async fn run(&mut self) {
        loop {
            let asked = Instant::now();
            match timeout(self.options.renew_deadline / 2, self.acquire_or_renew()).await {
                Ok(Ok(true)) => self.lead(asked),
                Ok(Ok(false)) => self.follow("another watcher leads"),
                Ok(Err(error)) => self.endure(&with_causes(&error)),
                Err(_) => self.endure("no answer in time"),
            }
            tokio::time::sleep(self.options.retry_every).await;
        }
    }

    /// Gives leadership up, so that another watcher leads at once.
    pub async fn resign(&mut self) {
        if !*self.leading.borrow() {
            return;
        }
        self.follow("stopping");
        let Some((mut lease, _)) = self.seen.take() else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
        }
        let parameters = PostParams::default();
        let resigning = self.api.replace(LEASE_NAME, &parameters, &lease);
        match timeout(self.options.retry_every, resigning).await {
            Ok(Ok(_)) => info!("gave up leadership"),
            Ok(Err(error)) => debug!(error = with_causes(&error), "could not give up leadership; it will run out"),
            Err(_) => debug!("could not give up leadership in time; it will run out"),
        }
    }

    fn lead(&mut self, since: Instant) {
        self.renewed = Some(since);
        if !self.leading.send_replace(true) {
            gauge!("pac_concurrency_leader").set(1.0);
            info!(identity = self.options.identity, "leading");
        }
    }

    fn follow(&mut self, why: &str) {
        self.renewed = None;
        if self.leading.send_replace(false) {
            gauge!("pac_concurrency_leader").set(0.0);
            info!(identity = self.options.identity, why, "no longer leading");
        }
    }

    /// An attempt failed: a leader goes on for a while, on the lease it has.
    fn endure(&mut self, why: &str) {
        debug!(why, "could not reach the lease");
        if self.renewed.is_some_and(|renewed| renewed.elapsed() > self.options.renew_deadline) {
            warn!(why, "could not renew leadership in time");
            self.follow(why);
        }
    }

    /// Whether this watcher leads, after asking the API server.
    async fn acquire_or_renew(&mut self) -> kube::Result<bool> {
        let Some(found) = self.api.get_opt(LEASE_NAME).await? else {
            let created = self.api.create(&PostParams::default(), &self.record(None)).await;
            return self.outcome(created);
        };
        let unchanged = self.seen.as_ref().filter(|(seen, _)| seen.spec == found.spec).map(|(_, since)| *since);
        let since = unchanged.unwrap_or_else(Instant::now);
        self.seen = Some((found.clone(), since));
        if !self.may_take(&found, since) {
            return Ok(false);
        }
        let replaced = self.api.replace(LEASE_NAME, &PostParams::default(), &self.record(Some(found))).await;
        self.outcome(replaced)
    }

    fn may_take(&self, found: &Lease, since: Instant) -> bool {
        let spec = found.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        if holder.is_empty() || holder == self.options.identity {
            return true;
        }
        let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = lasts.map_or(self.options.lease_duration, Duration::from_secs);
        since.elapsed() >= lasts
    }

    fn outcome(&mut self, written: kube::Result<Lease>) -> kube::Result<bool> {
        match written {
            Ok(lease) => {
                self.seen = Some((lease, Instant::now()));
                Ok(true)
            }
            // Someone else was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn record(&self, found: Option<Lease>) -> Lease {
        let now = Some(MicroTime(Timestamp::now()));
        let mut lease = found.unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(LEASE_NAME.to_owned()), ..ObjectMeta::default() },
            spec: None,
        });
        let old = lease.spec.take().unwrap_or_default();
        let ours = old.holder_identity.as_deref() == Some(&self.options.identity);
        let lasts = i32::try_from(self.options.lease_duration.as_secs()).unwrap_or(i32::MAX);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.options.identity.clone()),
            lease_duration_seconds: Some(lasts),
            acquire_time: if ours { old.acquire_time } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!ours)),
            ..old
        });
        lease
    }
}
