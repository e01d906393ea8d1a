//! The gate that keeps runs from PAC's own queue: missing, late, taken away at work, put back; and the system switched on and off.
//! Both queues are at work, and the limit is judged by what the API server saw of everybody's starts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pac_devcluster::verdict::VerdictOptions;
use pac_devcluster::{FaultAction, FaultRule, PacEvent, PacRun, RunDuration, TektonPlayer};
use pac_watcher::GateKind;
use serde_json::json;
use support::{Watcher, World, pending_only, with_pacs_queue};

const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
const HANDED_BACK: &str = "concurrency.pipelinesascode.tekton.dev/handed-back";

/// Runs take a moment.
fn short_runs() -> TektonPlayer {
    TektonPlayer { duration: RunDuration::Fixed(Duration::from_millis(400)), ..TektonPlayer::default() }
}

impl World {
    /// Has PAC make so many runs, and doesn't wait for it; they are called `name-N`.
    fn push(&self, repository: &str, name: &str, runs: usize) {
        let runs = (0..runs).map(|run| PacRun::exactly(&format!("{name}-{run}")));
        drop(self.cluster.development().pac().unwrap().push(PacEvent::new(&self.namespace, repository, runs)));
    }

    /// Waits until so many runs are done, and there are no more.
    async fn all_done(&self, runs: usize) {
        let what = format!("{runs} are done");
        self.recorder
            .until(&what, |all| {
                all.len() == runs && all.values().all(|run| run.state == "completed" || run.state == "failed")
            })
            .await;
    }

    /// Says what was broken of the promises but the order: PAC's queue starts what it has, whoever else waits.
    fn broken(&self) -> Vec<String> {
        let options = VerdictOptions {
            ended: true,
            secret_wait: Some(Duration::from_secs(15)),
            longest_gap: Duration::from_secs(40),
            ..VerdictOptions::default()
        };
        let verdict = self.cluster.development().verdict(&options);
        let broken = verdict.promises.iter().filter(|promise| !promise.held && promise.id != "P3");
        broken.flat_map(|promise| promise.violations.clone()).collect()
    }

    fn annotation(&self, run: &str, name: &str) -> Option<String> {
        let run = self.cluster.development().store().get("pipelineruns", &self.namespace, run).unwrap();
        run["metadata"]["annotations"].get(name).and_then(|value| value.as_str()).map(str::to_owned)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_gate_nobody_is_admitted_until_it_is_there() {
    let mut world = World::beside_pac_without_gate(pending_only(), json!({})).await;
    world.repository("repo", Some(1)).await;
    world.repository("unlimited", None).await;
    world.start_watcher_beside_pac(GateKind::Policy);
    world.run("repo", "a").await;
    let ordered = json!({"metadata": {"annotations": {"concurrency.pipelinesascode.tekton.dev/execution-order": world.order(&["x"])}}});
    world.run_with("unlimited", "x", ordered).await;
    world.running(&["x"]).await;
    let watcher = world.watcher();
    let why = "Pipelines-as-Code's own queue isn't kept out, so none of a Repository with a limit is admitted";
    watcher.ready(false).await;
    watcher.log_says(why).await;
    watcher.shows(watcher.probe_addr, "/ready", "there is no MutatingAdmissionPolicyBinding", true).await;
    watcher.metrics_have("pac_concurrency_gate_holds 0\n", true).await;
    watcher.metrics_have("pac_concurrency_trouble{part=\"gate\"} 1\n", true).await;
    let explain = format!("/debug/queue/explain?run={}/a", world.namespace);
    watcher.shows(watcher.admin_addr, &explain, "\"answer\":\"gate\"", true).await;
    watcher.shows(watcher.admin_addr, &explain, why, true).await;
    assert!(world.recorder.now()["a"].is_pending(), "P1");
    world.put_gate(GateKind::Policy);
    world.running(&["a", "x"]).await;
    watcher.ready(true).await;
    watcher.metrics_have("pac_concurrency_gate_holds 1\n", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_waits_the_gates_own_word_counts() {
    let world = World::beside_pac(pending_only()).await;
    world.watcher().ready(true).await;
    world.watcher().metrics_have("pac_concurrency_gate_holds 1\n", true).await;
    world.remove_gate(GateKind::Policy);
    world.watcher().ready(false).await;
    world.put_gate(GateKind::Policy);
    world.watcher().ready(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_nobody_can_try_is_not_relied_on_from_the_beginning() {
    let mut world = World::beside_pac_without_gate(pending_only(), json!({})).await;
    world.put_gate(GateKind::Policy);
    world.refuse_trials();
    world.repository("repo", Some(1)).await;
    world.run("repo", "a").await;
    world.start_watcher_beside_pac(GateKind::Policy);
    let watcher = world.watcher();
    watcher.shows(watcher.probe_addr, "/ready", "gate: nobody can tell whether it holds", true).await;
    watcher.shows(watcher.probe_addr, "/ready", "no trials here", true).await;
    assert!(world.recorder.now()["a"].is_pending());
    world.allow_trials();
    world.running(&["a"]).await;
    watcher.ready(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_comes_to_nothing_stops_nobody_for_a_while() {
    let world = World::beside_pac(pending_only()).await;
    world.repository("repo", Some(1)).await;
    for run in ["a", "b", "c"] {
        world.run("repo", run).await;
    }
    world.running(&["a"]).await;
    world.refuse_trials();
    // The next trial is due within seconds.
    world.watcher().log_says("could not try whether the gate holds").await;
    world.finish("a").await;
    world.running(&["b"]).await;
    world.watcher().ready(true).await;
    world.watcher().metrics_have("pac_concurrency_gate_holds 1\n", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_has_a_proof_of_its_own() {
    let world = World::beside_pac(pending_only()).await;
    world.repository("repo", Some(1)).await;
    world.run("repo", "a").await;
    world.run("repo", "b").await;
    world.running(&["a"]).await;
    let standby = Watcher::start_beside_pac_as(world.cluster.kubeconfig_file(), GateKind::Policy, "watcher-1");
    standby.log_says("the gate holds: runs are kept from").await;
    standby.ready(true).await;
    standby.metrics_have("pac_concurrency_leader 0\n", true).await;
    assert_eq!(standby.log_count("closed the gate"), 0, "who leads keeps it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_taken_away_at_work_stops_admission_and_what_both_start_is_counted() {
    let world =
        World::beside_pac(with_pacs_queue(TektonPlayer { pending_only: true, ..TektonPlayer::default() })).await;
    world.repository("repo", Some(2)).await;
    world.watcher().log_says("closed the gate").await;
    world.push("repo", "ours", 3);
    world.running(&["ours-0", "ours-1"]).await;
    world.remove_gate(GateKind::Policy);
    world.push("repo", "pacs", 3);
    world.running(&["ours-0", "ours-1", "pacs-0", "pacs-1"]).await;
    let watcher = world.watcher();
    watcher
        .metrics_have("pac_concurrency_excess_runs{namespace=\"test-beside-pac\",repository=\"repo\"} 2\n", true)
        .await;
    watcher.ready(false).await;
    // Nobody of ours goes on while PAC's queue has one.
    world.finish("ours-0").await;
    world.finish("ours-1").await;
    world.put_gate(GateKind::Policy);
    watcher.ready(true).await;
    world.finish("pacs-0").await;
    world.running(&["pacs-1", "pacs-2"]).await;
    world.finish("pacs-1").await;
    world.finish("pacs-2").await;
    world.running(&["ours-2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_while_pacs_queue_is_full_nobody_is_over_the_limit() {
    let mut world = World::beside_pac_without_gate(with_pacs_queue(short_runs()), json!({})).await;
    world.switch(false).await;
    world.put_gate(GateKind::Policy);
    world.start_watcher_beside_pac(GateKind::Policy);
    world.repository("repo", Some(2)).await;
    world.repository("other", Some(1)).await;
    world.push("repo", "first", 8);
    world.recorder.until("PAC's queue is at work", |runs| runs.len() == 8).await;
    world.switch(true).await;
    world.push("repo", "second", 6);
    world.watcher().log_says("closed the gate").await;
    world.push("repo", "third", 4);
    world.push("other", "fourth", 4);
    world.all_done(22).await;
    assert_eq!(world.broken(), [""; 0]);
    assert!(world.watcher().log_count("acquired concurrency slot for") >= 4, "ours did their part");
    assert!(!world.gate_is_open());
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_what_waits_and_what_runs_is_handed_back() {
    let world =
        World::beside_pac(with_pacs_queue(TektonPlayer { pending_only: true, ..TektonPlayer::default() })).await;
    world.repository("repo", Some(2)).await;
    world.watcher().log_says("closed the gate").await;
    world.push("repo", "run", 4);
    world.running(&["run-0", "run-1"]).await;
    let pac = world.cluster.development().pac().unwrap();
    // Its queue is in its memory, of which this is the end.
    pac.stop_watcher();
    world.switch(false).await;
    world.watcher().log_says("handed 4 runs back to Pipelines-as-Code's own queue").await;
    assert_eq!(world.watcher().log_count("nobody starts PipelineRuns that wait"), 0, "PAC's queue does");
    let order = world.order(&["run-0", "run-1", "run-2", "run-3"]);
    for run in ["run-0", "run-1", "run-2", "run-3"] {
        assert_eq!(world.annotation(run, EXECUTION_ORDER), Some(order.clone()));
        assert!(world.annotation(run, HANDED_BACK).is_some());
    }
    assert!(world.gate_is_open());
    pac.start_watcher();
    world.finish("run-0").await;
    world.running(&["run-1", "run-2"]).await;
    world.watcher().ready(true).await;
    world.switch(true).await;
    // It is PAC's, and the next is ours.
    world.finish("run-1").await;
    world.running(&["run-2", "run-3"]).await;
    world.push("repo", "new", 1);
    world.finish("run-2").await;
    world.running(&["new-0", "run-3"]).await;
    assert_eq!(world.annotation("new-0", EXECUTION_ORDER), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_on_again_while_a_run_is_handed_back_it_is_pacs_before_the_gate_is_closed() {
    let world =
        World::beside_pac(with_pacs_queue(TektonPlayer { pending_only: true, ..TektonPlayer::default() })).await;
    world.repository("repo", Some(1)).await;
    world.watcher().log_says("closed the gate").await;
    world.push("repo", "run", 3);
    world.running(&["run-0"]).await;
    world.recorder.until("all are queued", |runs| runs.values().filter(|run| run.state == "queued").count() == 2).await;
    let slow = FaultRule::new(FaultAction::Latency(Duration::from_secs(2))).verb("patch").name("run-2");
    let slow = world.cluster.faults().add(slow);
    world.switch(false).await;
    world.struck(slow).await;
    world.switch(true).await;
    world.watcher().log_says_times("closed the gate", 2).await;
    assert_eq!(world.annotation("run-2", EXECUTION_ORDER), Some(world.order(&["run-0", "run-1", "run-2"])));
}

/// Beside PAC's queue and behind a closed gate that refuses, a Repository with a limit of 1.
async fn where_orders_are_refused() -> World {
    let tekton = TektonPlayer { pending_only: true, ..TektonPlayer::default() };
    let mut world = World::beside_pac_without_gate(with_pacs_queue(tekton), json!({})).await;
    world.put_gate(GateKind::Deny);
    world.start_watcher_beside_pac(GateKind::Deny);
    world.watcher().log_says("closed the gate").await;
    world.repository("repo", Some(1)).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn where_orders_are_refused_runs_of_an_event_go_by_name_and_none_is_waited_for() {
    let world = where_orders_are_refused().await;
    // Nothing tells the event of this one, and nothing ever will.
    let asked = std::time::Instant::now();
    world.run("repo", "alone").await;
    world.running(&["alone"]).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "its order would have been waited for");
    world.push("repo", "run", 11);
    let names: Vec<String> = (0..11).map(|run| format!("run-{run}")).collect();
    let mut expected = vec!["alone"];
    expected.extend(names.iter().map(String::as_str));
    assert_eq!(world.drain(&expected).await, expected, "P3");
    assert_eq!(world.annotation("run-3", EXECUTION_ORDER), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_were_refused_are_made_anew_when_the_system_is_switched_off() {
    let world = where_orders_are_refused().await;
    world.push("repo", "run", 3);
    world.running(&["run-0"]).await;
    let pac = world.cluster.development().pac().unwrap();
    pac.stop_watcher();
    world.switch(false).await;
    world.watcher().log_says("handed 3 runs back to Pipelines-as-Code's own queue").await;
    for run in ["run-0", "run-1", "run-2"] {
        assert_eq!(world.annotation(run, EXECUTION_ORDER), Some(world.order(&["run-0", "run-1", "run-2"])));
    }
    pac.start_watcher();
    world.finish("run-0").await;
    world.running(&["run-1"]).await;
}
