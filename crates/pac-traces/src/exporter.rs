//! Sends spans, many of them together. Nobody waits for it.

use std::time::Duration;

use opentelemetry_proto::tonic::resource::v1::Resource;
use pac_metrics::catalogue;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::collector::{Collector, Taken, Untaken, Way};
use crate::span::{request, resource};
use crate::wait::Wait;

/// How long a watcher that stops gives what is still in the queue.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// How spans are sent.
#[derive(Debug, Clone)]
pub struct Pace {
    /// So many wait to be sent at most; there is no room for more.
    pub queue: usize,
    /// So many are sent together at most.
    pub together: usize,
    /// For how long others are waited for that can go with the first.
    pub gathers: Duration,
    /// How long a request may take.
    pub within: Duration,
    /// The waits between the tries of one request. After the last its spans are given up.
    pub tries: Vec<Duration>,
}

/// Sends the spans that a [`crate::Traces`] makes.
#[derive(Debug)]
pub struct Exporter {
    spans: mpsc::Receiver<Wait>,
    resource: Resource,
    pace: Pace,
    /// What is to be sent next.
    batch: Vec<Wait>,
    /// The way to the collector, as long as it serves.
    way: Option<(Collector, Way)>,
    /// Whether somebody was told that the collector takes no spans.
    is_told: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            queue: 2048,
            together: 512,
            gathers: Duration::from_secs(1),
            within: Duration::from_secs(10),
            tries: [1, 2, 4].map(Duration::from_secs).to_vec(),
        }
    }
}

// === impl Exporter ===

impl Exporter {
    pub(crate) fn new(spans: mpsc::Receiver<Wait>, identity: &str, pace: Pace) -> Self {
        Self { spans, resource: resource(identity), pace, batch: Vec::new(), way: None, is_told: false }
    }

    /// Sends to whoever `collector` says, until `stop`, and then what is left, as far as a moment allows. `setting` is what people
    /// know the collector by.
    pub async fn run(
        mut self,
        setting: &'static str,
        mut collector: watch::Receiver<Option<Collector>>,
        stop: CancellationToken,
    ) {
        while stop.run_until_cancelled(self.gather_and_deliver(setting, &mut collector)).await.is_some() {}
        let until = Instant::now() + LAST_WITHIN;
        loop {
            while self.batch.len() < self.pace.together
                && let Ok(wait) = self.spans.try_recv()
            {
                self.batch.push(wait);
            }
            let to = collector.borrow().clone();
            let Some(to) = to.filter(|_| !self.batch.is_empty()) else { return };
            let spans = self.batch.len() as u64;
            if !matches!(timeout_at(until, self.send(setting, &to)).await, Ok(Ok(()))) {
                catalogue::TRACE_SPANS.count(&["failed"], spans);
            }
            self.batch.clear();
        }
    }

    /// One batch, from its first span to its end. What is gathered is kept if this is cut short.
    async fn gather_and_deliver(&mut self, setting: &'static str, collector: &mut watch::Receiver<Option<Collector>>) {
        match self.spans.recv().await {
            Some(wait) => self.batch.push(wait),
            // Nobody makes spans any more.
            None => return std::future::pending().await,
        }
        let until = Instant::now() + self.pace.gathers;
        while self.batch.len() < self.pace.together {
            match timeout_at(until, self.spans.recv()).await {
                Ok(Some(wait)) => self.batch.push(wait),
                Ok(None) | Err(_) => break,
            }
        }
        self.deliver(setting, collector).await;
        self.batch.clear();
    }

    /// Sends the batch, again if need be, until it is taken or given up.
    async fn deliver(&mut self, setting: &'static str, collector: &mut watch::Receiver<Option<Collector>>) {
        let mut waits = self.pace.tries.clone().into_iter();
        loop {
            let to = collector.borrow_and_update().clone();
            let Some(to) = to else { return };
            let Err(untaken) = self.send(setting, &to).await else { return };
            let wait = match untaken {
                Untaken::Never(_) => None,
                Untaken::Later(_, asked) => waits.next().map(|wait| wait.max(asked.unwrap_or_default())),
            };
            let Some(wait) = wait else {
                return catalogue::TRACE_SPANS.count(&["failed"], self.batch.len() as u64);
            };
            tokio::select! {
                () = sleep(wait) => {}
                // Another collector may take it at once.
                changed = collector.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Sends the batch once.
    async fn send(&mut self, setting: &'static str, to: &Collector) -> Result<(), Untaken> {
        let (url, spans) = (&to.url, self.batch.len() as u64);
        let sent = match self.way_to(to) {
            Ok(way) => way.send(&request(&self.resource, &self.batch), self.pace.within).await,
            Err(why) => Err(Untaken::Later(why, None)),
        };
        match sent {
            Ok(Taken { refused, said }) => {
                let refused = refused.min(spans);
                catalogue::TRACE_SPANS.count(&["refused"], refused);
                catalogue::TRACE_SPANS.count(&["sent"], spans - refused);
                debug!(url, spans, refused, "sent spans{said}");
                if std::mem::take(&mut self.is_told) {
                    info!(url, "{url} ({setting}) takes spans again");
                }
                Ok(())
            }
            Err(untaken) => {
                // Files, names and connections may be others next time.
                self.way = None;
                let (Untaken::Later(why, _) | Untaken::Never(why)) = &untaken;
                if std::mem::replace(&mut self.is_told, true) {
                    debug!(url, why, "spans could not be sent");
                } else {
                    warn!(
                        url,
                        "{url} ({setting}) takes no spans: {why}; each is tried a few times more and then given up. No run waits for that"
                    );
                }
                Err(untaken)
            }
        }
    }

    fn way_to(&mut self, to: &Collector) -> Result<Way, String> {
        if let Some((known, way)) = &self.way
            && known == to
        {
            return Ok(way.clone());
        }
        let way = Way::to(to)?;
        self.way = Some((to.clone(), way.clone()));
        Ok(way)
    }
}
