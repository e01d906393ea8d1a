//! The objects of the demo: Repositories, and PipelineRuns as Pipelines-as-Code leaves them.

use std::thread;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::DemoOptions;
use super::stage::Stage;
use crate::http;

const STATE: &str = "pipelinesascode.tekton.dev/state";
const REPOSITORY: &str = "pipelinesascode.tekton.dev/repository";
const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
/// Runs of one webhook event.
const EVENT: u32 = 4;
/// Requests at once.
const WRITERS: u32 = 8;

/// What is on stage.
pub(super) struct Scene {
    repositories: u32,
    runs: u32,
    limit: u32,
}

// === impl Scene ===

impl Scene {
    pub(super) fn new(options: &DemoOptions) -> Self {
        Self { repositories: options.repositories, runs: options.runs, limit: options.limit }
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
        let (namespace, repository) = (format!("demo-{number:03}"), format!("repo-{number:03}"));
        http::create(&format!("{url}/api/v1/namespaces"), &json!({"metadata": {"name": namespace}}))?;
        let object = json!({
            "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository", "metadata": {"name": repository},
            "spec": {"url": format!("https://git.example.com/demo/{repository}"), "concurrency_limit": self.limit},
        });
        let repositories =
            format!("{url}/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/{namespace}/repositories");
        http::create(&repositories, &object)?;
        let runs = format!("{url}/apis/tekton.dev/v1/namespaces/{namespace}/pipelineruns");
        let names: Vec<String> = (0..self.runs).map(|run| format!("run-{run:03}")).collect();
        for event in names.chunks(EVENT as usize) {
            let order = event.iter().map(|name| format!("{namespace}/{name}")).collect::<Vec<_>>().join(",");
            event.iter().try_for_each(|name| http::create(&runs, &queued_run(&repository, name, &order)))?;
        }
        Ok(())
    }
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
