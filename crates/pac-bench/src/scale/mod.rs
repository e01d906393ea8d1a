//! How the watcher bears a large cluster: time until it is ready, memory, and what one event costs, from a thousand waiting
//! runs to a hundred thousand.

mod instructions;
mod plot;
mod round;
mod shape;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use self::instructions::Instructions;
use self::round::{Round, measure_round};
use self::shape::{SHAPES, Shape};
use crate::Effort;
use crate::figure::{Better, Row, Table};
use crate::store::{Kind, Server};
use crate::world::World;

pub(crate) use self::plot::plot;

/// Measures each driver of `kinds`; their servers' versions go into `servers`.
pub(crate) async fn measure(kinds: &[Kind], effort: &Effort, servers: &mut Vec<String>) -> Result<Table> {
    let mut table = Table::new("Large clusters");
    for kind in kinds {
        if *kind != Kind::Memory {
            servers.push(Server::start(*kind)?.version().await?);
        }
        for shape in SHAPES {
            let (mut rounds, mut instructions) = (Vec::new(), None);
            for number in 1..=effort.rounds {
                eprintln!("scale: {}, {}, {number} of {}", kind.name(), shape.name(), effort.rounds);
                let server = Server::start(*kind)?;
                let (world, created) = (World::new(None, &server).await?, Instant::now());
                fill(&world, shape)?;
                let context = || format!("{}, {}", kind.name(), shape.name());
                rounds.push(measure_round(&world, &server, shape, created).await.with_context(context)?);
                if number == effort.rounds {
                    instructions = instructions::count(&world, shape, created).await.with_context(context)?;
                }
                world.end().await;
            }
            table.add(row(*kind, &shape, &rounds, instructions));
        }
    }
    table.note(
        "*Ready at first*: from the process's start on an empty store, with every run to be written into it and one of each \
         repository to be started after that; *ready again*: the next process's, on the store as it is then. *Resident*, *peak*: \
         of that second process, once it has nothing left to do, and at most. *Idle*: 30 s in which nothing happens, and what the \
         server says was written to slots and queues in that time. *Event*: somebody changes a label of a waiting run; \
         *hand-off*: a run ends and the next of its repository is started and the ended one's state written: processor time of \
         the watcher, of user and kernel, for one of 2,000 and of 200; and the watcher's own instructions for one of 1,600 and of \
         100, counted once, by callgrind, less what it executes anyway. Objects are of some 3.5 KiB. Limit 1 everywhere.",
    );
    Ok(table)
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

fn row(kind: Kind, shape: &Shape, rounds: &[Round], instructions: Option<Instructions>) -> Row {
    let mut row = Row::new(format!("{}: {}", kind.name(), shape.name()));
    let mut add = |column: &str, better: Better, value: &dyn Fn(&Round) -> f64| {
        row.add(column, better, rounds.iter().map(value));
    };
    add("ready at first, s", Better::Lower, &|round| round.ready_at_first.as_secs_f64());
    add("ready again, s", Better::Lower, &|round| round.ready_again.as_secs_f64());
    add("resident, MiB", Better::Lower, &|round| round.memory.resident);
    add("peak, MiB", Better::Lower, &|round| round.memory.peak);
    add("idle, % of a core", Better::Lower, &|round| round.idle.as_ref().map_or(f64::NAN, |idle| idle.share * 100.0));
    add("idle writes", Better::Lower, &|round| round.idle.as_ref().map_or(f64::NAN, |idle| idle.writes));
    add("event, µs", Better::Lower, &|round| round.event.as_secs_f64() * 1e6);
    add("hand-off, µs", Better::Lower, &|round| round.hand_off.as_secs_f64() * 1e6);
    add("hand-off p50, ms", Better::Lower, &|round| round.verdict.hand_off.median);
    row.add("event, 1,000 instructions", Better::Lower, instructions.map(|counted| counted.event / 1000.0));
    row.add("hand-off, 1,000 instructions", Better::Lower, instructions.map(|counted| counted.hand_off / 1000.0));
    if shape.is_largest() {
        row.reach("ready at first, s", 15.0);
        row.reach("ready again, s", 15.0);
        row.reach("resident, MiB", 250.0);
        row.reach("peak, MiB", 250.0);
        row.reach("idle, % of a core", 1.0);
        row.reach("idle writes", 0.0);
    }
    row
}
