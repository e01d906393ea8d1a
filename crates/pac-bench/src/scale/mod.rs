//! How the watcher bears a large cluster: time until it is ready, memory, and what one event costs, from a thousand waiting
//! runs to a hundred thousand.

mod instructions;
mod pieces;
mod plot;
mod rest;
mod round;
mod shape;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pac_config::DriverKind;

use self::instructions::Instructions;
use self::pieces::Work;
use self::round::{Round, measure_round};
use self::shape::{LARGEST, SHAPES, Shape};
use crate::effort::Effort;
use crate::figure::{Better, Row, Table};
use crate::store::Server;
use crate::world::World;

pub(crate) use self::plot::plot;

/// Measures each driver of `kinds`; their servers' versions go into `servers`.
pub(crate) async fn measure(kinds: &[DriverKind], effort: &Effort, servers: &mut Vec<String>) -> Result<Vec<Table>> {
    let (mut size, mut cost) = (Table::new("Large clusters"), Table::new("What one event costs"));
    for kind in kinds {
        if *kind != DriverKind::Memory {
            servers.push(Server::start(*kind).await?.version().await?);
        }
        for shape in SHAPES {
            let (mut rounds, mut instructions) = (Vec::new(), None);
            for number in 1..=effort.rounds {
                eprintln!("scale: {}, {}, {number} of {}", kind.name(), shape.name(), effort.rounds);
                let server = Server::start(*kind).await?;
                let (world, created) = (World::new(None, &server).await?, Instant::now());
                fill(&world, shape)?;
                let (context, is_last) = (|| format!("{}, {}", kind.name(), shape.name()), number == effort.rounds);
                let round = measure_round(&world, &server, shape, created, is_last).await;
                rounds.push(round.with_context(context)?);
                if is_last && shape.is_counted(*kind) {
                    instructions = instructions::count(&world, shape, created).await.with_context(context)?;
                }
                world.end().await;
            }
            size.add(size_row(*kind, &shape, &rounds));
            cost.add(cost_row(*kind, &shape, &rounds, instructions.unwrap_or_default()));
        }
    }
    size.note(
        "The first watcher finds an empty store. From its start: *ready* is `/ready`; *all started*, every repository has its one run started; *all queued*, all others wait in the store. The API server encodes each object once, for this first watcher. *Ready again*: the next watcher's, on the store as it is then. *Resident*: of that second one, once it has nothing left to do. *Peak*: the most that any of the two ever had. *Writes*: rows or keys that change for one of 200 hand-offs, counted in one round. Objects are of some 3.5 KiB. Limit 1 everywhere.",
    );
    cost.note(
        "*Event of no matter*: somebody changes a label of a waiting run. *A run joins* the end of a queue; that *one is cancelled*. *Hand-off*: a run ends, the next of its repository is started, and the ended one's state is written. \
         µs: processor time of the watcher, of user and kernel, for one of 2,000 events of no matter and for one of 200 of the others. Instructions (in thousands): the watcher's own in one round on memory, as callgrind counts them, in three spans of 400 and of          40, less what it executes in as much time without any event (*idle*, a second).",
    );
    Ok(vec![size, cost, rest::measure(kinds, LARGEST).await?])
}

/// Everything that waits, and nobody who admits.
fn fill(world: &World, shape: Shape) -> Result<()> {
    for repository in 0..shape.repositories {
        world.repository(repository, 1)?;
        for number in 0..shape.runs {
            world.queue(repository, number, Duration::ZERO)?;
        }
    }
    Ok(())
}

fn size_row(kind: DriverKind, shape: &Shape, rounds: &[Round]) -> Row {
    let mut row = Row::new(format!("{}: {}", kind.name(), shape.name()));
    let mut add = |column: &str, value: &dyn Fn(&Round) -> Option<f64>| {
        row.add(column, Better::Lower, rounds.iter().filter_map(value));
    };
    add("ready, s", &|round| Some(round.first.ready.as_secs_f64()));
    add("all started, s", &|round| Some(round.first.started.as_secs_f64()));
    add("all queued, s", &|round| Some(round.first.queued?.as_secs_f64()));
    add("ready again, s", &|round| Some(round.ready_again.as_secs_f64()));
    add("resident, MiB", &|round| Some(round.memory.resident));
    add("peak, MiB", &|round| Some(round.peak));
    add("hand-off p50, ms", &|round| Some(round.verdict.hand_off.median));
    add("writes a hand-off", &|round| round.writes);
    if shape.is_largest() {
        for column in ["ready, s", "all started, s", "ready again, s"] {
            row.reach(column, 15.0);
        }
        row.reach("resident, MiB", 250.0);
        row.reach("peak, MiB", 250.0);
    }
    row
}

fn cost_row(kind: DriverKind, shape: &Shape, rounds: &[Round], instructions: Instructions) -> Row {
    let mut row = Row::new(format!("{}: {}", kind.name(), shape.name()));
    for (at, work) in Work::ALL.into_iter().enumerate() {
        let micros = rounds.iter().filter_map(|round| Some(round.pieces.get(at)?.as_secs_f64() * 1e6));
        row.add(&format!("{}, µs", work.name()), Better::Lower, micros);
    }
    let thousands = |counted: Vec<f64>| counted.into_iter().map(|instructions| instructions / 1000.0);
    for (work, counted) in Work::ALL.into_iter().zip(instructions.pieces) {
        row.add(&format!("{}, instructions", work.name()), Better::Lower, thousands(counted));
    }
    row.add("idle, instructions", Better::Lower, thousands(instructions.idle));
    row
}
