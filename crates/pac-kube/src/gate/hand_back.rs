//! Giving the queue of Pipelines-as-Code's own what the gate kept from it, when the system is switched off.
//!
//! PAC's watcher starts a queued run by its order alone, and counts by it those that run when it starts. So each run that isn't done
//! gets PAC's annotation back: with the order that was kept, or, where none was, with the names of its event's runs, sorted as PAC
//! sorts them. A run that has the annotation is left alone, so that doing it again changes nothing.

use std::cmp::min;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::api::ListParams;
use kube::{Client, ResourceExt};
use pac_concurrency::{Limit, RepositoryKey, RunKey};
use tokio_util::sync::CancellationToken;

use crate::api::labels::{EVENT, EXECUTION_ORDER, EXECUTION_ORDER_KEPT, QUEUED, SELECTOR, STARTED, STATE};
use crate::api::{PipelineRun, Repository};
use crate::convert::{EVENT_LASTS_SECONDS, Phase, repository_limit, run_view};
use crate::execution_order::{by_name, place};
use crate::list_all::list;
use crate::patch::{self, Failure};

/// Runs written at once, each of another Repository.
const AT_ONCE: usize = 16;
/// How long a queued run without an order is given for PAC to write one: in a burst of 120 runs it took 6 s.
pub const ORDER_WITHIN: Duration = Duration::from_secs(15);

/// A run that PAC's queue is to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandBack {
    /// Which.
    pub run: RunKey,
    /// Whose limit it counts by.
    pub repository: RepositoryKey,
    /// The order it gets under PAC's own name.
    pub order: String,
    /// The order that was kept under the other name, and goes.
    pub kept: Option<String>,
}

/// What came of handing everything back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandedBack {
    /// So many runs have PAC's annotation now that had not.
    pub runs: usize,
    /// Those that could not be written, and why: to be tried again.
    pub failed: Vec<(RunKey, String)>,
}

/// An event of which nothing but its runs is known: Repository, and what PAC wrote at creation.
type EventKey<'a> = (RepositoryKey, [Option<&'a str>; 3]);

// === impl HandBack ===

impl HandBack {
    /// Whether its order is PAC's own word.
    fn has_order(&self) -> bool {
        self.kept.is_some()
    }
}

/// Which of `runs`, all that aren't history, are to be handed back. `is_limited` tells of which Repositories PAC orders runs at all: a
/// run of another one that PAC counted would take a place in the queue of some Repository of its namespace for good.
///
/// Those of one Repository come in the order in which PAC's queue, which goes by who came first, is to hear of them: the older event's
/// before the younger's, and within one as its order says.
pub fn due(runs: &[PipelineRun], is_limited: impl Fn(&RepositoryKey) -> bool) -> Vec<HandBack> {
    let lists = event_lists(runs);
    let mut due = Vec::new();
    for run in runs {
        let Ok(view) = run_view(run, None) else { continue };
        let annotation = |name: &str| run.annotations().get(name).map(String::as_str);
        let is_in_hand = matches!(annotation(STATE), Some(QUEUED | STARTED));
        let is_over = matches!(view.phase, Phase::Done(_) | Phase::Withdrawn);
        let (pacs, kept) = (annotation(EXECUTION_ORDER), annotation(EXECUTION_ORDER_KEPT));
        if !is_in_hand || is_over || (pacs.is_some() && kept.is_none()) {
            continue;
        }
        let listed = || lists.get(view.key.uid()).filter(|_| is_limited(&view.repository)).cloned();
        // With both names there, PAC's is the newer one.
        let Some(order) = pacs.or(kept).map(str::to_owned).or_else(listed) else { continue };
        let kept = kept.map(str::to_owned);
        due.push((view.created, HandBack { run: view.key, repository: view.repository, order, kept }));
    }
    // An event began with the first of its runs.
    let mut began: HashMap<(RepositoryKey, String), i64> = HashMap::new();
    for (created, one) in &due {
        let event = began.entry((one.repository.clone(), one.order.clone())).or_insert(*created);
        *event = min(*event, *created);
    }
    due.sort_by_cached_key(|(created, one)| {
        let event = began[&(one.repository.clone(), one.order.clone())];
        let place = place(&one.order, one.run.namespace(), one.run.name()).ok().flatten();
        (one.repository.clone(), event, one.order.clone(), place.map(|place| place.position), *created)
    });
    due.into_iter().map(|(_, one)| one).collect()
}

/// The order of each run's event, by the run's uid: the names of the event's runs that are in hand, sorted.
fn event_lists(runs: &[PipelineRun]) -> HashMap<String, String> {
    let mut of_events: HashMap<EventKey<'_>, Vec<(i64, &str, RunKey)>> = HashMap::new();
    for run in runs {
        let Ok(view) = run_view(run, None) else { continue };
        if matches!(view.phase, Phase::Done(_)) {
            continue;
        }
        let said = EVENT.map(|annotation| run.annotations().get(annotation).map(String::as_str));
        let Some(name) = run.metadata.name.as_deref() else { continue };
        of_events.entry((view.repository, said)).or_default().push((view.created, name, view.key));
    }
    let mut lists = HashMap::new();
    for ((repository, said), mut runs) in of_events {
        runs.sort_by_key(|(created, ..)| *created);
        while let Some((began, ..)) = runs.first() {
            // Without a word on its event each run is alone.
            let lasts = if said[0].is_some() { EVENT_LASTS_SECONDS } else { -1 };
            let end = began.saturating_add(lasts);
            let of_one = runs.iter().take_while(|(created, ..)| *created <= end).count().max(1);
            let mut event: Vec<_> = runs.drain(..of_one).collect();
            event.sort_by(|(_, one, _), (_, other, _)| by_name(one, other));
            let names: Vec<_> = event.iter().map(|(_, name, _)| format!("{}/{name}", repository.namespace())).collect();
            let list = names.join(",");
            lists.extend(event.into_iter().map(|(_, _, run)| (run.uid().to_owned(), list.clone())));
        }
    }
    lists
}

/// Hands back everything that is due, and says what came of it. The gate must be open by then, or it stops orders that PAC writes
/// meanwhile. `global` names the Repository whose limit others inherit.
///
/// A run without any order is left alone, since PAC may be about to write one; with `lost_after`, mostly [`ORDER_WITHIN`], those that
/// still have none after so long get one, too.
///
/// Once it is told to `stop`, no more runs are written, and those under way are waited for: one whose writing was given up might still
/// come to be PAC's, at a time when nobody reckons with it.
///
/// # Errors
///
/// If runs or Repositories can't be listed.
pub async fn hand_back_all(
    client: &Client,
    global: &RepositoryKey,
    lost_after: Option<Duration>,
    stop: &CancellationToken,
) -> Result<HandedBack, String> {
    let repositories: Vec<Repository> = list(client, ListParams::default()).await?;
    let limits: HashMap<RepositoryKey, Option<i64>> =
        repositories.iter().filter_map(|repository| repository_limit(repository).ok()).collect();
    let global = limits.get(global).copied().flatten();
    let is_limited = |repository: &RepositoryKey| {
        limits.get(repository).is_some_and(|own| Limit::effective(*own, global).is_limited())
    };
    let runs = || list::<PipelineRun>(client, ListParams::default().labels(SELECTOR));
    let (ordered, without): (Vec<_>, Vec<_>) =
        due(&runs().await?, is_limited).into_iter().partition(HandBack::has_order);
    let mut handed_back = write(client, ordered, stop).await;
    if let Some(patience) = lost_after.filter(|_| !without.is_empty()) {
        if stop.run_until_cancelled(tokio::time::sleep(patience)).await.is_none() {
            return Ok(handed_back);
        }
        let before: HashSet<RunKey> = without.into_iter().map(|one| one.run).collect();
        let again = due(&runs().await?, is_limited);
        let again = again.into_iter().filter(|one| one.has_order() || before.contains(&one.run));
        let also = write(client, again, stop).await;
        handed_back.runs += also.runs;
        // What failed before is among those tried again.
        handed_back.failed = also.failed;
    }
    Ok(handed_back)
}

/// Writes those of one Repository one after the other, in this order.
async fn write(client: &Client, due: impl IntoIterator<Item = HandBack>, stop: &CancellationToken) -> HandedBack {
    let mut of_each: HashMap<RepositoryKey, Vec<HandBack>> = HashMap::new();
    for one in due {
        of_each.entry(one.repository.clone()).or_default().push(one);
    }
    let writing = of_each.into_values().map(|due| async move {
        let mut handed_back = HandedBack::default();
        for one in due {
            if stop.is_cancelled() {
                break;
            }
            match patch::hand_back(client, &one.run, &one.order, one.kept.as_deref()).await {
                Ok(()) => handed_back.runs += 1,
                // Gone meanwhile.
                Err(Failure::Answer(status)) if status.code == 404 => {}
                Err(failure) => handed_back.failed.push((one.run, failure.to_string())),
            }
        }
        handed_back
    });
    let mut written = Box::pin(stream::iter(writing).buffer_unordered(AT_ONCE));
    let mut all = HandedBack::default();
    while let Some(one) = written.next().await {
        all.runs += one.runs;
        all.failed.extend(one.failed);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::labels::REPOSITORY;

    fn run(name: &str, second: u32, change: Value) -> PipelineRun {
        let annotations = json!({REPOSITORY: "repo", STATE: QUEUED, EVENT[0]: "c0ffee", EVENT[1]: "push"});
        let mut run = json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {
                "namespace": "ns", "name": name, "uid": name, "annotations": annotations,
                "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
            },
            "spec": {"status": "PipelineRunPending"},
        });
        json_patch::merge(&mut run, &change);
        serde_json::from_value(run).unwrap()
    }

    fn annotated(annotations: Value) -> Value {
        json!({"metadata": {"annotations": annotations}})
    }

    fn orders(runs: &[PipelineRun], is_limited: bool) -> Vec<(String, String)> {
        due(runs, |_| is_limited).into_iter().map(|one| (one.run.name().to_owned(), one.order)).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(run, order)| ((*run).to_owned(), (*order).to_owned())).collect()
    }

    #[test]
    fn what_was_kept_is_given_back_and_what_pac_has_stays() {
        let runs = [
            run("a", 1, annotated(json!({EXECUTION_ORDER_KEPT: "ns/a,ns/b"}))),
            run("b", 1, annotated(json!({EXECUTION_ORDER: "ns/a,ns/b"}))),
            run("c", 1, annotated(json!({EXECUTION_ORDER: "ns/new", EXECUTION_ORDER_KEPT: "ns/old"}))),
        ];
        for is_limited in [true, false] {
            assert_eq!(orders(&runs, is_limited), pairs(&[("a", "ns/a,ns/b"), ("c", "ns/new")]));
        }
        assert_eq!(due(&runs, |_| true)[1].kept.as_deref(), Some("ns/old"), "and it goes");
    }

    #[test]
    fn where_the_order_is_lost_it_is_that_of_the_names_of_the_event() {
        let running = json!({"spec": {"status": null}, "metadata": {"annotations": {STATE: STARTED}}});
        let runs = [
            run("job-10", 2, json!({})),
            run("job-9", 1, running),
            run("later", 17, json!({})),
            run("other", 2, annotated(json!({EVENT[0]: "other"}))),
            run("alone", 2, annotated(json!({EVENT[0]: null}))),
            run("alone-too", 2, annotated(json!({EVENT[0]: null}))),
        ];
        let expected = [
            ("job-9", "ns/job-9,ns/job-10"),
            ("job-10", "ns/job-9,ns/job-10"),
            ("alone", "ns/alone"),
            ("alone-too", "ns/alone-too"),
            ("other", "ns/other"),
            ("later", "ns/later"),
        ];
        assert_eq!(orders(&runs, true), pairs(&expected));
        assert_eq!(orders(&runs, false), pairs(&[]), "PAC orders none there");
    }

    #[test]
    fn the_older_event_comes_first_and_its_runs_as_its_order_says() {
        let kept = |order: &str| annotated(json!({EXECUTION_ORDER_KEPT: order}));
        let runs = [
            run("a", 5, kept("ns/a")),
            run("b", 4, kept("ns/c,ns/b")),
            run("c", 6, kept("ns/c,ns/b")),
            run("d", 3, kept("ns/d")),
        ];
        let names: Vec<_> = orders(&runs, true).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["d", "c", "b", "a"]);
    }

    #[test]
    fn who_is_done_or_not_yet_queued_is_left_alone() {
        let done = json!({"status": {"conditions": [{"type": "Succeeded", "status": "True"}]}});
        let runs = [
            run("done", 1, done),
            run("arriving", 1, annotated(json!({STATE: null}))),
            run("going", 1, json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:09Z"}})),
            run("nobodys", 1, annotated(json!({REPOSITORY: null}))),
        ];
        assert_eq!(orders(&runs, true), pairs(&[]));
    }
}
