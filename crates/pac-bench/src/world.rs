//! A development cluster with Repositories and PipelineRuns as Pipelines-as-Code leaves them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pac_config::keys;
use pac_devcluster::verdict::{Verdict, VerdictOptions};
use pac_devcluster::{DevCluster, Options, PacEvent, PacRun, Store, TektonPlayer};
use pac_devservers::postgres::PASSWORD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::store::Server;

const NAMESPACE: &str = "pipelines-as-code";
const SECRET: &str = "pac-concurrency-secret";

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct World {
    cluster: DevCluster,
    folder: TempDir,
    kubeconfig: PathBuf,
}

// === impl World ===

impl World {
    /// A cluster where `tekton` plays, with nothing in it but the settings for `server`.
    pub(crate) async fn new(tekton: Option<TektonPlayer>, server: &Server) -> Result<Self> {
        let cluster = DevCluster::start(Options { tekton, ..Options::default() }).await?;
        let folder = tempfile::Builder::new().prefix("pac-bench-").tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, cluster.kubeconfig())?;
        cluster.store().create("configmaps", NAMESPACE, json!({"metadata": {"name": NAMESPACE}}))?;
        let secret = json!({"metadata": {"name": SECRET}, "stringData": {keys::POSTGRESQL_PASSWORD.name: PASSWORD}});
        cluster.store().create("secrets", NAMESPACE, secret)?;
        let world = Self { cluster, folder, kubeconfig };
        world.use_server(server)?;
        Ok(world)
    }

    /// Has watchers that start from now on use `server`.
    pub(crate) fn use_server(&self, server: &Server) -> Result<()> {
        let mut data = serde_json::Map::from_iter([(String::from(&keys::CONCURRENCY_ENABLED), json!("true"))]);
        data.extend(server.settings().into_iter().map(|(key, value)| (String::from(key), json!(value))));
        self.store().patch("configmaps", NAMESPACE, NAMESPACE, &json!({ "data": data }))?;
        Ok(())
    }

    pub(crate) fn store(&self) -> &Store {
        self.cluster.store()
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Repository `number` with a limit, in a namespace of its own.
    pub(crate) fn repository(&self, number: usize, limit: u32) -> Result<()> {
        let namespace = namespace(number);
        self.store().ensure_namespace(&namespace);
        self.store().create("repositories", &namespace, repository_object(number, limit))?;
        Ok(())
    }

    /// Run `number` of Repository `of`, queued, the only one of its event; it takes `duration` where Tekton is played.
    pub(crate) fn queue(&self, of: usize, number: usize, duration: Duration) -> Result<()> {
        self.store().create("pipelineruns", &namespace(of), queued_run(&namespace(of), of, number, duration))?;
        Ok(())
    }

    /// Run `number` of Repository `of` as it is now.
    pub(crate) fn run(&self, of: usize, number: usize) -> Result<std::sync::Arc<Value>> {
        self.store().get("pipelineruns", &namespace(of), &run(number)).context("a run is gone")
    }

    /// How many runs are done.
    pub(crate) fn done(&self) -> Result<usize> {
        let runs = self.store().list("pipelineruns", None, "")?;
        Ok(runs.iter().filter(|run| is_done(run)).count())
    }

    /// What the API server's own history says of the promises, for which `options` allow; an error if one was broken.
    pub(crate) fn verdict(&self, options: &VerdictOptions) -> Result<Verdict> {
        told(self.cluster.verdict(options))
    }

    pub(crate) async fn end(self) {
        self.cluster.shutdown().await;
    }
}

pub(crate) fn namespace(number: usize) -> String {
    format!("bench-{number:04}")
}

pub(crate) fn repository(number: usize) -> String {
    format!("repository-{number:04}")
}

pub(crate) fn run(number: usize) -> String {
    format!("repository-on-pull-request-{number:05}")
}

/// What the recorder said; an error if a promise was broken.
pub(crate) fn told(verdict: Verdict) -> Result<Verdict> {
    if !verdict.held() {
        let broken = verdict.promises.iter().filter(|promise| !promise.held);
        let told: Vec<String> = broken.flat_map(|promise| promise.violations.clone()).collect();
        bail!("a promise was broken:\n{verdict}{}", told.join("\n"));
    }
    Ok(verdict)
}

/// Whether a run has succeeded, as all do here.
pub(crate) fn is_done(run: &Value) -> bool {
    run.pointer("/status/conditions/0/status").is_some_and(|status| status == "True")
}

/// Repository `number`.
pub(crate) fn repository_object(number: usize, limit: u32) -> Value {
    let name = repository(number);
    let spec = json!({"url": format!("https://git.example.com/bench/{name}"), "concurrency_limit": limit});
    json!({"metadata": {"name": name}, "spec": spec})
}

/// With what Pipelines-as-Code writes onto a run and with a pipeline in it: some 3.5 KiB.
pub(crate) fn queued_run(namespace: &str, of: usize, number: usize, duration: Duration) -> Value {
    let sha = format!("{:040x}", of * 1_000_003 + number);
    let task = |name: &str| {
        let script = "#!/usr/bin/env bash\nset -euo pipefail\nmake \"$(params.target)\" VERBOSE=1\n".repeat(3);
        json!({"name": name, "taskSpec": {
            "params": [{"name": "target", "type": "string", "default": name}],
            "steps": [{"name": name, "image": "registry.example.com/build:latest", "script": script}],
        }})
    };
    let tasks = ["fetch", "build", "test", "publish"].map(task);
    let claim = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    let spec = [
        (
            "params",
            json!([{"name": "revision", "value": sha}, {"name": "repo_url", "value": "https://git.example.com"}]),
        ),
        ("pipelineSpec", json!({ "tasks": tasks })),
        ("workspaces", json!([{"name": "source", "volumeClaimTemplate": {"spec": claim}}])),
    ];
    let mut run = PacRun::exactly(&run(number))
        .annotated("devcluster/duration", &format!("{}ms", duration.as_millis()))
        .annotated("pipelinesascode.tekton.dev/max-keep-runs", "5");
    run.spec.extend(spec.map(|(key, value)| (key.to_owned(), value)));
    let event = PacEvent { sha, ..PacEvent::new(namespace, &repository(of), [run]) };
    event.of_pull_request(number as u64).settled().remove(0)
}
