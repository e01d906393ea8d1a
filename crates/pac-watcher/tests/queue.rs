//! What people are told of the queue: `/debug/queue`, and of one run why it is where it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use pac_devcluster::{FaultAction, FaultRule};
use pac_kube::api::labels::{PAUSED, PAUSED_UNTIL, RELEASED, RELEASED_REASON, RESUMED};
use pac_queue::history::Happened;
use pac_queue::view::{Answer, Explanation, Overview, Queues, RepositoryQueue, Summary};
use serde_json::json;
use support::{PATIENCE, World};

async fn get<T: serde::de::DeserializeOwned>(world: &World, path: &str) -> T {
    let watcher = world.watcher();
    watcher.log_says("serving admin").await;
    let (status, body) = watcher.get(watcher.admin_addr, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

async fn queue(world: &World, name: &str) -> RepositoryQueue {
    let queues: Queues = get(world, &format!("/debug/queue?repository={}/{name}", world.namespace)).await;
    queues.repositories.into_iter().next().unwrap()
}

async fn explain(world: &World, name: &str) -> Explanation {
    get(world, &format!("/debug/queue/explain?run={}/{name}", world.namespace)).await
}

/// A real cluster may have others' Repositories, too.
fn in_overview<'a>(world: &World, overview: &'a Overview, name: &str) -> &'a Summary {
    let repository = format!("{}/{name}", world.namespace);
    overview.repositories.iter().find(|summary| summary.repository == repository).unwrap()
}

/// Waits until the answer about `name` is this one.
async fn explained(world: &World, name: &str, answer: Answer) -> Explanation {
    explained_as(world, name, &format!("{answer:?}"), |told| told.answer == answer).await
}

/// Waits until what is told of `name` is as `wanted`, which is `what`.
async fn explained_as(world: &World, name: &str, what: &str, wanted: impl Fn(&Explanation) -> bool) -> Explanation {
    let asked = tokio::time::timeout(PATIENCE, async {
        loop {
            let told = explain(world, name).await;
            if wanted(&told) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // people ask again, too
        }
    });
    match asked.await {
        Ok(told) => told,
        Err(_) => panic!("{name} was never {what}: {:?}", explain(world, name).await),
    }
}

fn names(world: &World, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{}/{name}", world.namespace)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_shows_who_runs_and_who_waits_and_what_happened() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a"]).await;
    explained(&world, "a", Answer::Running).await;
    let shown = queue(&world, "repo").await;
    assert_eq!((shown.limit.text.as_str(), shown.store_trouble), ("1", None));
    let slot = &shown.running[0];
    assert_eq!((slot.run.clone(), slot.state.as_str()), (names(&world, &["a"])[0].clone(), "running"));
    assert!(slot.holder.as_ref().unwrap().starts_with("watcher-0:") && slot.since.is_some() && !slot.lapsed);
    let waiting: Vec<_> = shown.waiting.iter().map(|run| (run.position, run.run.clone())).collect();
    assert_eq!(waiting, (1..).zip(names(&world, &["b", "c"])).collect::<Vec<_>>());
    assert!(shown.waiting.iter().all(|run| run.estimate.is_none()), "nothing is known of how long a run takes");

    world.finish("a").await;
    world.running(&["b"]).await;
    let told = explained_as(&world, "b", "all told", |told| told.history.len() == 3).await;
    let happened: Vec<_> = told.history.iter().map(|record| record.what.clone()).collect();
    let [Happened::Queued { .. }, Happened::Admitted { holder }, Happened::Started] = &happened[..] else {
        panic!("{happened:?}")
    };
    assert!(holder.starts_with("watcher-0:"));
    let freed = queue(&world, "repo").await.history.into_iter().find(|record| {
        record.run == Some(names(&world, &["a"])[0].clone()) && matches!(record.what, Happened::Released { .. })
    });
    let Some(Happened::Released { why, held_for: Some(_), by_operator: false }) = freed.map(|record| record.what)
    else {
        panic!("{shown:?}", shown = shown.history)
    };
    assert_eq!(why, "it succeeded");

    let overview: Overview = get(&world, "/debug/queue/summary").await;
    let repository = in_overview(&world, &overview, "repo");
    assert_eq!((repository.running, repository.waiting), (1, 1));
    assert!(repository.oldest_waiting_seconds.is_some() && overview.watcher.leading);
    let all: Queues = get(&world, "/debug/queue").await;
    let ours = format!("{}/", world.namespace);
    assert_eq!(all.repositories.iter().filter(|queue| queue.repository.starts_with(&ours)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_asked_is_refused() {
    let world = World::new().await;
    let watcher = world.watcher();
    watcher.ready(true).await;
    for (path, status) in [
        ("/debug/queue?repository=none/such", 404),
        ("/debug/queue?repository=%3Cscript%3E", 400),
        ("/debug/queue/explain?run=a/b/c", 400),
        ("/debug/queue/explain", 400),
    ] {
        assert_eq!(watcher.get(watcher.admin_addr, path).await.0, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn each_reason_to_wait_is_told() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let denied = FaultAction::Error {
        status: 403,
        reason: "Forbidden".to_owned(),
        message: "admission webhook \"policy.example.com\" denied the request: not today".to_owned(),
    };
    world.cluster.faults().add(FaultRule::new(denied).verb("patch").resource("pipelineruns").name("refused"));
    world.event("repo", &["refused", "runs", "next", "last"]).await;
    let told = explained(&world, "refused", Answer::Refused).await;
    assert!(told.because.contains("not today"), "{}", told.because);
    world.running(&["runs"]).await;
    let told = explained(&world, "last", Answer::Waiting).await;
    assert_eq!((told.position, &told.ahead), (Some(3), &names(&world, &["refused", "next"])));
    assert_eq!(told.holders.iter().map(|slot| slot.run.clone()).collect::<Vec<_>>(), names(&world, &["runs"]));
    assert!(told.because.contains("the one slot, which is taken; 2 runs are before it"), "{}", told.because);
    let told = explained(&world, "refused", Answer::Refused).await;
    let passed = |what: &Happened| matches!(what, Happened::PassedOver { by, .. } if by.ends_with("/runs"));
    assert!(told.history.iter().any(|record| passed(&record.what)), "{:?}", told.history);

    world
        .run_with(
            "repo",
            "arriving",
            json!({"metadata": {"annotations": {"pipelinesascode.tekton.dev/state": "started"}}}),
        )
        .await;
    explained(&world, "arriving", Answer::Arriving).await;
    world.run("repo", "unplaced").await;
    explained(&world, "unplaced", Answer::PlaceToCome).await;
    explained(&world, "unplaced", Answer::Waiting).await;
    world.event("nowhere", &["lost"]).await;
    let told = explained(&world, "lost", Answer::RepositoryMissing).await;
    assert!(told.because.contains("there is no Repository"), "{}", told.because);
    // The one number that the API server takes and no limit can be.
    world.repository("odd", Some(5_000_000_000)).await;
    world.event("odd", &["odd"]).await;
    let told = explained(&world, "odd", Answer::LimitUnreadable).await;
    assert!(told.because.contains("no limit can be 5000000000"), "{}", told.because);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_wait_is_told_apart() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["done", "cancelled", "waits"]).await;
    world.running(&["done"]).await;
    world.cancel("cancelled").await;
    explained(&world, "cancelled", Answer::Withdrawn).await;
    world.finish("done").await;
    world.state_is("done", "completed").await;
    assert!(explained(&world, "done", Answer::Done).await.because.contains("succeeded"));
    world.running(&["waits"]).await;
    explained(&world, "waits", Answer::Running).await;
    assert!(explained(&world, "nobody", Answer::Unknown).await.because.contains("no PipelineRun nobody"));
    let strange = json!({"metadata": {
        "annotations": {"pipelinesascode.tekton.dev/repository": null},
        "labels": {"pipelinesascode.tekton.dev/repository": null},
    }});
    world.run_with("repo", "strange", strange).await;
    explained(&world, "strange", Answer::Foreign).await;
    world.settings(json!({"concurrency-enabled": "false"})).await;
    explained(&world, "waits", Answer::SwitchedOff).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    explained(&world, "b", Answer::Waiting).await;
    // From off to a store that is away: there is none to fall back upon.
    world.settings(json!({"concurrency-enabled": "false"})).await;
    explained(&world, "b", Answer::SwitchedOff).await;
    world.settings(json!({"concurrency-enabled": "true", "concurrency-driver": "postgresql"})).await;
    let told = explained(&world, "b", Answer::StoreUnreachable).await;
    assert!(told.because.contains("db.example.com:5432 is away"), "{}", told.because);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_repository_admits_nobody_until_it_is_resumed() {
    let mut world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a"]).await;
    let annotations = |paused: Option<&str>| json!({"metadata": {"annotations": {PAUSED: paused}}});
    world.patch_repository("repo", annotations(Some("registry is moving"))).await;
    let told = explained(&world, "b", Answer::Paused).await;
    assert!(told.because.contains("registry is moving") && told.because.contains("until it is resumed"), "{told:?}");
    world.finish("a").await;
    world.state_is("a", "completed").await;
    // With this driver nothing but the annotation outlives the watcher.
    world.stop_watcher();
    world.start_watcher();
    explained(&world, "b", Answer::Paused).await;
    world.settled().await;
    assert!(world.recorder.now()["b"].is_pending());
    let overview: Overview = get(&world, "/debug/queue/summary").await;
    assert_eq!(in_overview(&world, &overview, "repo").paused.as_ref().unwrap().reason, "registry is moving");
    assert_eq!(world.watcher().log_count("concurrency limit reached"), 0, "it isn't the limit they wait for");
    world.patch_repository("repo", json!({"metadata": {"annotations": {PAUSED: null, RESUMED: "moved"}}})).await;
    world.running(&["b"]).await;
    let happened: Vec<_> = queue(&world, "repo").await.history.into_iter().map(|record| record.what).collect();
    assert!(happened.contains(&Happened::Resumed { reason: Some("moved".to_owned()) }), "{happened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let until = k8s_openapi::jiff::Timestamp::now() + Duration::from_secs(3);
    let annotations = json!({PAUSED: "a while", PAUSED_UNTIL: until.to_string()});
    world.patch_repository("repo", json!({"metadata": {"annotations": annotations}})).await;
    world.event("repo", &["a"]).await;
    explained(&world, "a", Answer::Paused).await;
    world.running(&["a"]).await;
    assert!(k8s_openapi::jiff::Timestamp::now() >= until);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_takes_the_slot_of_a_run_that_runs_for_ever() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["stuck", "next"]).await;
    world.running(&["stuck"]).await;
    world.annotate("stuck", RELEASED, "true").await;
    world.settled().await;
    assert!(world.recorder.now()["next"].is_pending(), "whoever writes a pipeline could write that, too");
    let uid = world.recorder.now()["stuck"].uid.clone();
    let annotations = json!({RELEASED: uid, RELEASED_REASON: "its node is gone"});
    world.patch_run("stuck", json!({"metadata": {"annotations": annotations}})).await;
    world.running(&["stuck", "next"]).await;
    let told = explained(&world, "stuck", Answer::Released).await;
    assert!(told.because.contains("its node is gone"), "{}", told.because);
    let freed = told.history.last().unwrap().what.to_string();
    assert!(freed.contains("an operator released it: its node is gone"), "{freed}");
    world.watcher().log_says("an operator released").await;
    world.finish("stuck").await;
    world.state_is("stuck", "completed").await;
}

/// Reason and note of every Event on this object, and how often it happened.
async fn events(world: &World, kind: &str, name: &str) -> Vec<(String, String, i32)> {
    let events: Api<Event> = Api::namespaced(world.client.clone(), &world.namespace);
    let on_it = |event: &Event| {
        let regarding = event.regarding.clone().unwrap_or_default();
        regarding.kind.as_deref() == Some(kind) && regarding.name.as_deref() == Some(name) && regarding.uid.is_some()
    };
    let told = |event: Event| {
        let count = event.series.map_or(1, |series| series.count);
        (event.reason.unwrap(), event.note.unwrap(), count)
    };
    let all = events.list(&ListParams::default()).await.unwrap();
    all.into_iter().filter(on_it).map(told).collect()
}

/// Waits until one of the Events on this object is such.
async fn told(world: &World, kind: &str, name: &str, is_such: impl Fn(&(String, String, i32)) -> bool) {
    let asked = tokio::time::timeout(PATIENCE, async {
        while !events(world, kind, name).await.iter().any(&is_such) {
            tokio::time::sleep(Duration::from_millis(50)).await; // people ask again, too
        }
    });
    assert!(asked.await.is_ok(), "{:?}", events(world, kind, name).await);
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn events_tell_on_the_run_and_on_its_repository_what_happens() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let denied = FaultAction::Error { status: 403, reason: "Forbidden".to_owned(), message: "not today".to_owned() };
    world.cluster.faults().add(FaultRule::new(denied).verb("patch").resource("pipelineruns").name("refused"));
    world.event("repo", &["a", "b", "refused"]).await;
    world.running(&["a"]).await;
    world.finish("a").await;
    world.running(&["b"]).await;
    world.set_limit("repo", Some(2)).await;
    for reason in ["Admitted", "Started", "Released"] {
        told(&world, "PipelineRun", "a", |(told, _, _)| told == reason).await;
    }
    told(&world, "PipelineRun", "b", |(reason, note, _)| reason == "Waiting" && note.contains("at place 1")).await;
    told(&world, "PipelineRun", "refused", |(reason, note, _)| reason == "StartRefused" && note.contains("not today"))
        .await;
    told(&world, "Repository", "repo", |(reason, note, _)| reason == "LimitChanged" && note.contains("from 1 to 2"))
        .await;
    // The same about several runs is one Event, counted.
    told(&world, "Repository", "repo", |(reason, _, count)| reason == "Started" && *count == 2).await;
    let started = events(&world, "Repository", "repo").await.into_iter().filter(|(reason, _, _)| reason == "Started");
    assert_eq!(started.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_right_before_the_end_is_told_too() {
    let mut world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a"]).await;
    world.running(&["a"]).await;
    world.stop_watcher();
    let told: Vec<_> = events(&world, "PipelineRun", "a").await.into_iter().map(|(reason, _, _)| reason).collect();
    assert!(["Admitted", "Started"].iter().all(|reason| told.iter().any(|told| told == reason)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn events_that_can_not_be_written_hold_nobody_up() {
    let world = World::new().await;
    let denied = FaultAction::Error { status: 403, reason: "Forbidden".to_owned(), message: "no right".to_owned() };
    world.cluster.faults().add(FaultRule::new(denied).verb("create").resource("events"));
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    world.finish("a").await;
    world.running(&["b"]).await;
    world.watcher().log_says("could not write an Event").await;
    assert_eq!(world.watcher().log_count("WARN pac_view::events"), 1, "said once");
}
