//! Leadership: which of several watchers admits.
//!
//! It only saves work; two leaders at once are harmless (P7). A Kubernetes Lease names the leader. Nobody compares its
//! times with a clock: a lease is over when *this* process has seen it unchanged for as long as it lasts (P9), as client-go
//! does it. A leader that can't renew stops leading before others may think it gone.
//!
//! Whoever can't admit anyway, because his store is away, say, or the watches are silent, doesn't stand, and a leader who
//! can't for a while gives way to one who can; at once, unless what it has in hand is in its memory alone.
//!
//! Whoever doesn't lead watches the Lease. So it learns of a renewal when it is made, which is where its patience begins,
//! and of a leader that resigns at once.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams, WatchEvent, WatchParams};
use pac_concurrency::protocol::REQUEST_DEADLINE;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::error::with_causes;

/// The Lease's name, in PAC's namespace.
pub const LEASE_NAME: &str = "pac-concurrency-watcher";

/// How leadership is kept. Its times are derived from one, so that none can be set that contradicts another.
#[derive(Debug, Clone)]
pub struct LeaderOptions {
    /// The Lease's namespace.
    namespace: String,
    /// Who this watcher is. No two may be the same.
    identity: String,
    /// How long a leader that is gone is waited for.
    lease_duration: Duration,
    /// How long a leader goes on leading without having renewed; less than `lease_duration`.
    renew_deadline: Duration,
    /// How often to renew, or to look.
    retry_every: Duration,
    /// How long a leader goes on leading that can't admit.
    unfit_for: Duration,
}

/// What there is to know of a watcher that stands for election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fitness {
    /// Whether it could admit if it led.
    pub can_admit: bool,
    /// Whether what it has in hand is in its memory alone. Whoever led after it, and be it the next process of its container, would know
    /// nothing of that (P1): so its Lease runs out.
    pub is_alone: bool,
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
    /// Whether this very process has led.
    has_led: bool,
    /// When the Lease is over that this process lets run out; none if it lets none.
    runs_out: Option<Instant>,
    fit: watch::Receiver<Fitness>,
    /// When this watcher could last admit.
    last_fit: Instant,
}

/// Whether the Lease in `namespace` is nobody's: each watcher that could lead gave way. No answer is none.
pub async fn is_vacant(client: &Client, namespace: &str) -> bool {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let found = timeout(REQUEST_DEADLINE, api.get(LEASE_NAME)).await;
    let holder = |lease: Lease| lease.spec.and_then(|spec| spec.holder_identity);
    found.ok().and_then(Result::ok).is_some_and(|lease| holder(lease).is_none_or(|holder| holder.is_empty()))
}

// === impl LeaderOptions ===

impl LeaderOptions {
    /// A lease of so long, renewed in the proportions of client-go's defaults: of 15 s, for up to 10 s, every 2 s. Of 15 s,
    /// a leader that can't admit goes on for 5 s.
    pub fn new(namespace: impl Into<String>, identity: impl Into<String>, lease_duration: Duration) -> Self {
        Self {
            namespace: namespace.into(),
            identity: identity.into(),
            lease_duration,
            renew_deadline: lease_duration * 2 / 3,
            retry_every: lease_duration * 2 / 15,
            unfit_for: lease_duration / 3,
        }
    }
}

// === impl Candidate ===

impl Candidate {
    /// A candidate, and where it says whether it leads; `fit` tells how this watcher is, as it changes.
    pub fn new(client: Client, options: LeaderOptions, fit: watch::Receiver<Fitness>) -> (Self, watch::Receiver<bool>) {
        let (leading, receiver) = watch::channel(false);
        let api = Api::namespaced(client, &options.namespace);
        let last_fit = Instant::now();
        (
            Self { api, options, leading, seen: None, renewed: None, has_led: false, runs_out: None, fit, last_fit },
            receiver,
        )
    }

    /// Takes part until dropped. Cut short, it is followed by [`Candidate::resign`].
    pub async fn run(&mut self) {
        let mut changes = None;
        loop {
            let asked = Instant::now();
            let stands = self.stands();
            let is_alone = self.fit.borrow().is_alone;
            if !stands && is_alone {
                self.let_run_out().await;
            } else if !stands {
                self.give_way("it can't admit anybody for now").await;
            }
            match timeout(self.patience(), self.acquire_or_renew(stands)).await {
                Ok(Ok(true)) => self.lead(asked),
                Ok(Ok(false)) => self.follow("another watcher leads"),
                Ok(Err(error)) => self.endure(&with_causes(&error)),
                Err(_) => self.endure("no answer in time"),
            }
            if *self.leading.borrow() {
                changes = None;
                tokio::time::sleep(self.options.retry_every).await;
            } else {
                self.wait_to_lead(&mut changes).await;
            }
        }
    }

    /// Waits until the Lease changes or is over, or whether to stand; at most for as long as one waits between two looks.
    async fn wait_to_lead(&mut self, changes: &mut Option<BoxStream<'static, ()>>) {
        let now = Instant::now();
        let over = self.seen.as_ref().map(|(lease, since)| *since + self.lasts(lease)).filter(|over| *over > now);
        let look = now + self.options.retry_every;
        let look = over.map_or(look, |over| over.min(look));
        tokio::select! {
            () = tokio::time::sleep_until(look) => {}
            () = next_change(&self.api, changes) => {}
            // Whoever tells lives as long as the process does; if not, there is the look.
            Ok(()) = self.fit.changed() => {}
        }
    }

    /// Whether to lead, or go on leading: not if that is of no use, and has been so for a while.
    fn stands(&mut self) -> bool {
        let is_fit = self.fit.borrow_and_update().can_admit;
        if is_fit {
            self.last_fit = Instant::now();
        }
        is_fit || *self.leading.borrow() && self.last_fit.elapsed() <= self.options.unfit_for
    }

    /// How long to wait for an answer: a leader has to know before its time is up.
    fn patience(&self) -> Duration {
        let usual = self.options.renew_deadline / 2;
        self.renewed.map_or(usual, |renewed| usual.min(self.options.renew_deadline.saturating_sub(renewed.elapsed())))
    }

    /// Gives leadership up, so that another watcher leads at once.
    pub async fn resign(&mut self) {
        self.give_way("stopping").await;
    }

    async fn give_way(&mut self, why: &str) {
        if !*self.leading.borrow() {
            return;
        }
        self.follow(why);
        self.give_up().await;
    }

    /// Stops leading, and gives the Lease up once it is over.
    async fn let_run_out(&mut self) {
        let now = Instant::now();
        if *self.leading.borrow() {
            self.follow("it can't admit anybody for now; its Lease runs out");
            self.runs_out = Some(now + self.options.lease_duration);
        }
        if self.runs_out.take_if(|over| *over <= now).is_some() {
            self.give_up().await;
        }
    }

    async fn give_up(&self) {
        match timeout(self.options.retry_every, self.clear_holder()).await {
            Ok(Ok(())) => info!("gave up leadership"),
            Ok(Err(error)) => debug!(error = with_causes(&error), "could not give up leadership; it will run out"),
            Err(_) => debug!("could not give up leadership in time; it will run out"),
        }
    }

    /// Takes this watcher's name off the Lease. It is read anew: a renewal that was cut short may have taken effect.
    async fn clear_holder(&self) -> kube::Result<()> {
        loop {
            let mut lease = self.api.get(LEASE_NAME).await?;
            let Some(spec) = lease.spec.as_mut().filter(|spec| self.is_ours(spec)) else { return Ok(()) };
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            match self.api.replace(LEASE_NAME, &PostParams::default(), &lease).await {
                // The renewal took effect only now.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                written => return written.map(drop),
            }
        }
    }

    fn lead(&mut self, since: Instant) {
        (self.renewed, self.has_led, self.runs_out) = (Some(since), true, None);
        if self.leading.send_if_modified(|leading| !std::mem::replace(leading, true)) {
            info!(identity = self.options.identity, "leading");
        }
    }

    fn follow(&mut self, why: &str) {
        self.renewed = None;
        if self.leading.send_if_modified(|leading| std::mem::replace(leading, false)) {
            info!(identity = self.options.identity, why, "no longer leading");
        }
    }

    /// An attempt failed: a leader goes on for a while, on the lease it has.
    fn endure(&mut self, why: &str) {
        debug!(why, "could not reach the lease");
        if self.renewed.is_some_and(|renewed| renewed.elapsed() >= self.options.renew_deadline) {
            warn!(why, "could not renew leadership in time");
            self.follow(why);
        }
    }

    /// Whether this watcher leads, after asking the API server; never if it doesn't stand.
    async fn acquire_or_renew(&mut self, stands: bool) -> kube::Result<bool> {
        let Some(found) = self.api.get_opt(LEASE_NAME).await? else {
            if !stands {
                return Ok(false);
            }
            let created = self.api.create(&PostParams::default(), &self.record(None)).await;
            return self.outcome(created);
        };
        let unchanged = self.seen.as_ref().filter(|(seen, _)| seen.spec == found.spec).map(|(_, since)| *since);
        let since = unchanged.unwrap_or_else(Instant::now);
        self.seen = Some((found.clone(), since));
        if !stands || !self.may_take(&found, since) {
            return Ok(false);
        }
        let replaced = self.api.replace(LEASE_NAME, &PostParams::default(), &self.record(Some(found))).await;
        self.outcome(replaced)
    }

    fn may_take(&self, found: &Lease, since: Instant) -> bool {
        let spec = found.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        // The same name on it may be that of this container's process before.
        let is_ours = holder == self.options.identity && (self.has_led || !self.fit.borrow().is_alone);
        if holder.is_empty() || is_ours {
            return true;
        }
        since.elapsed() >= self.lasts(found)
    }

    /// How long a leader is to be waited for, by its own record.
    fn lasts(&self, lease: &Lease) -> Duration {
        let seconds = lease.spec.as_ref().and_then(|spec| u64::try_from(spec.lease_duration_seconds?).ok());
        seconds.map_or(self.options.lease_duration, Duration::from_secs)
    }

    fn is_ours(&self, spec: &LeaseSpec) -> bool {
        spec.holder_identity.as_deref() == Some(&self.options.identity)
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
        let ours = self.is_ours(&old);
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

/// Waits for news of the Lease, for ever if it can't be watched now. `changes` is the watch, kept from call to call.
async fn next_change(api: &Api<Lease>, changes: &mut Option<BoxStream<'static, ()>>) {
    if changes.is_none() {
        *changes = lease_changes(api).await;
    }
    if let Some(watch) = changes {
        if watch.next().await.is_some() {
            return;
        }
        *changes = None;
    }
    std::future::pending().await
}

/// One item for each change of the Lease, the state it is in first; none if it can't be watched now. Ends with the watch.
async fn lease_changes(api: &Api<Lease>) -> Option<BoxStream<'static, ()>> {
    let this_one = WatchParams::default().fields(&format!("metadata.name={LEASE_NAME}")).disable_bookmarks();
    match api.watch(&this_one, "0").await {
        Ok(events) => Some(events.map(is_news).take_while(|news| std::future::ready(*news)).map(|_| ()).boxed()),
        Err(error) => {
            debug!(error = with_causes(&error), "could not watch the lease; looking at it now and then");
            None
        }
    }
}

/// Whether the watch goes on.
fn is_news(event: kube::Result<WatchEvent<Lease>>) -> bool {
    event.is_ok_and(|event| !matches!(event, WatchEvent::Error(_)))
}
