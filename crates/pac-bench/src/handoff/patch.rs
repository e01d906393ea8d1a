//! What a start costs when nobody decides about it: the watcher's own patch and client, and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use pac_concurrency::RunKey;
use pac_kube::patch::{StartBy, StartOutcome, start};
use tokio::task::JoinSet;

use super::stage::Stage;
use crate::statistic::Times;

/// How many are started one after the other, and as many again by all senders.
const RUNS: usize = 400;
const SENDERS: usize = 16;
/// A repository that the work had nothing to do with.
const REPOSITORY: usize = 9_999;

/// How long starts took.
#[derive(Debug)]
pub(super) struct Patches {
    /// One after the other.
    pub(super) alone: Times,
    /// By sixteen senders.
    pub(super) at_once_per_second: f64,
}

/// Starts runs that no watcher looks at.
pub(super) async fn measure(stage: &Stage) -> Result<Patches> {
    stage.repository(REPOSITORY, 1).await?;
    let mut runs = Vec::new();
    for number in 0..2 * RUNS {
        runs.push(stage.queue(REPOSITORY, number, Duration::from_secs(3600)).await?);
    }
    let client = stage.client().await?;
    let at_once = runs.split_off(RUNS);
    let mut alone = Times::default();
    for run in &runs {
        let began = Instant::now();
        started(start(&client, run, StartBy::Clearing).await)?;
        alone.add(began.elapsed());
    }
    alone.sort();
    let (began, mut senders) = (Instant::now(), JoinSet::new());
    for runs in at_once.chunks(RUNS / SENDERS).map(<[RunKey]>::to_vec) {
        let client = client.clone();
        senders.spawn(async move {
            for run in runs {
                started(start(&client, &run, StartBy::Clearing).await)?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    Ok(Patches { alone, at_once_per_second: RUNS as f64 / began.elapsed().as_secs_f64() })
}

fn started(outcome: StartOutcome) -> Result<()> {
    match outcome {
        StartOutcome::Started => Ok(()),
        other => bail!("a bare start was refused: {other:?}"),
    }
}
