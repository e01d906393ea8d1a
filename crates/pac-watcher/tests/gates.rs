//! Companion mode on each kind of gate, whatever becomes of the gate: a table of both.
//!
//! PAC's own queue is at work in every case, and what the API server saw of everybody's starts is judged. Where the gate keeps it out
//! the promises hold. Where the gate is missing, or was taken away, two queues start runs, and the limit is broken no more than
//! it must be: PAC's queue stays within the limit by what it started itself, ours starts nobody while the limit is reached by what
//! both started, and what runs over it is counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use pac_devcluster::verdict::{Verdict, VerdictOptions};
use pac_devcluster::{Change, FaultAction, FaultRule, PacEvent, PacRun, RunDuration, TektonPlayer};
use pac_watcher::GateKind;
use serde_json::{Value, json};
use support::{Run, Watcher, World, with_pacs_queue};

const LIMIT: u32 = 2;
/// PAC's watcher says of what it starts that it did, in the same write.
const STARTED_BY_PAC: &str = "/metadata/annotations/pipelinesascode.tekton.dev~1scm-reporting-plr-started";
const KEPT: &str = "/metadata/annotations/concurrency.pipelinesascode.tekton.dev~1execution-order";

macro_rules! table {
    ($($gate:ident: $kind:expr),+) => { $(
        mod $gate {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn holds() {
                super::holds($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn is_missing() {
                super::is_missing($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn is_late() {
                super::is_late($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn is_removed_at_work() {
                super::is_taken_away($kind, World::remove_gate, World::put_gate).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn loses_its_effect_at_work() {
                super::is_taken_away($kind, World::blind_gate, World::unblind_gate).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn is_down() {
                super::is_down($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn comes_and_goes_while_the_api_server_is_slow_and_the_leader_leaves() {
                super::comes_and_goes($kind).await;
            }
        }
    )+ };
}

table!(policy: GateKind::Policy, webhook: GateKind::Webhook, deny: GateKind::Deny);

/// Who started a run, and how many of each run then, itself among them.
#[derive(Debug)]
struct Start {
    run: String,
    by_pac: bool,
    ours: usize,
    pacs: usize,
    /// Those of PAC's that were started so long before that ours could know of them.
    known: usize,
}

/// How long it takes at most until ours knows of a start of PAC's: a start of ours is under way, and the API server is slow.
const KNOWN_AFTER: Duration = Duration::from_secs(2);

/// A Repository with a limit, PAC at work with its own queue, and a watcher beside it that has yet to be ready.
async fn begin(kind: GateKind, is_there: bool) -> World {
    let runs = TektonPlayer { duration: RunDuration::Fixed(Duration::from_millis(400)), ..TektonPlayer::default() };
    let mut world = World::beside_pac_without_gate(with_pacs_queue(runs), json!({})).await;
    world.put_webhooks_place();
    if is_there {
        world.put_gate(kind);
    }
    world.repository("repo", Some(LIMIT.into())).await;
    world.start_watcher_beside_pac(kind);
    world.serve_webhook(&[world.watcher().webhook_addr]);
    world
}

/// The same with a gate that keeps PAC's queue out, and orders if it is of that kind.
async fn behind_the_gate(kind: GateKind) -> World {
    let world = begin(kind, true).await;
    world.watcher().log_says("closed the gate").await;
    if kind == GateKind::Webhook {
        world.watcher().log_says("trusts the authority in Secret").await;
        world.watcher().log_says("the webhook has taken up a certificate").await;
    }
    world.watcher().ready(true).await;
    world
}

impl World {
    /// Has PAC make so many runs of one event, each of which runs for so long, and doesn't wait for it; they are called `name-N`.
    fn push(&self, name: &str, runs: usize, lasts: Duration) {
        let lasts = format!("{}ms", lasts.as_millis());
        let runs =
            (0..runs).map(|run| PacRun::exactly(&format!("{name}-{run}")).annotated("devcluster/duration", &lasts));
        drop(self.cluster.development().pac().unwrap().push(PacEvent::new(&self.namespace, "repo", runs)));
    }

    /// Waits until so many runs are done, and there are no more.
    async fn all_done(&self, runs: usize) {
        let is_done = |state: &str| matches!(state, "completed" | "failed");
        self.recorder
            .until(&format!("{runs} are done"), |all| all.len() == runs && all.values().all(|run| is_done(&run.state)))
            .await;
    }

    fn verdict(&self) -> Verdict {
        let secret_wait = Some(Duration::from_secs(15));
        let options = VerdictOptions { secret_wait, longest_gap: Duration::from_secs(5), ..VerdictOptions::default() };
        self.cluster.development().verdict(&options)
    }

    /// Each of these promises was held, whoever started runs.
    fn held(&self, promises: &[&str]) {
        let verdict = self.verdict();
        for promise in verdict.promises.iter().filter(|promise| promises.contains(&promise.id)) {
            assert!(promise.held, "{promise:#?}\n{:#?}", self.starts());
        }
    }

    /// Every start of the Repository, in the order the API server saw them.
    fn starts(&self) -> Vec<Start> {
        let (mut pending, mut running, mut starts) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for version in self.cluster.development().history() {
            if version.resource != "pipelineruns" {
                continue;
            }
            let said = |pointer: &str| version.object.pointer(pointer).and_then(Value::as_str);
            let is_done = matches!(said("/status/conditions/0/status"), Some("True" | "False"));
            if version.change == Change::Deleted || is_done {
                running.remove(&version.uid);
            } else if said("/spec/status") == Some("PipelineRunPending") {
                pending.insert(version.uid.clone(), ());
            } else if pending.remove(&version.uid).is_some() {
                let by_pac = said(STARTED_BY_PAC).is_some();
                running.insert(version.uid.clone(), by_pac.then_some(version.at));
                let pacs = running.values().flatten().count();
                let known = running.values().flatten().filter(|since| **since + KNOWN_AFTER < version.at).count();
                starts.push(Start { run: version.name.clone(), by_pac, ours: running.len() - pacs, pacs, known });
            }
        }
        starts
    }

    /// Each kept to the limit by what it could know: PAC's queue counts what it started itself, and ours what both did.
    fn nobody_is_to_blame(&self) {
        let (starts, limit) = (self.starts(), LIMIT as usize);
        for start in &starts {
            let kept = if start.by_pac { start.pacs <= limit } else { start.ours + start.known <= limit };
            assert!(kept, "P1, by {start:?}: {starts:#?}");
        }
    }

    /// The names of the runs that PAC's queue started, or ours, in order.
    fn started_by(&self, pac: bool) -> Vec<String> {
        self.starts().into_iter().filter(|start| start.by_pac == pac).map(|start| start.run).collect()
    }

    /// How many runs have an order that was kept from PAC's queue.
    fn kept(&self) -> usize {
        let runs = self.cluster.development().store().list("pipelineruns", None, "").unwrap();
        runs.iter().filter(|run| run.pointer(KEPT).is_some()).count()
    }

    async fn excess_is(&self, runs: usize) {
        let series = "pac_concurrency_excess_runs{namespace=\"test-beside-pac\",repository=\"repo\"}";
        self.watcher().metrics_have(&format!("{series} {runs}\n"), true).await;
    }

    async fn gate_holds(&self, holds: bool) {
        self.watcher().metrics_have(&format!("pac_concurrency_gate_holds {}\n", u8::from(holds)), true).await;
    }

    /// Whether people are told that orders are lost. With a gate that keeps none there is nothing to lose.
    async fn loses_orders(&self, kind: GateKind, loses: bool) {
        let watcher = self.watcher();
        self.gate_holds(true).await;
        watcher.ready(true).await;
        watcher
            .shows(watcher.probe_addr, "/ready", "gate: PAC's word on the order", kind.keeps_orders() && loses)
            .await;
        let metric = format!("pac_concurrency_gate_loses_orders {}\n", u8::from(loses));
        let there = if kind.keeps_orders() { &*metric } else { "\npac_concurrency_gate_loses_orders " };
        watcher.metrics_have(there, kind.keeps_orders()).await;
    }

    async fn explains(&self, run: &str, why: &str) {
        let watcher = self.watcher();
        let path = format!("/debug/queue/explain?run={}/{run}", self.namespace);
        watcher.shows(watcher.admin_addr, &path, why, true).await;
    }

    /// What `/ready` says of the gate, and that it is not ready, unless it must be for the API server to be able to ask it.
    async fn is_held(&self, kind: GateKind) {
        let watcher = self.watcher();
        let why = "Pipelines-as-Code's own queue isn't kept out, so none of a Repository with a limit is admitted";
        watcher.shows(watcher.probe_addr, "/ready", why, true).await;
        watcher.ready(kind == GateKind::Webhook).await;
        self.gate_holds(false).await;
    }
}

/// Ours starts everybody, in order.
async fn holds(kind: GateKind) {
    let world = behind_the_gate(kind).await;
    world.push("first", 6, Duration::from_millis(400));
    world.push("second", 4, Duration::from_millis(400));
    world.all_done(10).await;
    world.held(&["P1", "P2", "P3", "P4"]);
    assert_eq!(world.started_by(true), [""; 0]);
    assert_eq!(world.kept(), if kind.keeps_orders() { 10 } else { 0 });
    world.gate_holds(true).await;
    world.excess_is(0).await;
}

/// PAC's queue starts everybody, as it would without us.
async fn is_missing(kind: GateKind) {
    let world = begin(kind, false).await;
    world.is_held(kind).await;
    world.push("first", 4, Duration::from_millis(400));
    world.push("second", 3, Duration::from_millis(400));
    world.all_done(7).await;
    world.held(&["P1", "P2", "P4"]);
    assert_eq!(world.started_by(false), [""; 0]);
    world.is_held(kind).await;
    world.excess_is(0).await;
}

/// PAC's queue starts those that it has, and ours who comes after that.
async fn is_late(kind: GateKind) {
    let world = begin(kind, false).await;
    world.is_held(kind).await;
    world.push("early", 6, Duration::from_millis(800));
    world
        .recorder
        .until("PAC's queue is full", |runs| {
            runs.len() == 6 && runs.values().filter(|run| run.is_running()).count() == 2
        })
        .await;
    world.put_gate(kind);
    world.watcher().log_says("closed the gate").await;
    world.push("late", 4, Duration::from_millis(400));
    world.all_done(10).await;
    world.held(&["P1", "P2", "P4"]);
    assert_eq!(world.started_by(true).len(), 6);
    assert_eq!(world.started_by(false).len(), 4);
    world.gate_holds(true).await;
    world.excess_is(0).await;
}

/// Ours starts nobody as long as both together are at the limit or over it, and PAC's queue keeps to the limit by its own count.
async fn is_taken_away(kind: GateKind, take: fn(&World, GateKind), give_back: fn(&World, GateKind)) {
    let world = behind_the_gate(kind).await;
    world.push("ours", 5, Duration::from_secs(2));
    world.running(&["ours-0", "ours-1"]).await;
    take(&world, kind);
    world.push("pacs", 5, Duration::from_secs(1));
    // Whichever of PAC's: one that its queue starts before there is a Secret for it fails at once.
    let both = |runs: &BTreeMap<String, Run>| {
        let running = |of| runs.iter().filter(|(name, run)| name.starts_with(of) && run.is_running()).count();
        (running("ours"), running("pacs")) == (2, 2)
    };
    world.recorder.until("two of ours and two of PAC's run", both).await;
    world.excess_is(2).await;
    world.is_held(kind).await;
    give_back(&world, kind);
    world.gate_holds(true).await;
    world.push("later", 2, Duration::from_millis(400));
    world.all_done(12).await;
    world.held(&["P2", "P4"]);
    world.nobody_is_to_blame();
    assert_eq!(world.started_by(true).len(), 5);
    assert_eq!(world.started_by(false).len(), 7);
    world.watcher().ready(true).await;
    world.excess_is(0).await;
}

/// Ours starts everybody; of those that come meanwhile by their names, since their order is lost.
async fn is_down(kind: GateKind) {
    let world = behind_the_gate(kind).await;
    world.push("before", 3, Duration::from_millis(400));
    world.all_done(3).await;
    world.break_gate(kind);
    world.push("meanwhile", 11, Duration::from_millis(400));
    if kind.keeps_orders() {
        // While it matters.
        world.explains("meanwhile-10", "PAC's word on the order of an event's runs is lost").await;
    }
    world.all_done(14).await;
    assert_eq!(world.kept(), if kind.keeps_orders() { 3 } else { 0 });
    world.loses_orders(kind, true).await;
    world.mend_gate(kind);
    world.push("after", 5, Duration::from_secs(1));
    world.all_done(19).await;
    world.held(&["P1", "P2", "P3", "P4"]);
    assert_eq!(world.started_by(true), [""; 0]);
    assert_eq!(world.kept(), if kind.keeps_orders() { 8 } else { 0 });
    world.loses_orders(kind, false).await;
    world.excess_is(0).await;
}

/// Nobody starts more than it may by what it knows, and nobody is left behind.
async fn comes_and_goes(kind: GateKind) {
    let mut world = behind_the_gate(kind).await;
    let standby = Watcher::start_beside_pac_as(world.cluster.kubeconfig_file(), kind, "watcher-1");
    standby.ready(true).await;
    world.serve_webhook(&[world.watcher().webhook_addr, standby.webhook_addr]);
    let slow = |milliseconds| FaultRule::new(FaultAction::Latency(Duration::from_millis(milliseconds)));
    world.cluster.faults().add(slow(300).verb("patch").resource("pipelineruns"));
    world.cluster.faults().add(slow(600).name(support::GATE));
    for round in 0..6 {
        world.push(&format!("round-{round}"), 4, Duration::from_millis(300));
        match round % 2 {
            0 => world.remove_gate(kind),
            _ => world.put_gate(kind),
        }
        if round == 3 {
            world.serve_webhook(&[standby.webhook_addr]);
            world.stop_watcher();
        }
        tokio::time::sleep(Duration::from_millis(700)).await; // so long it is there, or not
    }
    world.all_done(24).await;
    world.held(&["P2"]);
    world.nobody_is_to_blame();
    standby.ready(true).await;
    standby.metrics_have("pac_concurrency_gate_holds 1\n", true).await;
}
