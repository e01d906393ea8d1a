//! The objects of the demo: Repositories, and PipelineRuns as Pipelines-as-Code leaves them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::DemoOptions;
use super::stage::Stage;
use super::summary::RepositoryRow;
use crate::http;

const STATE: &str = "pipelinesascode.tekton.dev/state";
const REPOSITORY: &str = "pipelinesascode.tekton.dev/repository";
const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
/// Runs of one webhook event.
const EVENT: u32 = 4;
/// Requests at once.
const WRITERS: u32 = 8;
/// How often the runs of a new event come, while they keep coming. The development cluster keeps every version of every object,
/// some 100 KB a run, until it ends; so they don't come faster.
const EVENT_EVERY: Duration = Duration::from_secs(3);
/// A Repository in which so many wait gets no more.
const WAITING_MOST: u64 = 2 * EVENT as u64;
/// So many of a Repository's runs that are done stay, as with Pipelines-as-Code's `max-keep-runs`.
const DONE_KEPT: u64 = 20;

/// What is on stage.
pub(super) struct Scene {
    repositories: u32,
    runs: u32,
    limit: u32,
    /// When the last event came.
    last_event: Instant,
    /// How many runs each namespace has had so far, and how many of them were removed when they were done.
    made: BTreeMap<String, (u32, u64)>,
}

// === impl Scene ===

impl Scene {
    pub(super) fn new(options: &DemoOptions) -> Self {
        Self {
            repositories: options.repositories,
            runs: options.runs,
            limit: options.limit,
            last_event: Instant::now(),
            made: (0..options.repositories).map(|number| (namespace(number), (options.runs, 0))).collect(),
        }
    }

    /// Creates everything, before the watcher is there.
    pub(super) fn create_objects(&self, stage: &Stage) -> Result<()> {
        eprintln!("creating {} Repositories with {} PipelineRuns each", self.repositories, self.runs);
        let url = stage.url();
        let write = |first: u32| {
            (first..self.repositories).step_by(WRITERS as usize).try_for_each(|number| self.create(url, number))
        };
        thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|first| scope.spawn(move || write(first))).collect();
            writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| anyhow!("a writer panicked"))?)
        })
    }

    fn create(&self, url: &str, number: u32) -> Result<()> {
        let (namespace, repository) = (namespace(number), format!("repo-{number:03}"));
        http::create(&format!("{url}/api/v1/namespaces"), &json!({"metadata": {"name": namespace}}))?;
        let object = json!({
            "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository", "metadata": {"name": repository},
            "spec": {"url": format!("https://git.example.com/demo/{repository}"), "concurrency_limit": self.limit},
        });
        let repositories =
            format!("{url}/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/{namespace}/repositories");
        http::create(&repositories, &object)?;
        create_runs(url, &namespace, &repository, 0..self.runs)
    }

    /// Now and then the runs of one more event, where the fewest wait, and fewer of those that are done.
    ///
    /// Whoever looks on may have deleted what this writes to; then there is another time.
    pub(super) fn keep_coming(&mut self, stage: &Stage, rows: &[RepositoryRow]) {
        if self.last_event.elapsed() < EVENT_EVERY {
            return;
        }
        self.last_event = Instant::now();
        let ours = rows.iter().filter(|row| self.made.contains_key(&row.namespace));
        let idlest = ours.filter(|row| row.waiting < WAITING_MOST).min_by_key(|row| row.waiting + row.running);
        let Some(row) = idlest else { return };
        let Some((next, removed)) = self.made.get_mut(&row.namespace) else { return };
        if create_runs(stage.url(), &row.namespace, &row.name, *next..*next + EVENT).is_ok() {
            *next += EVENT;
        }
        let too_many = row.done.saturating_sub(DONE_KEPT);
        *removed += remove_done(stage.url(), &row.namespace, too_many as usize).unwrap_or_default();
    }

    /// Counts the runs that were removed among those that are done.
    pub(super) fn add_removed(&self, rows: &mut [RepositoryRow]) {
        for row in rows {
            row.done += self.made.get(&row.namespace).map_or(0, |(_, removed)| *removed);
        }
    }
}

fn namespace(number: u32) -> String {
    format!("demo-{number:03}")
}

fn runs_url(url: &str, namespace: &str) -> String {
    format!("{url}/apis/tekton.dev/v1/namespaces/{namespace}/pipelineruns")
}

/// Runs with these numbers, the runs of one event together.
fn create_runs(url: &str, namespace: &str, repository: &str, numbers: Range<u32>) -> Result<()> {
    let names: Vec<String> = numbers.map(|run| format!("run-{run:03}")).collect();
    for event in names.chunks(EVENT as usize) {
        let order = event.iter().map(|name| format!("{namespace}/{name}")).collect::<Vec<_>>().join(",");
        let create = |name: &String| http::create(&runs_url(url, namespace), &queued_run(repository, name, &order));
        event.iter().try_for_each(create)?;
    }
    Ok(())
}

/// Deletes the first so many runs that are done; how many that were.
fn remove_done(url: &str, namespace: &str, many: usize) -> Result<u64> {
    if many == 0 {
        return Ok(0);
    }
    let runs = runs_url(url, namespace);
    let done: Value = http::get_json(&format!("{runs}?labelSelector={STATE}+in+(completed,failed)&limit={many}"))?;
    let names = done["items"].as_array().into_iter().flatten().filter_map(|run| run["metadata"]["name"].as_str());
    names.map(|name| http::delete(&format!("{runs}/{name}")).map(|()| 1)).sum()
}

fn queued_run(repository: &str, name: &str, order: &str) -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
        "metadata": {
            "name": name,
            "labels": {STATE: "queued", REPOSITORY: repository},
            "annotations": {STATE: "queued", REPOSITORY: repository, EXECUTION_ORDER: order},
        },
        "spec": {
            "status": "PipelineRunPending",
            "pipelineSpec": {"tasks": [{"name": "build", "taskSpec": {"steps": [
                {"name": "build", "image": "busybox", "script": "sleep 2"},
            ]}}]},
        },
    })
}
