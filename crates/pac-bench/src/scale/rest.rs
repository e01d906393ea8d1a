//! What a watcher does on the largest cluster while nothing happens, for long enough that all it does now and then is in it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use pac_config::DriverKind;
use pac_devcluster::verdict::VerdictOptions;

use super::pieces;
use super::round::{until_at_work, until_settled};
use super::shape::Shape;
use crate::figure::{Better, Row, Table};
use crate::store::Server;
use crate::watcher::Watcher;
use crate::world::World;

/// What happened in the beginning is written into the store every two minutes: by then that is done.
const CALM_AFTER: Duration = Duration::from_secs(140);
/// Everything is looked at again every four to five minutes.
const TIME: Duration = Duration::from_secs(310);
const SETTLED: f64 = 0.05;

/// What was seen of one watcher.
struct Rest {
    /// Processor time, as a share of one core's.
    share: f64,
    /// Rows or keys written, besides leases, where anybody counts.
    writes: Option<f64>,
    /// Repositories that were looked at.
    passes: f64,
}

/// Measures each driver of `kinds` at the same time: what they do is next to nothing.
pub(super) async fn measure(kinds: &[DriverKind], shape: Shape) -> Result<Table> {
    eprintln!("scale: at rest, {}, for {} s", shape.name(), (CALM_AFTER + TIME).as_secs());
    let watched = kinds.iter().map(|kind| async move {
        watch(*kind, shape).await.with_context(|| format!("{}, {} at rest", kind.name(), shape.name()))
    });
    let watched = try_join_all(watched).await?;
    let mut table = Table::new("At rest");
    for (kind, rest) in kinds.iter().zip(watched) {
        let mut row = Row::new(format!("{}: {}", kind.name(), shape.name()));
        row.add("% of a core", Better::Lower, [rest.share * 100.0]);
        row.add("writes", Better::Lower, rest.writes);
        row.add("repositories looked at", Better::Neither, [rest.passes]);
        row.reach("% of a core", 1.0);
        row.reach("writes", 0.0);
        table.add(row);
    }
    table.note(format!(
        "{} s in which nothing happens, once: processor time of the watcher, what was written to the store besides leases as its \
         server counts it, and how many repositories were looked at: all of them, once, since that is done every four to five \
         minutes. What happened when they were admitted had been written before. A lease is renewed every quarter of an hour.",
        TIME.as_secs()
    ));
    Ok(table)
}

async fn watch(kind: DriverKind, shape: Shape) -> Result<Rest> {
    let server = Server::start(kind).await?;
    let (world, created) = (World::new(None, &server).await?, Instant::now());
    super::fill(&world, shape)?;
    let mut watcher = Watcher::start(world.kubeconfig(), world.folder(), &[])?;
    until_at_work(&world, &server, &mut watcher, shape).await?;
    let longest_gap = created.elapsed() + pieces::PATIENCE;
    until_settled(&mut watcher, SETTLED).await?;
    tokio::time::sleep(CALM_AFTER.saturating_sub(watcher.age())).await;
    let looks = |watcher: &Watcher| watcher.metric("pac_concurrency_pass_seconds_count");
    let (writes, looked, busy) = (server.writes()?, looks(&watcher)?, watcher.processor_time()?);
    tokio::time::sleep(TIME).await;
    let busy = watcher.processor_time()? - busy;
    let passes = looks(&watcher)? - looked;
    // Only then does PostgreSQL tell of what was written last.
    tokio::time::sleep(server.counts_after()).await;
    let writes = writes.zip(server.writes()?).map(|(before, after)| after - before);
    watcher.check_alive()?;
    watcher.stop()?;
    world.verdict(&VerdictOptions { longest_gap, ended: false, ..VerdictOptions::default() })?;
    world.end().await;
    if passes < shape.repositories as f64 {
        bail!("{passes} repositories were looked at, not all: the time is too short to say anything");
    }
    Ok(Rest { share: busy.as_secs_f64() / TIME.as_secs_f64(), writes, passes })
}
