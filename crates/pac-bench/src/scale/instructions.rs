//! Events and hand-offs in instructions, as callgrind counts them: what else the machine does, how fast its cores run and what
//! lies in their caches is not in that number.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pac_devcluster::verdict::VerdictOptions;

use super::round::{self, Pieces, until_settled};
use super::shape::Shape;
use crate::watcher::Watcher;
use crate::world::World;

/// Further apart than where time is measured: under callgrind everything takes fifty times as long, and what comes in bundles would
/// be cheaper than what comes alone. Not much further: what the watcher does by itself in that time is no part of them.
const EVENTS: Pieces = Pieces { first: round::EVENTS.count, count: 1_600, apart: Duration::from_millis(10) };
const HAND_OFFS: Pieces = Pieces { first: round::HAND_OFFS.count, count: 100, apart: Duration::from_millis(100) };

/// For how long it is left alone, to know what it does by itself, which in one span of ten seconds can be twice what it is in the
/// next.
const IDLE: Duration = Duration::from_secs(30);

/// What it takes of a core at most, while callgrind slows it down, once it has nothing left to do.
const SETTLED: f64 = 0.2;

/// Instructions of the watcher's own, without the kernel's and without what it does by itself in that time: to look over its
/// slots every second, and the like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instructions {
    /// Of one event.
    pub(super) event: f64,
    /// Of one hand-off.
    pub(super) hand_off: f64,
}

/// A watcher under callgrind, which counts when it is told to.
struct Counted {
    watcher: Watcher,
    /// What callgrind writes: with a number at its end, what was counted until each dump.
    output: PathBuf,
    dumps: u32,
    /// Instructions it executes in a second in which nothing happens.
    idle: f64,
}

/// Has a watcher of its own look at `world`, on which [`round::measure_round`] was done, whose runs wait since `created`; none
/// without callgrind.
pub(super) async fn count(world: &World, shape: Shape, created: Instant) -> Result<Option<Instructions>> {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("  instructions can't be counted without callgrind (Debian package valgrind)");
        return Ok(None);
    }
    let mut counted = Counted::start(world)?;
    let ready = counted.watcher.ready().await;
    // Nobody admitted anything before that.
    let longest_gap = created.elapsed() + Duration::from_secs(10);
    ready?;
    until_settled(&mut counted.watcher, SETTLED).await?;
    let (instructions, time, ()) = counted.during(tokio::time::sleep(IDLE)).await?;
    counted.idle = instructions / time.as_secs_f64();
    let event = counted.per_piece(EVENTS, round::events(world, shape, EVENTS)).await?;
    let hand_off = counted.per_piece(HAND_OFFS, round::hand_offs(world, shape, HAND_OFFS)).await?;
    counted.watcher.stop()?;
    world.verdict(&VerdictOptions { longest_gap, ended: false, ..VerdictOptions::default() })?;
    Ok(Some(Instructions { event, hand_off }))
}

// === impl Counted ===

impl Counted {
    fn start(world: &World) -> Result<Self> {
        let output = world.folder().join("callgrind.out");
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--quiet", "--tool=callgrind", "--instr-atstart=no"]);
        valgrind.arg(format!("--callgrind-out-file={}", output.display()));
        let watcher = Watcher::start_under(Some(valgrind), world.kubeconfig(), world.folder(), &[])?;
        Ok(Self { watcher, output, dumps: 0, idle: 0.0 })
    }

    /// Instructions of one of the `pieces` of `work`.
    async fn per_piece(&mut self, pieces: Pieces, work: impl Future<Output = Result<()>>) -> Result<f64> {
        let (instructions, time, outcome) = self.during(work).await?;
        outcome?;
        Ok((instructions - self.idle * time.as_secs_f64()) / pieces.count as f64)
    }

    /// Instructions, and time, until `work` is done and all that it set off.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<(f64, Duration, T)> {
        self.tell("--instr=on")?;
        let began = Instant::now();
        let outcome = work.await;
        until_settled(&mut self.watcher, SETTLED).await?;
        let time = began.elapsed();
        self.tell("--instr=off")?;
        self.tell("--dump")?;
        self.dumps += 1;
        let dump = format!("{}.{}", self.output.display(), self.dumps);
        let text = std::fs::read_to_string(&dump).with_context(|| format!("callgrind wrote no {dump}"))?;
        let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
        Ok((total.context("a dump without a total")?.trim().parse()?, time, outcome))
    }

    fn tell(&self, what: &str) -> Result<()> {
        let output = Command::new("callgrind_control").arg(what).arg(self.watcher.id().to_string()).output()?;
        if !output.status.success() {
            bail!("callgrind_control {what}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}
