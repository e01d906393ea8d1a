//! The objects of the demo: Repositories, and PipelineRuns that Pipelines-as-Code makes for webhook events.

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::DemoOptions;
use super::stage::Stage;
use super::summary::RepositoryRow;
use crate::http;

const STATE: &str = "pipelinesascode.tekton.dev/state";
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

    /// The Repositories.
    pub(super) fn create_repositories(&self, stage: &Stage) -> Result<()> {
        eprintln!("creating {} Repositories, and {} PipelineRuns for each", self.repositories, self.runs);
        let url = stage.url();
        for_each_repository(self.repositories, &|number| self.create(url, number))
    }

    /// The webhook events, in a thread of their own: Pipelines-as-Code takes its time over many.
    pub(super) fn push(&self, stage: &Stage) -> JoinHandle<Result<()>> {
        let (url, repositories, runs) = (stage.url().to_owned(), self.repositories, self.runs);
        thread::spawn(move || {
            for_each_repository(repositories, &|number| {
                let starts = (0..runs).step_by(EVENT as usize);
                let mut events = starts.map(|first| first..(first + EVENT).min(runs));
                events.try_for_each(|numbers| push_event(&url, &namespace(number), &repository(number), numbers))
            })
        })
    }

    fn create(&self, url: &str, number: u32) -> Result<()> {
        let (namespace, repository) = (namespace(number), repository(number));
        http::create(&format!("{url}/api/v1/namespaces"), &json!({"metadata": {"name": namespace}}))?;
        let object = json!({
            "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository", "metadata": {"name": repository},
            "spec": {"url": format!("https://git.example.com/demo/{repository}"), "concurrency_limit": self.limit},
        });
        let repositories =
            format!("{url}/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/{namespace}/repositories");
        http::create(&repositories, &object)
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
        let (url, namespace, repository) = (stage.url().to_owned(), row.namespace.clone(), row.name.clone());
        let numbers = *next..*next + EVENT;
        // What has been pushed before may take Pipelines-as-Code a while yet.
        thread::spawn(move || push_event(&url, &namespace, &repository, numbers));
        *next += EVENT;
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

fn repository(number: u32) -> String {
    format!("repo-{number:03}")
}

fn runs_url(url: &str, namespace: &str) -> String {
    format!("{url}/apis/tekton.dev/v1/namespaces/{namespace}/pipelineruns")
}

/// Writes for several at once.
fn for_each_repository(repositories: u32, write: &(dyn Fn(u32) -> Result<()> + Sync)) -> Result<()> {
    let write_from = |first: u32| (first..repositories).step_by(WRITERS as usize).try_for_each(write);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|first| scope.spawn(move || write_from(first))).collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| anyhow!("a writer panicked"))?)
    })
}

/// A push, for which runs with these numbers are made.
fn push_event(url: &str, namespace: &str, repository: &str, numbers: Range<u32>) -> Result<()> {
    let steps = json!([{"name": "build", "image": "busybox", "script": "sleep 2"}]);
    let pipeline = json!({"tasks": [{"name": "build", "taskSpec": {"steps": steps}}]});
    let run = |number| json!({"name": format!("run-{number:03}"), "exactly": true, "spec": {"pipelineSpec": pipeline}});
    let runs: Vec<Value> = numbers.map(run).collect();
    let event = json!({"namespace": namespace, "repository": repository, "runs": runs});
    http::create(&format!("{url}/_dev/pac"), &json!({"push": event}))
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
