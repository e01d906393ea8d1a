//! What a start costs when nobody decides about it: the watcher's own patch and client, and nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use pac_concurrency::RunKey;
use pac_watcher::patch::{StartOutcome, start};
use pac_watcher::{SettingsPlace, cluster};
use tokio::task::JoinSet;

use crate::statistic::Times;
use crate::world::{self, World};

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

/// Starts runs of `world` that no watcher looks at.
pub(super) async fn measure(world: &World) -> Result<Patches> {
    world.repository(REPOSITORY, 1)?;
    let mut runs = Vec::new();
    for number in 0..2 * RUNS {
        world.queue(REPOSITORY, number, Duration::from_secs(3600))?;
        let object = world.run(REPOSITORY, number)?;
        let uid = object.pointer("/metadata/uid").and_then(|uid| uid.as_str()).unwrap_or_default();
        runs.push(RunKey::new(&world::namespace(REPOSITORY), &world::run(number), uid)?);
    }
    let client = client(world.kubeconfig()).await?;
    let at_once = runs.split_off(RUNS);
    let mut alone = Times::default();
    for run in &runs {
        let began = Instant::now();
        started(start(&client, run).await)?;
        alone.add(began.elapsed());
    }
    alone.sort();
    let (began, mut senders) = (Instant::now(), JoinSet::new());
    for runs in at_once.chunks(RUNS / SENDERS).map(<[RunKey]>::to_vec) {
        let client = client.clone();
        senders.spawn(async move {
            for run in runs {
                started(start(&client, &run).await)?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    Ok(Patches { alone, at_once_per_second: RUNS as f64 / began.elapsed().as_secs_f64() })
}

async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    let place = SettingsPlace {
        namespace: String::new(),
        config_map: String::new(),
        secret: String::new(),
        config_file: None,
        kubeconfig: Some(kubeconfig.to_owned()),
    };
    Ok(cluster::client(&place).await?)
}

fn started(outcome: StartOutcome) -> Result<()> {
    match outcome {
        StartOutcome::Started => Ok(()),
        other => bail!("a bare start was refused: {other:?}"),
    }
}
