//! Two watchers' lives on a large cluster, one after the other, measured.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use pac_devcluster::verdict::{Verdict, VerdictOptions};

use super::pieces::{self, Work};
use super::shape::Shape;
use crate::store::Server;
use crate::watcher::{Memory, Watcher};
use crate::world::World;

/// What a watcher takes of a core at most once it has nothing left to do.
const SETTLED: f64 = 0.05;

/// What a round came to.
pub(super) struct Round {
    pub(super) first: First,
    /// From the second watcher's start, on the store as the first one left it, until it is ready.
    pub(super) ready_again: Duration,
    /// Of the second one, once it had nothing left to do.
    pub(super) memory: Memory,
    /// The most any of the two ever had, to the end of its life.
    pub(super) peak: f64,
    /// Processor time of one piece of each [`Work`].
    pub(super) pieces: Vec<Duration>,
    /// Rows or keys written for one hand-off, where they were counted.
    pub(super) writes: Option<f64>,
    pub(super) verdict: Verdict,
}

/// The first watcher's beginning, on an empty store; from its start.
pub(super) struct First {
    pub(super) ready: Duration,
    /// Until each repository had its one run started.
    pub(super) started: Duration,
    /// Until all others waited in the store, where that can be seen from outside.
    pub(super) queued: Option<Duration>,
}

/// Two watchers of `world`, whose runs wait since `created`. Writes are counted if `counted`, which takes a while.
pub(super) async fn measure_round(
    world: &World,
    server: &Server,
    shape: Shape,
    created: Instant,
    counted: bool,
) -> Result<Round> {
    let mut watcher = Watcher::start(world.kubeconfig(), world.folder(), &[])?;
    let first = until_at_work(world, server, &mut watcher, shape).await?;
    // Before that there was no watcher, or it was only beginning.
    let longest_gap = created.elapsed() + pieces::PATIENCE;
    until_settled(&mut watcher, SETTLED).await?;
    let peak_of_first = watcher.memory()?.peak;
    watcher.stop()?;

    let mut watcher = Watcher::start(world.kubeconfig(), world.folder(), &[])?;
    let ready_again = watcher.ready().await?;
    until_settled(&mut watcher, SETTLED).await?;
    let memory = watcher.memory()?;
    let mut each = Vec::new();
    for work in Work::ALL.into_iter().filter(|work| *work != Work::HandOff) {
        each.push(per_piece(&watcher, world, shape, work).await?);
    }
    let before = if counted { writes(server).await? } else { None };
    each.push(per_piece(&watcher, world, shape, Work::HandOff).await?);
    let after = if counted { writes(server).await? } else { None };
    let hand_offs = Work::HandOff.timed().count;
    let writes = before.zip(after).map(|(before, after)| (after - before) / hand_offs as f64);
    let peak = watcher.memory()?.peak.max(peak_of_first);
    watcher.stop()?;
    let verdict = world.verdict(&VerdictOptions { longest_gap, ended: false, ..VerdictOptions::default() })?;
    let started = shape.repositories + hand_offs;
    if verdict.started < started {
        bail!("{} runs were started, not {started}", verdict.started);
    }
    Ok(Round { first, ready_again, memory, peak, pieces: each, writes, verdict })
}

/// Waits until `watcher` has done all there was to do when it came.
pub(super) async fn until_at_work(
    world: &World,
    server: &Server,
    watcher: &mut Watcher,
    shape: Shape,
) -> Result<First> {
    let ready = watcher.ready().await?;
    for repository in 0..shape.repositories {
        until_started(world, watcher, repository, 0).await?;
    }
    let (started, mut queued) = (watcher.age(), None);
    while let Some(waiting) = server.waiting().await? {
        if waiting == shape.waiting() {
            queued = Some(watcher.age());
            break;
        }
        watcher.check_alive()?;
        if watcher.age() > Duration::from_secs(120) {
            bail!("{waiting} wait in the store after two minutes, not {}", shape.waiting());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(First { ready, started, queued })
}

/// Rows or keys written so far, those of a moment ago included.
async fn writes(server: &Server) -> Result<Option<f64>> {
    tokio::time::sleep(server.counts_after()).await;
    server.writes()
}

/// Processor time `watcher` takes for one piece of `work`.
async fn per_piece(watcher: &Watcher, world: &World, shape: Shape, work: Work) -> Result<Duration> {
    let (before, pieces) = (watcher.processor_time()?, work.timed());
    work.do_pieces(world, shape, pieces).await?;
    // What was last set off is done by then.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok((watcher.processor_time()? - before) / u32::try_from(pieces.count)?)
}

async fn until_started(world: &World, watcher: &mut Watcher, repository: usize, number: usize) -> Result<()> {
    let began = Instant::now();
    while pieces::is_pending(&*world.run(repository, number)?) {
        watcher.check_alive()?;
        if began.elapsed() > Duration::from_secs(120) {
            bail!("run {number} of repository {repository} was never started");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
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
