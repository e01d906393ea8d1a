//! Writes Events, one request after the other.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use pac_concurrency::RepositoryKey;
use pac_metrics::catalogue;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::series::{Key, Series};
use super::{Told, of_repository, of_run};
use crate::api::{PipelineRun, Repository};
use crate::error::with_causes;
use crate::index::Index;
use crate::patch::{REQUEST_DEADLINE, STARTS_FIRST};
use crate::queue::history::Record;

/// Who says so.
const REPORTER: &str = "pac-concurrency-watcher";
/// How often counts are told.
const COUNTS_EVERY: Duration = Duration::from_secs(5);
/// How long the end of this watcher is held up by what is yet to be told.
const AT_THE_END: Duration = Duration::from_secs(1);
/// What Kubernetes takes.
const INSTANCE_MAX: usize = 128;
const NOTE_MAX: usize = 1024;
/// Leaves room for what makes an Event's name its own.
const NAME_MAX: usize = 230;

/// Writes Events about the runs and Repositories of one cluster.
#[derive(Clone)]
pub struct Publisher {
    /// To reach the API server.
    pub client: Client,
    /// Which knows the uids of Repositories.
    pub index: Arc<Index>,
    /// This watcher's name.
    pub identity: String,
}

// === impl Publisher ===

impl Publisher {
    /// Publishes what comes out of `news`, until `over`; then what is left, for a second at most.
    pub async fn run(self, mut news: mpsc::Receiver<(RepositoryKey, Record)>, over: CancellationToken) {
        let mut series = Series::default();
        let publishing = tokio::select! {
            () = self.publish(&mut news, &mut series, &over) => true,
            // A request that gets no answer must not hold up the end.
            () = async { over.cancelled().await; sleep(AT_THE_END).await } => false,
        };
        if !publishing || !news.is_empty() {
            debug!("not all that happened lately could be told as Events");
        }
    }

    async fn publish(
        &self,
        news: &mut mpsc::Receiver<(RepositoryKey, Record)>,
        series: &mut Series,
        over: &CancellationToken,
    ) {
        let mut counts = interval(COUNTS_EVERY);
        counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complained = false;
        loop {
            let all_told = news.is_empty();
            let written = tokio::select! {
                told = news.recv() => match told {
                    Some((repository, record)) => {
                        if all_told {
                            over.run_until_cancelled(sleep(STARTS_FIRST)).await;
                        }
                        self.tell(&repository, &record, series).await
                    }
                    None => return,
                },
                () = over.cancelled(), if all_told => return,
                _ = counts.tick() => self.tell_counts(series).await,
            };
            let Err(why) = written else {
                complained = false;
                continue;
            };
            // Once, not for each: nothing but people depends on them.
            if std::mem::replace(&mut complained, true) {
                debug!(why, "could not write an Event");
            } else {
                warn!(why, "could not write an Event; what happens in the queues may not be told on PipelineRuns");
            }
        }
    }

    async fn tell(&self, repository: &RepositoryKey, record: &Record, series: &mut Series) -> Result<(), String> {
        let mut outcome = Ok(());
        if let (Some(told), Some(regarding)) = (of_run(record), run_reference(record)) {
            outcome = self.write(&told, regarding, Some(self.repository_reference(repository)), series).await;
        }
        if let Some(told) = of_repository(record) {
            outcome = outcome.and(self.write(&told, self.repository_reference(repository), None, series).await);
        }
        outcome
    }

    async fn write(
        &self,
        told: &Told,
        regarding: ObjectReference,
        related: Option<ObjectReference>,
        series: &mut Series,
    ) -> Result<(), String> {
        let key = Key::new(&regarding, told.reason, &told.note);
        if series.count(&key, Instant::now()) {
            return Ok(());
        }
        let (namespace, event) = self.event(told, regarding, related);
        let name = event.metadata.name.clone().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        counted(timeout(REQUEST_DEADLINE, events.create(&PostParams::default(), &event)).await)?;
        series.remember(key, namespace, name, Instant::now());
        Ok(())
    }

    /// Tells how often what was told has happened since.
    async fn tell_counts(&self, series: &mut Series) -> Result<(), String> {
        let mut outcome = Ok(());
        for (namespace, name, count) in series.take_untold(Instant::now()) {
            let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
            let now = MicroTime(Timestamp::now());
            let patch = Patch::Merge(json!({"series": {"count": count, "lastObservedTime": now}}));
            let patched = timeout(REQUEST_DEADLINE, events.patch(&name, &PatchParams::default(), &patch)).await;
            outcome = outcome.and(counted(patched));
        }
        outcome
    }

    fn event(&self, told: &Told, regarding: ObjectReference, related: Option<ObjectReference>) -> (String, Event) {
        let now = Timestamp::now();
        let namespace = regarding.namespace.clone().unwrap_or_default();
        let of: String = regarding.name.iter().flat_map(|name| name.chars()).take(NAME_MAX).collect();
        let name = format!("{}.{:x}", of.trim_end_matches(['-', '.']), now.as_nanosecond());
        let cut = |text: &str, most: usize| text.chars().take(most / 4).collect::<String>();
        let fit = |text: &str, most: usize| if text.len() <= most { text.to_owned() } else { cut(text, most) };
        let event = Event {
            metadata: ObjectMeta { name: Some(name), namespace: Some(namespace.clone()), ..ObjectMeta::default() },
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(fit(&self.identity, INSTANCE_MAX)),
            action: Some(told.action.to_owned()),
            reason: Some(told.reason.to_owned()),
            type_: Some(if told.warns { "Warning" } else { "Normal" }.to_owned()),
            note: Some(fit(&told.note, NOTE_MAX)),
            regarding: Some(regarding),
            related,
            ..Event::default()
        };
        (namespace, event)
    }

    fn repository_reference(&self, repository: &RepositoryKey) -> ObjectReference {
        reference::<Repository>(repository.namespace(), repository.name(), self.index.uid(repository))
    }
}

fn run_reference(record: &Record) -> Option<ObjectReference> {
    let (namespace, name) = record.run.as_deref()?.split_once('/')?;
    Some(reference::<PipelineRun>(namespace, name, record.uid.clone()))
}

fn reference<K: Resource<DynamicType = ()>>(namespace: &str, name: &str, uid: Option<String>) -> ObjectReference {
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid,
        ..ObjectReference::default()
    }
}

fn counted(written: Result<kube::Result<Event>, tokio::time::error::Elapsed>) -> Result<(), String> {
    let outcome = match written {
        Ok(Ok(_)) => Ok(()),
        // Its namespace is going, or the Event went before its count was told: nobody is left to read it.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(_) => Err(format!("no answer within {} s", REQUEST_DEADLINE.as_secs())),
    };
    catalogue::EVENTS.count(&[if outcome.is_ok() { "written" } else { "failed" }], 1);
    outcome
}
