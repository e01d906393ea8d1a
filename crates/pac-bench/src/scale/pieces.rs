//! What happens on a large cluster, in pieces that cost the same: what one of them costs is what all of them cost, divided.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::shape::Shape;
use crate::world::{self, World};

/// How long a free slot may wait for the next run, as the verdict has it by itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A kind of piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Somebody changes a label of a run that waits: of nothing that is read.
    Touch,
    /// A run joins the end of a queue.
    Join,
    /// A run that joined is cancelled.
    Cancel,
    /// A run ends, and the next of its repository is started.
    HandOff,
}

/// So many of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    /// The number of the first one: each is done once in a cluster's life.
    pub(super) first: usize,
    pub(super) count: usize,
    /// How long to wait after each.
    pub(super) apart: Duration,
}

// === impl Work ===

impl Work {
    /// In the order they can be done in.
    pub(super) const ALL: [Self; 4] = [Self::Touch, Self::Join, Self::Cancel, Self::HandOff];

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Touch => "event of no matter",
            Self::Join => "a run joins",
            Self::Cancel => "one is cancelled",
            Self::HandOff => "hand-off",
        }
    }

    /// What is done when time is measured.
    pub(super) fn timed(self) -> Pieces {
        let (count, apart) = if self == Self::Touch { (2_000, 1) } else { (200, 5) };
        Pieces { first: 0, count, apart: Duration::from_millis(apart) }
    }

    /// What is done when instructions are counted, in one span of several: fewer and further apart, since under callgrind
    /// everything takes fifty times as long, and what comes in bundles would be cheaper than what comes alone.
    pub(super) fn counted(self, span: usize) -> Pieces {
        let (count, apart) = if self == Self::Touch { (400, 10) } else { (40, 60) };
        let first = self.timed().count + span * count;
        Pieces { first, count, apart: Duration::from_millis(apart) }
    }

    /// Does `pieces` of it in `world`.
    pub(super) async fn do_pieces(self, world: &World, shape: Shape, pieces: Pieces) -> Result<()> {
        let numbers = pieces.first..pieces.first + pieces.count;
        for number in numbers.clone() {
            match self {
                Self::Touch => touch(world, shape, number)?,
                Self::Join => world.queue(number % shape.repositories, joined(shape, number), Duration::ZERO)?,
                Self::Cancel => cancel(world, shape, number)?,
                Self::HandOff => hand_off(world, shape, number).await?,
            }
            tokio::time::sleep(pieces.apart).await;
        }
        if self == Self::HandOff {
            for number in numbers {
                until_started(world, number % shape.repositories, number / shape.repositories + 1).await?;
            }
        }
        Ok(())
    }
}

fn touch(world: &World, shape: Shape, number: usize) -> Result<()> {
    let (repository, run) = (number % shape.repositories, 1 + (number * 31) % (shape.runs - 1));
    let label = json!({"metadata": {"labels": {"bench/touched": number.to_string()}}});
    world.store().patch("pipelineruns", &world::namespace(repository), &world::run(run), &label)?;
    Ok(())
}

/// The run that joins as piece `number`: behind all that its repository began with.
fn joined(shape: Shape, number: usize) -> usize {
    shape.runs + number / shape.repositories
}

fn cancel(world: &World, shape: Shape, number: usize) -> Result<()> {
    let namespace = world::namespace(number % shape.repositories);
    let wish = json!({"spec": {"status": "Cancelled"}});
    world.store().patch("pipelineruns", &namespace, &world::run(joined(shape, number)), &wish)?;
    Ok(())
}

/// The run that runs ends. That the one before it made room for it is waited for first.
async fn hand_off(world: &World, shape: Shape, number: usize) -> Result<()> {
    let (repository, run) = (number % shape.repositories, number / shape.repositories);
    until_started(world, repository, run).await?;
    let done = json!({"status": {"conditions": [{"type": "Succeeded", "status": "True"}]}});
    world.store().patch_status("pipelineruns", &world::namespace(repository), &world::run(run), &done)?;
    Ok(())
}

async fn until_started(world: &World, repository: usize, run: usize) -> Result<()> {
    let began = Instant::now();
    while is_pending(&*world.run(repository, run)?) {
        if began.elapsed() > PATIENCE {
            bail!("P4: run {run} of repository {repository} has a free slot and was not started");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

pub(super) fn is_pending(run: &Value) -> bool {
    run.pointer("/spec/status").is_some_and(|status| status == "PipelineRunPending")
}
