//! Spans of runs' waits, from a whole watcher to a collector that reads them with OpenTelemetry's own types.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use kube::api::{DynamicObject, PostParams};
use opentelemetry_proto::tonic::trace::v1::Span;
use pac_devcluster::{PacEvent, PacRun};
use pac_traces::testing::{TestCollector, text};
use serde_json::{Value, json};
use support::World;

const TRACE: &str = "0f57e147e992b304d977436289d10628";
const PARENT: &str = "73d5909e31793992";

fn settings(endpoint: &str) -> Value {
    json!({"concurrency-enabled": "true", "concurrency-driver": "memory", "concurrency-traces-endpoint": endpoint})
}

impl World {
    /// A development cluster with a Repository of one slot, whose watcher sends spans to `endpoint`.
    async fn tracing_to(endpoint: &str) -> Self {
        let world = Self::without_watcher().await;
        world.settings(settings(endpoint)).await;
        world.repository("repo", Some(1)).await;
        world
    }

    /// The runs of one event, as PAC makes them where it traces.
    async fn traced_event(&self, names: &[&str]) {
        let runs = names.iter().map(|name| PacRun::exactly(name));
        let event = PacEvent::new(&self.namespace, "repo", runs).traced(&format!("00-{TRACE}-{PARENT}-01"));
        for mut run in event.settled() {
            run["apiVersion"] = "tekton.dev/v1".into();
            run["kind"] = "PipelineRun".into();
            run["metadata"]["namespace"] = self.namespace.clone().into();
            let run: DynamicObject = serde_json::from_value(run).unwrap();
            self.runs().create(&PostParams::default(), &run).await.unwrap();
        }
    }
}

async fn span_of(collector: &Arc<TestCollector>, run: &'static str) -> Span {
    let collector = Arc::clone(collector);
    tokio::task::spawn_blocking(move || collector.span_of(run)).await.unwrap()
}

fn own(span: &Span, name: &str) -> String {
    text(span, &format!("concurrency.pipelinesascode.tekton.dev.{name}"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn events(span: &Span) -> Vec<&str> {
    span.events.iter().map(|event| event.name.as_str()).collect()
}

const SECOND: u64 = 1_000_000_000;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "the collector isn't in the cluster")]
async fn a_runs_wait_is_a_span_of_pacs_own_trace() {
    let collector = Arc::new(TestCollector::start());
    let mut world = World::tracing_to(&collector.url()).await;
    let before = now();
    world.traced_event(&["a", "b", "c", "d"]).await;
    world.start_watcher();
    world.running(&["a"]).await;
    world.cancel("c").await;
    world.settled().await;
    let released = now();
    world.finish("a").await;
    world.running(&["b"]).await;
    let started = now();

    let b = span_of(&collector, "b").await;
    assert_eq!((hex(&b.trace_id), hex(&b.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    // Creation is told to the second; nobody saw it within that one but the API server.
    assert!(b.start_time_unix_nano + SECOND > before && b.start_time_unix_nano < released, "{b:?}");
    assert!(b.end_time_unix_nano > released && b.end_time_unix_nano <= started + SECOND, "{b:?}");
    assert_eq!((own(&b, "place"), own(&b, "limit"), own(&b, "reasons")), ("1".into(), "1".into(), "slot".into()));
    assert_eq!((own(&b, "outcome"), own(&b, "repository")), ("started".into(), format!("{}/repo", world.namespace)));
    assert_eq!(
        (text(&b, "pipelinesascode.tekton.dev.event_type"), text(&b, "cicd.pipeline.name")),
        ("push".into(), "b".into())
    );
    assert_eq!(events(&b), ["queued", "admitted"]);

    let a = span_of(&collector, "a").await;
    assert_eq!((events(&a), own(&a, "reasons"), own(&a, "place")), (vec!["admitted"], String::new(), String::new()));
    let c = span_of(&collector, "c").await;
    assert_eq!((own(&c, "outcome"), text(&c, "cicd.pipeline.result")), ("withdrawn".into(), "cancellation".into()));
    assert_ne!(c.span_id, b.span_id);

    // The next watcher finds one that has waited all the while, and another that is paused and then deleted.
    world.stop_watcher();
    world.run("repo", "e").await;
    let told = collector.spans().len();
    world.start_watcher();
    let pause =
        |why: Value| json!({"metadata": {"annotations": {"concurrency.pipelinesascode.tekton.dev/paused": why}}});
    world.patch_repository("repo", pause("the disk is full".into())).await;
    world.finish("b").await;
    world.settled().await;
    world.patch_repository("repo", pause(Value::Null)).await;
    world.running(&["d"]).await;
    world.delete_run("e").await;
    let (d, e) = (span_of(&collector, "d").await, span_of(&collector, "e").await);
    assert!(d.start_time_unix_nano < released && d.end_time_unix_nano > started, "since it was created: {d:?}");
    assert_eq!((hex(&d.trace_id), own(&d, "outcome")), (TRACE.to_owned(), "started".to_owned()));
    assert!(e.parent_span_id.is_empty(), "PAC traced nothing of it: {e:?}");
    assert_eq!(
        (own(&e, "outcome"), hex(&e.trace_id)),
        ("gone".into(), text(&e, "cicd.pipeline.run.id").replace('-', ""))
    );
    world.stop_watcher();
    let runs: Vec<String> = collector.spans().iter().map(|span| text(span, "pipelinerun")).collect();
    let of_the_test = |name: &&String| name.len() == 1;
    assert_eq!(runs.iter().filter(of_the_test).count(), 5, "one each: {runs:?}");
    assert!(collector.spans().len() > told);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "the collector isn't in the cluster")]
async fn a_collector_that_is_away_is_told_of_once_and_another_one_gets_the_spans_of_those_that_wait() {
    let away = format!("http://127.0.0.1:{}", pac_devservers::free_port().unwrap());
    let mut world = World::tracing_to(&away).await;
    world.start_watcher();
    world.event("repo", &["a", "b", "c"]).await;
    for (name, next) in [("a", "b"), ("b", "c")] {
        world.running(&[name]).await;
        world.finish(name).await;
        world.started(next).await;
    }
    world.watcher().log_says("(concurrency-traces-endpoint) takes no spans").await;

    // Switched off, and on again while somebody waits: the watch has shown that one long ago.
    world.settings(settings("")).await;
    world.watcher().log_says_times("the settings changed", 1).await;
    world.event("repo", &["d"]).await;
    world.settled().await;
    let collector = Arc::new(TestCollector::start());
    world.settings(settings(&collector.url())).await;
    world.watcher().log_says(&format!("is sent to {}", collector.url())).await;
    world.watcher().log_says("those that wait already get spans, too").await;
    world.finish("c").await;
    let d = span_of(&collector, "d").await;
    assert_eq!(own(&d, "outcome"), "started");
    assert_eq!(world.watcher().log_count("takes no spans"), 1);
}
