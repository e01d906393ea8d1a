//! Writes Events, one request after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event as CoreEvent, ObjectReference};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use pac_concurrency::protocol::REQUEST_DEADLINE;
use pac_kube::api::{PipelineRun, Repository};
use pac_kube::backoff;
use pac_kube::error::{answered, with_causes};
use pac_kube::patch::STARTS_FIRST;
use pac_metrics::catalogue;
use pac_state::index::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::mailbox::{Draft, Subject};
use super::series::{Key, Series};
use super::{EventText, News};

/// The component that reports the Events, by which `kubectl` names it.
const REPORTER: &str = "pac-concurrency-watcher";
/// How often counts are written.
const COUNTS_EVERY: Duration = Duration::from_secs(5);
/// How long Events that are yet to be written hold up the end of this watcher.
const AT_THE_END: Duration = Duration::from_secs(1);
/// Longest wait before an Event that could not be written is tried again.
const RETRY_MOST: Duration = Duration::from_secs(15);
/// After so many failures in a row the log says so.
const COMPLAIN_AFTER: u32 = 4;
/// The longest instance and note that Kubernetes takes.
const INSTANCE_MAX: usize = 128;
const NOTE_MAX: usize = 1024;
/// The longest beginning of a name, which leaves room for what makes the name its own.
const NAME_MAX: usize = 230;

/// Writes Events about the runs and Repositories of one cluster.
#[derive(Clone)]
pub struct Publisher {
    /// To reach the API server.
    pub client: Client,
    /// Knows the uids of Repositories.
    pub index: Arc<Index>,
    /// This watcher's name.
    pub identity: String,
}

/// What was published lately.
#[derive(Debug, Default)]
struct Published {
    series: Series,
    /// The Event that says where a run waits, by the run's uid.
    places: HashMap<String, PlaceEvent>,
}

#[derive(Debug)]
struct PlaceEvent {
    namespace: String,
    name: String,
    /// How many places it has named so far.
    count: i32,
}

/// Why an Event was not written.
#[derive(Debug)]
enum Unwritten {
    /// The API server won't have it, now or later.
    Refused(String),
    /// Another try may help.
    Failed(String),
}

// === impl Publisher ===

impl Publisher {
    /// Publishes `news` until `over`; then what is left of it, for a second at most.
    pub async fn run(self, news: News, over: CancellationToken) {
        let mut published = Published::default();
        tokio::select! {
            () = self.publish(&news, &mut published, &over) => {}
            // A request that gets no answer must not hold up the end.
            () = async { over.cancelled().await; sleep(AT_THE_END).await } => {}
        }
        if !news.0.is_empty() {
            debug!("not all Events could be written in time");
        }
    }

    async fn publish(&self, news: &News, published: &mut Published, over: &CancellationToken) {
        let mut counts = interval(COUNTS_EVERY);
        counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut failures, mut refused) = (0, false);
        loop {
            let is_all = news.0.is_empty();
            tokio::select! {
                mut draft = news.0.next() => {
                    if is_all {
                        over.run_until_cancelled(sleep(STARTS_FIRST)).await;
                    }
                    match self.write(&mut draft, published).await {
                        Ok(()) => {
                            if std::mem::take(&mut refused) || failures >= COMPLAIN_AFTER {
                                info!("Events are written again");
                            }
                            failures = 0;
                        }
                        // Said once, not for each: nothing but people depends on Events.
                        Err(Unwritten::Refused(why)) => {
                            if !std::mem::replace(&mut refused, true) {
                                warn!(why, "could not write an Event; what happens in the queues may not be told on PipelineRuns");
                            }
                        }
                        Err(Unwritten::Failed(why)) => {
                            failures += 1;
                            match failures {
                                COMPLAIN_AFTER => warn!(why, "could not write Events; they are kept and tried again"),
                                _ => debug!(why, "could not write an Event; it is kept and tried again"),
                            }
                            news.0.put_back(draft);
                            let wait = backoff::wait(Duration::from_millis(100), RETRY_MOST, failures - 1);
                            over.run_until_cancelled(sleep(wait)).await;
                        }
                    }
                },
                () = over.cancelled(), if is_all => return,
                _ = counts.tick() => self.tell_counts(&mut published.series).await,
            }
        }
    }

    async fn write(&self, draft: &mut Draft, published: &mut Published) -> Result<(), Unwritten> {
        if let Subject::Run { uid, .. } = &draft.subject {
            if !draft.text.is_place() {
                published.places.remove(uid);
            } else if let Some(known) = published.places.get_mut(uid) {
                match self.move_place(known, &draft.text.note).await {
                    // The Event is gone, or this watcher has the roles of a version that published no places anew.
                    Err(Unwritten::Refused(why)) => {
                        debug!(why, "the Event that says where a run waits could not be changed")
                    }
                    told => return told,
                }
            }
        }
        let regarding = self.reference(&draft.subject);
        let key = Key::new(&regarding, draft.text.reason, &draft.text.note);
        if published.series.count(&key, draft.count, Instant::now()) {
            return Ok(());
        }
        let (namespace, name) = (regarding.namespace.clone().unwrap_or_default(), self.name(draft, &regarding));
        let event = self.event(draft, &name, regarding);
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        outcome(timeout(REQUEST_DEADLINE, events.create(&PostParams::default(), &event)).await)?;
        match &draft.subject {
            Subject::Run { uid, .. } if draft.text.is_place() => {
                let event = PlaceEvent { namespace, name, count: 1 };
                published.places.insert(uid.clone(), event);
            }
            _ => published.series.remember(key, namespace, name, draft.count, Instant::now()),
        }
        Ok(())
    }

    /// Has the Event that says where a run waits say where it waits now. That is an Event of `v1`: one of `events.k8s.io` can change
    /// its count alone.
    async fn move_place(&self, known: &mut PlaceEvent, note: &str) -> Result<(), Unwritten> {
        let series = json!({"count": known.count + 1, "lastObservedTime": MicroTime(Timestamp::now())});
        self.patch::<CoreEvent>(&known.namespace, &known.name, json!({"message": note, "series": series})).await?;
        known.count += 1;
        Ok(())
    }

    /// Writes how often published Events have happened since.
    async fn tell_counts(&self, series: &mut Series) {
        for (key, namespace, name, count) in series.untold(Instant::now()) {
            let told = json!({"series": {"count": count, "lastObservedTime": MicroTime(Timestamp::now())}});
            match self.patch::<Event>(&namespace, &name, told).await {
                Ok(()) => series.told(&key, count),
                // The Event went before its count was written: the next such happening makes a new one.
                Err(Unwritten::Refused(_)) => series.forget(&key),
                Err(Unwritten::Failed(why)) => return debug!(why, "the count of an Event could not be written"),
            }
        }
    }

    async fn patch<E>(&self, namespace: &str, name: &str, patch: Value) -> Result<(), Unwritten>
    where
        E: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let events: Api<E> = Api::namespaced(self.client.clone(), namespace);
        let patch = Patch::Merge(patch);
        outcome(timeout(REQUEST_DEADLINE, events.patch(name, &PatchParams::default(), &patch)).await)
    }

    /// The Event that `draft` becomes, under the same name at every try.
    fn name(&self, draft: &mut Draft, regarding: &ObjectReference) -> String {
        let of: String = regarding.name.iter().flat_map(|name| name.chars()).take(NAME_MAX).collect();
        let new = || format!("{}.{:x}", of.trim_end_matches(['-', '.']), Timestamp::now().as_nanosecond());
        draft.name.get_or_insert_with(new).clone()
    }

    fn event(&self, draft: &Draft, name: &str, regarding: ObjectReference) -> Event {
        let EventText { reason, action, warns, note } = &draft.text;
        let cut = |text: &str, most: usize| text.chars().take(most / 4).collect::<String>();
        let fit = |text: &str, most: usize| if text.len() <= most { text.to_owned() } else { cut(text, most) };
        let related = matches!(draft.subject, Subject::Run { .. })
            .then(|| self.reference(&Subject::Repository(draft.repository.clone())));
        Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(draft.at)),
            reporting_controller: Some(REPORTER.to_owned()),
            reporting_instance: Some(fit(&self.identity, INSTANCE_MAX)),
            action: Some((*action).to_owned()),
            reason: Some((*reason).to_owned()),
            type_: Some(if *warns { "Warning" } else { "Normal" }.to_owned()),
            note: Some(fit(note, NOTE_MAX)),
            regarding: Some(regarding),
            related,
            ..Event::default()
        }
    }

    fn reference(&self, subject: &Subject) -> ObjectReference {
        match subject {
            Subject::Run { path, uid } => {
                let (namespace, name) = path.split_once('/').unwrap_or_default();
                reference::<PipelineRun>(namespace, name, Some(uid.clone()))
            }
            Subject::Repository(key) => reference::<Repository>(key.namespace(), key.name(), self.index.uid(key)),
        }
    }
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

fn outcome<T>(written: Result<kube::Result<T>, tokio::time::error::Elapsed>) -> Result<(), Unwritten> {
    let outcome = match written {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) => match status.code {
            // A try whose answer was lost has written it.
            409 if status.reason == "AlreadyExists" => Ok(()),
            408 | 409 | 429 | 500.. => Err(Unwritten::Failed(answered(&status))),
            _ => Err(Unwritten::Refused(answered(&status))),
        },
        Ok(Err(error)) => Err(Unwritten::Failed(with_causes(&error))),
        Err(_) => Err(Unwritten::Failed(format!("no answer within {} s", REQUEST_DEADLINE.as_secs()))),
    };
    let counted = match &outcome {
        Ok(()) => "written",
        Err(Unwritten::Refused(_)) => "failed",
        Err(Unwritten::Failed(_)) => "retried",
    };
    catalogue::EVENTS.count(&[counted], 1);
    outcome
}
