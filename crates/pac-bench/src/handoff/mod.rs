//! How quickly a slot is handed on: from the release seen to the next start acknowledged, by the API server's own clock, and
//! beside it what such a start costs on that server when nobody decides about it.

mod client;
mod patch;
mod real;
mod shape;
mod stage;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use pac_concurrency::Window;
use pac_config::DriverKind;
use pac_devcluster::verdict::Verdict;

use self::patch::Patches;
use self::shape::{SHAPES, Shape};
use self::stage::Stage;
use crate::effort::Effort;
use crate::figure::{Better, Row, Table};
use crate::store::Server;
use crate::watcher::Watcher;

pub(crate) use self::stage::{REAL, is_real};

/// Who creates runs at once.
const WRITERS: usize = 16;

/// One batch of work, done.
struct Round {
    verdict: Verdict,
    ideal: Duration,
    /// Of the watcher, a run.
    processor_time: Duration,
    patches: Patches,
}

/// Measures each driver of `kinds`; their servers' versions go into `servers`.
pub(crate) async fn measure(kinds: &[DriverKind], effort: &Effort, servers: &mut Vec<String>) -> Result<Table> {
    let mut table = Table::new(stage::title());
    for kind in kinds {
        let server = Server::start(*kind).await?;
        if *kind != DriverKind::Memory {
            servers.push(server.version().await?);
        }
        let shapes = if is_real() { paced(&server).await? } else { SHAPES.to_vec() };
        for shape in shapes {
            let mut rounds = Vec::new();
            for number in 1..=effort.rounds {
                eprintln!("handoff: {}, {}, {number} of {}", kind.name(), shape.name, effort.rounds);
                let round = round(&server, shape).await;
                rounds.push(round.with_context(|| format!("{}, {}", kind.name(), shape.name))?);
            }
            table.add(row(*kind, &shape, &rounds));
        }
    }
    table.note(
        "*Hand-off*: from the version in which a run ended to the version in which the next one of its Repository was started, \
         as the API server made both, so that the watch's delivery, the pass, the commit and the patch are in it. \
         *Makespan*: all of the work, against the time it takes if each slot is handed on at once. *Bare patch*: the same patch, \
         sent by the same client to the same server while nothing else happens, one after the other; *patches/s*: 16 at once. \
         API server, what plays Tekton, store, watcher and what measures them share the two cores. PostgreSQL without TLS. \
         In step: all runs take 2 s, so that 150 slots become free in one moment; otherwise from half to one and a \
         half of the average. Of one repository there are 81 hand-offs a round, so that its p99 is their longest.",
    );
    if is_real() {
        table.note(
            "Runs take so long that the API server has half of its time left, by the patches a second it takes; what would take \
             too long is left out, and what comes in step, too: there the API server alone is waited for.",
        );
    }
    Ok(table)
}

/// What the real API server can bear, of which there may be much less than of ours.
async fn paced(server: &Server) -> Result<Vec<Shape>> {
    let stage = Stage::new(server).await?;
    let measured = patch::measure(&stage).await;
    stage.end().await?;
    let writes = measured?.at_once_per_second;
    eprintln!("handoff: the API server takes {writes:.0} patches a second");
    Ok(SHAPES.iter().filter_map(|shape| shape.paced(writes)).collect())
}

async fn round(server: &Server, shape: Shape) -> Result<Round> {
    let stage = Stage::new(server).await?;
    let played = Box::pin(play(&stage, server, shape)).await;
    // Whatever came of it, a real cluster is left as it was.
    stage.end().await.and(played)
}

async fn play(stage: &Stage, server: &Server, shape: Shape) -> Result<Round> {
    for repository in 0..shape.repositories {
        stage.repository(repository, shape.limit).await?;
    }
    let mut watcher = stage.watcher()?;
    watcher.ready().await?;
    let before = watcher.processor_time()?;
    for number in 0..shape.runs {
        let queued = (0..shape.repositories).map(|of| stage.queue(of, number, shape.duration(of, number)));
        futures::stream::iter(queued).buffer_unordered(WRITERS).try_for_each(|_| std::future::ready(Ok(()))).await?;
    }
    let (all, ideal) = (shape.repositories * shape.runs, shape.ideal());
    until_done(stage, &mut watcher, all, ideal).await?;
    let processor_time = (watcher.processor_time()? - before) / u32::try_from(all)?;
    watcher.stop()?;
    let verdict = stage.verdict()?;
    nothing_is_left(server).await?;
    let patches = patch::measure(stage).await?;
    Ok(Round { verdict, ideal, processor_time, patches })
}

/// P5: all runs are done, so that nobody has a slot, or waits for one. What memory had went with the watcher.
async fn nothing_is_left(server: &Server) -> Result<()> {
    let driver = server.driver().await?;
    for repository in driver.repositories().await?.keys {
        let left = driver.load(&repository, Window::First(1)).await?;
        if !left.slots.is_empty() || left.waiting_count > 0 {
            let (slots, waiting) = (left.slots.len(), left.waiting_count);
            bail!("P5: {slots} slots and {waiting} entries of {repository} were left in the store");
        }
    }
    Ok(())
}

async fn until_done(stage: &Stage, watcher: &mut Watcher, all: usize, ideal: Duration) -> Result<()> {
    let began = Instant::now();
    // To look is work, too.
    tokio::time::sleep(ideal).await;
    while stage.done()? < all {
        watcher.check_alive()?;
        if began.elapsed() > ideal * 4 + Duration::from_secs(30) {
            bail!("{} of {all} runs are done after four times the ideal time", stage.done()?);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn row(kind: DriverKind, shape: &Shape, rounds: &[Round]) -> Row {
    let mut row = Row::new(format!("{}: {}", kind.name(), shape.name));
    let mut add = |column: &str, better: Better, value: &dyn Fn(&Round) -> f64| {
        row.add(column, better, rounds.iter().map(value));
    };
    add("hand-off p50, ms", Better::Lower, &|round| round.verdict.hand_off.median);
    add("hand-off p99, ms", Better::Lower, &|round| round.verdict.hand_off.p99);
    add("bare patch p50, ms", Better::Neither, &|round| round.patches.alone.percentile(50));
    add("bare patch p99, ms", Better::Neither, &|round| round.patches.alone.percentile(99));
    add("bare patches/s", Better::Neither, &|round| round.patches.at_once_per_second);
    add("makespan / ideal", Better::Lower, &|round| round.verdict.makespan / 1000.0 / round.ideal.as_secs_f64());
    add("watcher's CPU a run, ms", Better::Lower, &|round| round.processor_time.as_secs_f64() * 1000.0);
    if shape.repositories == 50 {
        row.reach("hand-off p50, ms", 10.0);
        row.reach("hand-off p99, ms", 50.0);
        row.reach("makespan / ideal", 1.1);
    }
    row
}
