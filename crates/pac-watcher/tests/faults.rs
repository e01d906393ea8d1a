//! What the API server and the network do to requests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use pac_devcluster::{FaultAction, FaultRule};
use serde_json::json;
use support::World;

fn start_of(name: &str, action: FaultAction) -> FaultRule {
    FaultRule::new(action).verb("patch").resource("pipelineruns").name(name)
}

fn refusal(status: u16, reason: &str, message: &str) -> FaultAction {
    FaultAction::Error { status, reason: reason.to_owned(), message: message.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_start_whose_answer_was_lost_is_not_repeated_and_keeps_its_slot() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let lost = world.cluster.faults().add(start_of("a", FaultAction::DropAfter).times(1));
    world.event("repo", &["a", "b"]).await;
    world.struck(lost).await;
    world.settled().await;
    world.running(&["a"]).await;
    let uid = world.recorder.now()["a"].uid.clone();
    assert_eq!(world.recorder.starts_of(&uid), 1, "P2");
    world.finish("a").await;
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_start_that_was_lost_before_it_took_effect_is_sent_again() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.cluster.faults().add(start_of("a", FaultAction::DropBefore).times(3));
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    assert!(world.recorder.now()["b"].is_pending(), "P3");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_start_that_a_webhook_refuses_lets_the_next_go_and_is_tried_again() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    let denied = refusal(403, "Forbidden", "admission webhook \"policy.example.com\" denied the request: not today");
    let rule = world.cluster.faults().add(start_of("a", denied).times(1));
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["b"]).await;
    world.struck(rule).await;
    world.settled().await;
    assert!(world.recorder.now()["a"].is_pending() && world.recorder.now()["c"].is_pending());
    // It kept its place: before c, as soon as it may be tried again.
    world.recorder.until("a is tried again", |_| true).await;
    tokio::time::sleep(Duration::from_secs(6)).await; // its back-off, 5 s
    world.finish("b").await;
    world.running(&["a"]).await;
    world.finish("a").await;
    world.running(&["c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_run_that_is_always_refused_keeps_no_slot() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world
        .cluster
        .faults()
        .add(start_of("a", refusal(422, "Invalid", "PipelineRun.tekton.dev \"a\" is invalid: spec: never")));
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["b"]).await;
    world.finish("b").await;
    world.running(&["c"]).await;
    assert!(world.recorder.now()["a"].is_pending());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_refusal_after_a_lost_answer_frees_no_slot() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    world.repository("repo", Some(1)).await;
    // Lost on the way for as long as it takes to pause the watches; then applied, and only the answer lost; then forbidden,
    // which says nothing of what was done before. Until then nobody can read the run.
    let lost = faults.add(start_of("a", FaultAction::DropBefore).times(3));
    faults.add(start_of("a", FaultAction::DropAfter).times(1));
    let forbidden = faults.add(start_of("a", refusal(403, "Forbidden", "not allowed any more")).times(1));
    let unread = FaultRule::new(refusal(500, "InternalError", "later"));
    faults.add(unread.verb("get").resource("pipelineruns").name("a"));
    world.event("repo", &["a", "b"]).await;
    world.struck(lost).await;
    faults.pause_watches();
    world.struck(forbidden).await;
    faults.clear();
    world.watcher().log_says(&format!("started {}/a", world.namespace)).await;
    faults.resume_watches();
    world.running(&["a"]).await;
    world.settled().await;
    assert!(world.recorder.now()["b"].is_pending(), "P5");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn an_api_server_that_is_overloaded_is_waited_for_in_order() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    for (status, reason) in
        [(429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable"), (504, "Timeout")]
    {
        world.cluster.faults().add(start_of("a", refusal(status, reason, "later")).times(1));
    }
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    assert!(world.recorder.now()["b"].is_pending(), "P3");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_webhook_that_times_out_is_told_once_in_its_words_with_the_runs_name() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    world.repository("repo", Some(2)).await;
    let words = "failed calling webhook \"validation.webhook.pipeline.tekton.dev\": context deadline exceeded";
    let timed_out = refusal(500, "InternalError", words);
    let fault = faults.add(FaultRule::new(timed_out).verb("patch").resource("pipelineruns"));
    world.event("repo", &["a", "b"]).await;
    tokio::time::timeout(Duration::from_secs(60), faults.struck(fault, 6)).await.unwrap();
    let (started, said) =
        (format!("starting {}/", world.namespace), "the API server answered 500 InternalError: failed calling webhook");
    assert_eq!((world.watcher().log_count(" WARN "), world.watcher().log_count(&started) > 0), (1, true));
    assert!(
        world
            .watcher()
            .log_text()
            .lines()
            .any(|line| line.contains(" WARN ") && line.contains(&started) && line.contains(said))
    );
    assert_eq!(
        world.watcher().get(world.watcher().probe_addr, "/ready").await.0,
        200,
        "it is no trouble of the API server's"
    );
    faults.clear();
    world.running(&["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn nothing_is_lost_when_watches_are_closed_and_versions_expire() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c", "d"]).await;
    world.running(&["a"]).await;
    faults.close_watches();
    world.finish("a").await;
    world.running(&["b"]).await;
    faults.expire_versions();
    faults.close_watches();
    world.finish("b").await;
    world.running(&["c"]).await;
    faults.expire_versions();
    faults.close_watches();
    world.delete_run("c").await;
    world.running(&["d"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_stale_cache_admits_nobody_twice() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a"]).await;
    faults.pause_watches();
    world.finish("a").await;
    world.delete_run("a").await;
    faults.resume_watches();
    world.running(&["b"]).await;
    world.finish("b").await;
    world.running(&["c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn an_outage_of_the_api_server_is_survived_without_a_restart() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    world.watcher().ready(true).await;
    faults.refuse_connections();
    world.watcher().ready(false).await;
    faults.accept_connections();
    world.watcher().ready(true).await;
    world.finish("a").await;
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn one_slow_run_delays_no_other_repository() {
    let world = World::new().await;
    let slow = world.cluster.faults().add(start_of("slow", FaultAction::Latency(Duration::from_secs(30))));
    world.repository("slow", Some(1)).await;
    world.repository("quick", Some(1)).await;
    world.event("slow", &["slow"]).await;
    world.struck(slow).await;
    let began = Instant::now();
    world.event("quick", &["x", "y"]).await;
    world.running(&["x"]).await;
    world.finish("x").await;
    world.running(&["y"]).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn many_slow_starts_delay_no_other_repository() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    let mut slow = FaultRule::new(FaultAction::Latency(Duration::from_secs(30))).verb("patch");
    slow.name_contains = Some("slow".to_owned());
    let slow = faults.add(slow);
    for number in 0..8 {
        let repository = format!("slow-{number}");
        world.repository(&repository, Some(20)).await;
        let names: Vec<String> = (0..20).map(|run| format!("{repository}-{run}")).collect();
        world.event(&repository, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    faults.struck(slow, 8 * 8).await; // so many of each repository are under way at once
    world.repository("quick", Some(1)).await;
    world.event("quick", &["x", "y"]).await;
    let began = Instant::now();
    world.running(&["x"]).await;
    world.finish("x").await;
    world.running(&["y"]).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn final_states_are_written_in_the_end() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a"]).await;
    world.running(&["a"]).await;
    faults.pause_watches();
    world.finish("a").await;
    faults.add(start_of("a", refusal(500, "InternalError", "later")).times(3));
    faults.resume_watches();
    world.state_is("a", "completed").await;
}

const SWITCHED_OFF: &str = "nothing is watched or changed";

#[tokio::test(flavor = "multi_thread")]
async fn being_switched_off_touches_nothing_and_switched_on_goes_on() {
    let mut world = World::without_watcher().await;
    let idle = Duration::from_secs(1); // many times what it takes to start a run; nothing tells of what isn't done
    world.settings(json!({"concurrency-enabled": "false"})).await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.start_watcher();
    world.watcher().ready(true).await;
    world.watcher().log_says(SWITCHED_OFF).await;
    tokio::time::sleep(idle).await; // see above
    assert!(world.recorder.now().values().all(support::Run::is_pending));
    world.settings(json!({"concurrency-enabled": "true"})).await;
    world.running(&["a"]).await;
    world.settings(json!({"concurrency-enabled": "no"})).await;
    world.watcher().log_says_times(SWITCHED_OFF, 2).await;
    world.finish("a").await;
    tokio::time::sleep(idle).await; // see above
    let runs = world.recorder.now();
    assert!(runs["b"].is_pending() && runs["a"].state == "started", "{runs:?}");
    world.settings(json!({"concurrency-enabled": "yes"})).await;
    world.running(&["b"]).await;
    world.state_is("a", "completed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_what_users_look_for() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    let log = world.watcher();
    log.log_says("Initialized concurrency system with driver: memory").await;
    log.log_says(&format!("acquired concurrency slot for {}/a", world.namespace)).await;
    let reached = format!("concurrency limit reached for repository {}/repo", world.namespace);
    log.log_says(&reached).await;
    world.event("repo", &["c", "d"]).await;
    world.settled().await;
    assert_eq!(log.log_count(&reached), 1, "once per change, not once per pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ports_tell_what_is_so() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    let watcher = world.watcher();
    let labels = format!("{{namespace=\"{}\",repository=\"repo\"}}", world.namespace);
    for line in [format!("pac_concurrency_limit_runs{labels} 1"), format!("pac_concurrency_waiting_runs{labels} 1")] {
        watcher.metrics_have(&line, true).await;
    }
    assert_eq!(watcher.get(watcher.probe_addr, "/live").await.0, 200);
    world.delete_run("b").await;
    world.finish("a").await;
    world.delete_repository("repo").await;
    // No gauge outlives its repository.
    watcher.metrics_have(&labels, false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_conflict_is_no_refusal() {
    let world = World::new().await;
    let conflict = FaultAction::Error { status: 409, reason: "Conflict".into(), message: "try again".into() };
    let struck =
        world.cluster.faults().add(FaultRule::new(conflict).verb("patch").resource("pipelineruns").name("a").times(1));
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.struck(struck).await;
    world.running(&["a"]).await;
    assert_eq!(world.watcher().log_count("can't be started"), 0, "P3: a refusal would have b pass it");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "Tekton's CRD allows no status that can't be read")]
async fn a_run_that_can_not_be_read_keeps_its_slot_and_is_nobody_elses_trouble() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    world.patch_run_status("a", json!({"status": {"conditions": "?"}})).await;
    world.watcher().log_says("it keeps its slot or place until it can").await;
    world.repository("other", Some(1)).await;
    world.event("other", &["x"]).await;
    world.running(&["a", "x"]).await;
    let watcher = world.watcher();
    assert_eq!(watcher.log_count("API server: could not read PipelineRun"), 0, "the API server answers");
    assert_eq!(watcher.get(watcher.probe_addr, "/ready").await.0, 200);
    // It ends, whatever else is said of it.
    let succeeded = json!([{"type": "Succeeded", "status": "True"}]);
    world.patch_run_status("a", json!({"status": {"conditions": succeeded}})).await;
    world.running(&["b", "x"]).await;
}

/// Doubling from 100 ms, less a quarter of jitter, seven requests take this long at least.
const SEVEN_TRIES: Duration = Duration::from_millis(2300);

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_live_read_that_always_fails_is_tried_less_and_less_often() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    let failing = faults.add(
        FaultRule::new(refusal(500, "InternalError", "on purpose")).verb("get").resource("pipelineruns").name("a"),
    );
    let began = Instant::now();
    world.delete_run("a").await;
    faults.struck(failing, 7).await;
    assert!(began.elapsed() > SEVEN_TRIES, "{:?}", began.elapsed());
    faults.remove(failing);
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_final_state_that_is_always_refused_is_tried_less_and_less_often() {
    let world = World::new().await;
    let faults = world.cluster.faults();
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    world.finish("a").await;
    // It is written 200 ms later.
    let failing = faults.add(start_of("a", refusal(403, "Forbidden", "on purpose")));
    let began = Instant::now();
    faults.struck(failing, 7).await;
    assert!(began.elapsed() > SEVEN_TRIES, "{:?}", began.elapsed());
    faults.remove(failing);
    world.state_is("a", "completed").await;
}
