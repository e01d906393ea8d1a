//! One watcher's life on a large cluster, measured.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use pac_devcluster::verdict::{Verdict, VerdictOptions};
use serde_json::{Value, json};

use super::shape::Shape;
use crate::store::Server;
use crate::watcher::{Memory, Watcher};
use crate::world::{self, World};

/// For how long nothing happens when idleness is measured.
const IDLE: Duration = Duration::from_secs(30);
/// What a watcher takes of a core at most once it has nothing left to do.
const SETTLED: f64 = 0.05;
pub(super) const EVENTS: Pieces = Pieces { first: 0, count: 2_000, apart: Duration::from_millis(1) };
pub(super) const HAND_OFFS: Pieces = Pieces { first: 0, count: 200, apart: Duration::from_millis(5) };

/// Equal pieces of work, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    /// The number of the first one.
    pub(super) first: usize,
    pub(super) count: usize,
    /// How long to wait after each.
    pub(super) apart: Duration,
}

/// What a round came to.
pub(super) struct Round {
    /// Of the first watcher, on an empty store.
    pub(super) ready_at_first: Duration,
    /// Of the second one, on the store as the first one left it.
    pub(super) ready_again: Duration,
    pub(super) memory: Memory,
    /// On the largest cluster, while nothing happened.
    pub(super) idle: Option<Idle>,
    /// Processor time of one event.
    pub(super) event: Duration,
    /// Processor time of one hand-off.
    pub(super) hand_off: Duration,
    pub(super) verdict: Verdict,
}

/// What a watcher does while nothing happens.
pub(super) struct Idle {
    /// Processor time, as a share of one core's.
    pub(super) share: f64,
    /// Rows or keys written, besides leases.
    pub(super) writes: f64,
}

/// Two watchers of `world`, one after the other, whose runs wait since `created`.
pub(super) async fn measure_round(world: &World, server: &Server, shape: Shape, created: Instant) -> Result<Round> {
    let mut first = Watcher::start(world.kubeconfig(), world.folder(), &[])?;
    let ready_at_first = first.ready().await?;
    until_all_are_started(world, &mut first, shape).await?;
    // Before that there was no watcher, or it was only beginning.
    let longest_gap = created.elapsed() + Duration::from_secs(10);
    until_settled(&mut first, SETTLED).await?;
    first.stop()?;

    let mut watcher = Watcher::start(world.kubeconfig(), world.folder(), &[])?;
    let ready_again = watcher.ready().await?;
    until_settled(&mut watcher, SETTLED).await?;
    let memory = watcher.memory()?;
    let idle = if shape.is_largest() { Some(idle(&watcher, server).await?) } else { None };
    let event = per_piece(&watcher, EVENTS, events(world, shape, EVENTS)).await?;
    let hand_off = per_piece(&watcher, HAND_OFFS, hand_offs(world, shape, HAND_OFFS)).await?;
    watcher.stop()?;
    let verdict = world.verdict(&VerdictOptions { longest_gap, ended: false, ..VerdictOptions::default() })?;
    let started = shape.repositories + HAND_OFFS.count;
    if verdict.started < started {
        bail!("{} runs were started, not {started}", verdict.started);
    }
    Ok(Round { ready_at_first, ready_again, memory, idle, event, hand_off, verdict })
}

/// Leaves `watcher` alone for a while.
async fn idle(watcher: &Watcher, server: &Server) -> Result<Idle> {
    // What was written before is counted by then.
    tokio::time::sleep(server.counts_after()).await;
    let (writes, busy) = (server.writes()?, watcher.processor_time()?);
    tokio::time::sleep(IDLE).await;
    let busy = watcher.processor_time()? - busy;
    Ok(Idle { share: busy.as_secs_f64() / IDLE.as_secs_f64(), writes: server.writes()? - writes })
}

/// Processor time `watcher` takes for one of the `pieces` of `work`.
async fn per_piece(watcher: &Watcher, pieces: Pieces, work: impl Future<Output = Result<()>>) -> Result<Duration> {
    let before = watcher.processor_time()?;
    work.await?;
    // What was last set off is done by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok((watcher.processor_time()? - before) / u32::try_from(pieces.count)?)
}

/// Waits until each repository has its one that runs.
async fn until_all_are_started(world: &World, watcher: &mut Watcher, shape: Shape) -> Result<()> {
    for repository in 0..shape.repositories {
        until_started(world, watcher, repository, 0).await?;
    }
    Ok(())
}

async fn until_started(world: &World, watcher: &mut Watcher, repository: usize, number: usize) -> Result<()> {
    let began = Instant::now();
    while is_pending(&*world.run(repository, number)?) {
        watcher.check_alive()?;
        if began.elapsed() > Duration::from_secs(120) {
            bail!("run {number} of repository {repository} was never started");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

fn is_pending(run: &Value) -> bool {
    run.pointer("/spec/status").is_some_and(|status| status == "PipelineRunPending")
}

/// Waits until the watcher takes less than `share` of a core, two seconds in a row.
pub(super) async fn until_settled(watcher: &mut Watcher, share: f64) -> Result<()> {
    let (began, mut quiet) = (Instant::now(), 0);
    while quiet < 2 {
        watcher.check_alive()?;
        let before = watcher.processor_time()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let is_quiet = (watcher.processor_time()? - before).as_secs_f64() < share;
        quiet = if is_quiet { quiet + 1 } else { 0 };
        if began.elapsed() > Duration::from_secs(180) {
            bail!("the watcher was not done within 3 minutes");
        }
    }
    Ok(())
}

/// A label changes on waiting runs here and there.
pub(super) async fn events(world: &World, shape: Shape, pieces: Pieces) -> Result<()> {
    for number in pieces.numbers() {
        let (repository, run) = (number % shape.repositories, 1 + (number * 31) % (shape.runs - 1));
        let touch = json!({"metadata": {"labels": {"bench/touched": number.to_string()}}});
        world.store().patch("pipelineruns", &world::namespace(repository), &world::run(run), &touch)?;
        tokio::time::sleep(pieces.apart).await;
    }
    Ok(())
}

/// Runs end, of one repository after the other.
pub(super) async fn hand_offs(world: &World, shape: Shape, pieces: Pieces) -> Result<()> {
    for number in pieces.numbers() {
        let (repository, run) = (number % shape.repositories, number / shape.repositories);
        let began = Instant::now();
        while is_pending(&*world.run(repository, run)?) {
            if began.elapsed() > Duration::from_secs(30) {
                bail!("run {run} of repository {repository} was never started");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let done = json!({"status": {"conditions": [{"type": "Succeeded", "status": "True"}]}});
        world.store().patch_status("pipelineruns", &world::namespace(repository), &world::run(run), &done)?;
        tokio::time::sleep(pieces.apart).await;
    }
    Ok(())
}

// === impl Pieces ===

impl Pieces {
    fn numbers(self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }
}
