//! The same pieces of work in instructions, as callgrind counts them: what else the machine does, how fast its cores run and
//! what lies in their caches is not in that number.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pac_devcluster::verdict::VerdictOptions;

use super::pieces::{self, Work};
use super::round::until_settled;
use super::shape::Shape;
use crate::watcher::Watcher;
use crate::world::World;

/// How often each kind of work is counted.
const SPANS: usize = 3;

/// For how long it is left alone in each span, to know what it does by itself.
const IDLE: Duration = Duration::from_secs(8);

/// What it takes of a core at most, while callgrind slows it down, once it has nothing left to do.
const SETTLED: f64 = 0.2;

/// Instructions of the watcher's own, without the kernel's.
#[derive(Debug, Default)]
pub(super) struct Instructions {
    /// Of one piece of each [`Work`], once for each span, less what it executes anyway in that time.
    pub(super) pieces: [Vec<f64>; Work::ALL.len()],
    /// In a second in which nothing happens: to look over its slots, to ask the servers how they are, and the like.
    pub(super) idle: Vec<f64>,
}

/// A watcher under callgrind, which counts when it is told to.
struct Counted {
    watcher: Watcher,
    /// What callgrind writes: with a number at its end, what was counted until each dump.
    output: PathBuf,
    dumps: u32,
}

/// Has a watcher of its own look at `world`, on which [`super::round::measure_round`] was done, whose runs wait since
/// `created`; none without callgrind.
pub(super) async fn count(world: &World, shape: Shape, created: Instant) -> Result<Option<Instructions>> {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("  instructions can't be counted without callgrind (Debian package valgrind)");
        return Ok(None);
    }
    let mut counted = Counted::start(world)?;
    let ready = counted.watcher.ready().await;
    // Nobody admitted anything before that.
    let longest_gap = created.elapsed() + pieces::PATIENCE;
    ready?;
    until_settled(&mut counted.watcher, SETTLED).await?;
    let mut instructions = Instructions::default();
    for span in 0..SPANS {
        let (executed, time, ()) = counted.during(tokio::time::sleep(IDLE)).await?;
        let idle = executed / time.as_secs_f64();
        instructions.idle.push(idle);
        for (work, told) in Work::ALL.into_iter().zip(&mut instructions.pieces) {
            let pieces = work.counted(span);
            let (executed, time, outcome) = counted.during(work.do_pieces(world, shape, pieces)).await?;
            outcome?;
            told.push((executed - idle * time.as_secs_f64()) / pieces.count as f64);
        }
    }
    counted.watcher.stop()?;
    world.verdict(&VerdictOptions { longest_gap, ended: false, ..VerdictOptions::default() })?;
    Ok(Some(instructions))
}

// === impl Counted ===

impl Counted {
    fn start(world: &World) -> Result<Self> {
        let output = world.folder().join("callgrind.out");
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--quiet", "--tool=callgrind", "--instr-atstart=no"]);
        valgrind.arg(format!("--callgrind-out-file={}", output.display()));
        let watcher = Watcher::start_under(Some(valgrind), world.kubeconfig(), world.folder(), &[])?;
        Ok(Self { watcher, output, dumps: 0 })
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
